"""Which check comes when: independent Poisson arrivals with Zipf keys, the same for the same seed."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compose.ratelimiter.config import Stream


@dataclass(frozen=True, slots=True)
class Arrival:
    """One check to send, `at` seconds after the start."""

    at: float
    limit: str
    key: str


@dataclass(frozen=True, slots=True)
class _Source:
    limit: str
    keys: tuple[str, ...]
    cumulative: tuple[float, ...]


def arrivals(streams: Sequence[Stream], seed: int) -> Iterator[Arrival]:
    """Every arrival of all streams, in order, without end.

    A sum of Poisson processes is one: the gaps come from the total rate, the kind is drawn by its share.
    """
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    sources: list[_Source] = []
    rates: list[float] = []
    for stream in streams:
        names = [f"{stream.prefix}-{number}" for number in range(1, stream.keys + 1)]
        weights = [1 / rank**stream.zipf for rank in range(1, stream.keys)]
        sources.append(_Source(stream.limit, (names[0],), (1.0,)))
        rates.append(stream.hot_per_s)
        sources.append(_Source(stream.limit, tuple(names[1:]), tuple(itertools.accumulate(weights))))
        rates.append(stream.tail_per_s)
    cumulative = list(itertools.accumulate(rates))
    if not cumulative or cumulative[-1] <= 0:
        return
    at = 0.0
    while True:
        at += rng.expovariate(cumulative[-1])
        (source,) = rng.choices(sources, cum_weights=cumulative)
        (key,) = rng.choices(source.keys, cum_weights=source.cumulative)
        yield Arrival(at, source.limit, key)
