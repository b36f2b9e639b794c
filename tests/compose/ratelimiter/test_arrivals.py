from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from compose.deployment import DEFAULT_LIMITS, DEFAULT_STREAMS
from compose.ratelimiter.arrivals import Arrival, arrivals


def take(seed: int, number: int) -> list[Arrival]:
    return list(itertools.islice(arrivals(DEFAULT_STREAMS, seed), number))


@given(st.integers())
def test_the_same_seed_gives_the_same_traffic_in_order(seed: int) -> None:
    one = take(seed, 50)
    assert one == take(seed, 50)
    assert all(before.at <= after.at for before, after in itertools.pairwise(one))


def test_the_default_traffic_is_about_eighty_a_second_and_asks_more_than_each_limit_allows() -> None:
    many = take(7, 8000)
    seconds = many[-1].at
    assert 76 < len(many) / seconds < 83
    asked = Counter((arrival.limit, arrival.key) for arrival in many)
    for stream in DEFAULT_STREAMS:
        limit = DEFAULT_LIMITS[stream.limit]
        hot = asked[stream.limit, f"{stream.prefix}-1"] / seconds
        assert hot > 1.2 * limit.limit / (limit.window_ms / 1000)
    assert asked["per-user", "user-7"] > 0
