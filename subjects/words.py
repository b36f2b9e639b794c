"""Someone else's text, made fit to stand in a sentence of ours."""

from __future__ import annotations

FOREIGN_LIMIT = 200
"""The longest text of someone else's that is passed on, characters."""


def one_line(text: str, limit: int = FOREIGN_LIMIT) -> str:
    """One line of printable characters, cut at ``limit``.

    Control characters, and those that turn the direction of writing, become spaces.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
