"""What commands print: tables and lines for people, coloured on a terminal, plain in a pipe; or one JSON document.

Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

import typer

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

STYLES: Final = {
    "critical": "bold red",
    "warning": "yellow",
    "broken": "bold red",
    "unknown": "yellow",
    "holds": "green",
    "open": "bold red",
    "verifying": "cyan",
    "resolved": "green",
}
"""Words that are coloured where they fill a cell. The word itself always says it too."""


def document(value: JsonValue) -> None:
    """Print one JSON document, indented on a terminal."""
    typer.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, allow_nan=False))


def instant(at: datetime | None) -> str | None:
    """An instant in JSON: UTC with microseconds, ``2026-11-23T08:45:00.000000Z``."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" if at is not None else None


def clean(text: str) -> str:
    """Text from outside, safe for a terminal: on one line, no control, bidirectional or broken characters."""
    return "".join(character if character.isprintable() else " " if character.isspace() else "�" for character in text)


def line(text: str, *, style: str | None = None) -> None:
    """Print one line, which may be styled on a terminal."""
    if style is None or not _coloured():
        typer.echo(clean(text))
        return
    from rich.console import Console  # noqa: PLC0415  a terminal is worth its import, a pipe is not
    from rich.text import Text  # noqa: PLC0415

    Console(highlight=False).print(Text(clean(text), style=style), soft_wrap=True)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if _coloured():
        _rich_table(headers, cells)
        return
    widths = [max(len(row[column]) for row in [list(headers), *cells]) for column in range(len(headers))]
    for row in [[header.upper() for header in headers], *cells]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def facts(payload: str) -> str:
    """An entry's payload for people: ``key=rl-2 value=1.0 detail="connection refused"``, what is null left out."""
    values: dict[str, JsonValue] = json.loads(payload)
    shown = {name: value for name, value in values.items() if value is not None}
    return " ".join(
        f"{name}={value if isinstance(value, str) and value and ' ' not in value else json.dumps(value)}"
        for name, value in shown.items()
    )


def some(names: Sequence[str], most: int) -> str:
    """The first names of many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def note(text: str) -> None:
    """A line for people beside the data: to stderr."""
    typer.echo(clean(text), err=True)


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _rich_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415  a terminal is worth its import, a pipe is not
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(*headers, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(drawn)
