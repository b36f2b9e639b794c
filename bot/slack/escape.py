"""Untrusted text, made safe to show: it can't ping, link, format, reorder, or break out of a code span.

Whatever comes from a subject at run time (keys, details, reasons) is shown in a code span, ``code``: there nothing
but a backtick means anything, and what is copied from it is exact. Words from the configuration are shown as prose,
``prose``, with the characters that would format replaced by look-alikes. Both are cut in whole characters, never in
an entity. Text objects that hold them set ``verbatim``, which keeps Slack from linking bare addresses; the fallback
text has no such switch, so ``bare`` breaks addresses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from bot.words import moment

ELLIPSIS: Final = "…"
REPLACEMENT: Final = "\ufffd"
_ANSI: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC and its kin: titles, links
    r"|\x1b[@-Z\\-_]?"
)
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_IN_CODE: Final = {**_ENTITIES, "`": "\u02cb"}
# Slack has no escape for its formatting characters: look-alikes take their place.
_IN_PROSE: Final = {**_ENTITIES, "`": "\u02cb", "*": "\u2217", "~": "\u223c"}
_EDGE_UNDERSCORE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # within a word it formats nothing
_IN_PLAIN: Final = {"<": "\u2039", ">": "\u203a"}
_EMOJI: Final = re.compile(r":(?=[A-Za-z0-9_+'-]*:)")
_ADDRESS: Final = re.compile(r"://|(?<=mailto):")
_WORD_JOINER: Final = "\u2060"
_URL_SAFE: Final = re.compile(r"https?://[^\s<>|\"`\\^{}]+")


def units(text: str) -> int:
    """Length as Slack counts it: in UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def clean(text: str) -> str:
    """One line without terminal sequences, controls, invisible or reordering characters, or lone surrogates."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(_visible(character) for character in _ANSI.sub("", text))
    return " ".join(text.split())


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    # Cc: controls. Cf: bidirectional overrides, zero-width characters, tags. Cs: lone surrogates. Cn, Co: unassigned.
    return REPLACEMENT if unicodedata.category(character)[0] == "C" else character


def code(text: str, limit: int = 200) -> str:
    """A code span of at most ``limit`` units in all."""
    inside = _fit(clean(_head(text, limit)), limit - 2, lambda character: _IN_CODE.get(character, character))
    return f"`{inside}`" if inside else "`-`"


def prose(text: str, limit: int = 300) -> str:
    """Escaped for a mrkdwn text of ours."""
    cleaned = _EDGE_UNDERSCORE.sub("\uff3f", _EMOJI.sub("\u2236", clean(_head(text, limit))))
    return _fit(cleaned, limit, lambda character: _IN_PROSE.get(character, character))


def plain(text: str, limit: int = 75) -> str:
    """For ``plain_text`` objects, which parse nothing; the angle brackets go all the same."""
    return _fit(clean(_head(text, limit)), limit, lambda character: _IN_PLAIN.get(character, character))


def bare(text: str) -> str:
    """An escaped text for where ``verbatim`` can't be set: addresses in it are broken, our own links are not."""
    parts = re.split(r"(<[^<>]*>)", text)
    return "".join(
        part if index % 2 else _ADDRESS.sub(lambda found: _WORD_JOINER.join(found[0]) + _WORD_JOINER, part)
        for index, part in enumerate(parts)
    )


def date(instant: datetime) -> str:
    """An instant that Slack shows in each reader's own time zone, in UTC where it can't."""
    return f"<!date^{int(instant.timestamp())}^{{date_short_pretty}} {{time_secs}}|{moment(instant)}>"


def link(url: str, label: str, limit: int = 1000) -> str:
    """A link to an address from the configuration; one that could not be a link is shown as text."""
    escaped = url.replace("&", "&amp;")
    if not _URL_SAFE.fullmatch(url) or clean(url) != url or units(escaped) > limit:
        return code(url)
    return f"<{escaped}|{prose(label, 100).replace('|', '/')}>"


def mention(target: str) -> str:
    """Calls a user group, a user, or everyone who is active in the channel."""
    if target == "here":
        return "<!here>"
    return f"<!subteam^{target}>" if target.startswith("S") else f"<@{target}>"


def joined(parts: Iterable[str], limit: int, separator: str = "\n") -> str:
    """As many whole parts as fit."""
    kept, length = [], 0
    for part in parts:
        length += units(part) + units(separator)
        if length > limit:
            break
        kept.append(part)
    return separator.join(kept)


def _head(text: str, limit: int) -> str:
    """Enough of a long text to fill the limit, whatever is removed from it: a megabyte is not worth cleaning."""
    return text[: 4 * limit + 64]


def _fit(text: str, limit: int, escaped: Callable[[str], str]) -> str:
    pieces = [escaped(character) for character in text[: limit + 1]]
    if sum(map(units, pieces)) <= limit:
        return "".join(pieces)
    length, kept = 1, []
    for piece in pieces:
        length += units(piece)
        if length > limit:
            break
        kept.append(piece)
    return "".join(kept).rstrip() + ELLIPSIS
