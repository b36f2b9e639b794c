"""How times, values and people are put into words, the same in Slack and in the terminal."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))
_DURATION: Final = re.compile(r"(\d+)\s*(s|sec|m|min|h|hours?|d|days?)?", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_MUTE_S: Final = 7 * 86400
"""A week. A mute that outlasts the people who set it is a silence that nobody chose."""


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 12 s``, ``2 h 5 min``, ``3 d 4 h``; below ten seconds with a decimal."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    rest = round(seconds)
    for index, (unit, size) in enumerate(_UNITS):
        if rest >= size:
            large, small = divmod(rest, size)
            next_unit, next_size = (*_UNITS, ("s", 1))[index + 1]
            return f"{large} {unit}" + (f" {small // next_size} {next_unit}" if small >= next_size else "")
    return f"{rest} s"


def parse_duration(text: str) -> int:
    """Seconds from ``90s``, ``30m``, ``1h``, ``2d``; a bare number is minutes.

    Raises ValueError, in words for people, for anything else and for more than a week.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"“{text}” is not a time; write 30m, 1h or 2d")
    seconds = int(match[1]) * _SECONDS[(match[2] or "m")[0].lower()]
    if seconds > MAX_MUTE_S:
        raise ValueError(f"“{text}” is too long; a week (7d) is the most")
    return seconds


def quantity(value: float, unit: str) -> str:
    """A value in its unit: ``3 nodes``, ``412 ms``, ``98.6 %``."""
    number = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.3g}"
    return f"{number} {unit}".strip()


def moment(instant: datetime) -> str:
    """An instant for people who may sit anywhere: UTC, to the second."""
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
