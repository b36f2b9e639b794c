"""A figure: what was measured, in what unit, how often, and what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """``floor`` is the same kind of thing done with as little as possible, measured in the same run."""

    name: str
    unit: str
    values: tuple[float, ...]
    aim: str = ""
    floor: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.values), max(self.values)

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"median": self.median, "min": self.spread[0], "max": self.spread[1]}


def figure(
    name: str, unit: str, values: Sequence[float], *, aim: str = "", floor: float | None = None, note: str = ""
) -> Figure:
    return Figure(name, unit, tuple(values), aim, floor, note)


def number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    rows = [("figure", "median", "min to max", "n", "floor", "aim", "")]
    rows += [
        (
            one.name,
            f"{number(one.median)} {one.unit}",
            f"{number(one.spread[0])} to {number(one.spread[1])}",
            str(len(one.values)),
            "" if one.floor is None else f"{number(one.floor)} {one.unit}",
            one.aim,
            one.note,
        )
        for one in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
