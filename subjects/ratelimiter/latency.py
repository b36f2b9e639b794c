"""Quantiles from cumulative histograms, by the rule of Prometheus' ``histogram_quantile``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from subjects.ratelimiter.snapshot import Histogram


@dataclass(frozen=True, slots=True)
class Checks:
    """Checks by duration: upper bounds in seconds, the last one infinite, and cumulative counts."""

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many."""
        return self.counts[-1]


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile; ``is_lower_bound`` where it lies beyond the last finite bound, which then stands for it."""

    seconds: float
    is_lower_bound: bool = False


def checks_between(before: Histogram, now: Histogram) -> Checks | None:
    """What was added to a histogram; None unless the later one continues the earlier one."""
    if before.bounds_s != now.bounds_s or not _is_sound(now) or len(before.counts) != len(now.counts):
        return None
    counts = tuple(late - early for early, late in zip(before.counts, now.counts, strict=True))
    if counts[0] < 0 or any(low > high for low, high in pairwise(counts)):
        return None
    return Checks(bounds_s=now.bounds_s, counts=counts)


def quantile_s(checks: Checks, q: float) -> Quantile:
    """The ``q`` quantile, linear within a bucket; ``checks`` must not be empty, ``0 < q < 1``."""
    rank = q * checks.total
    lower_s, below = 0.0, 0
    for bound_s, count in zip(checks.bounds_s, checks.counts, strict=True):
        if count >= rank:
            if math.isinf(bound_s):
                return Quantile(lower_s, is_lower_bound=True)
            return Quantile(lower_s + (bound_s - lower_s) * (rank - below) / (count - below))
        lower_s, below = bound_s, count
    raise ValueError("a histogram without checks has no quantile")


def _is_sound(histogram: Histogram) -> bool:
    bounds = histogram.bounds_s
    return (
        len(bounds) >= 2
        and len(bounds) == len(histogram.counts)
        and bounds[0] > 0
        and math.isinf(bounds[-1])
        and all(low < high for low, high in pairwise(bounds))
    )
