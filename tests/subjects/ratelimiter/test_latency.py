"""The quantile against its definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subjects.ratelimiter.latency import Checks, Quantile, checks_between, quantile_s
from tests.subjects.ratelimiter.samples import BOUNDS_S, histogram
from tests.subjects.ratelimiter.strategies import untimed


def checks(*per_bucket: int) -> Checks:
    made = histogram(*per_bucket)
    return Checks(made.bounds_s, made.counts)


@pytest.mark.parametrize(
    ("per_bucket", "expected"),
    [
        # Worked by hand, as Prometheus' histogram_quantile(0.95, ...) has it.
        ((100,), 0.0095),
        ((0, 100), 0.01 + 0.04 * 0.95),
        ((90, 10), 0.01 + 0.04 * 0.5),
        ((95, 5), 0.01),
        ((94, 0, 0, 6), 0.1 + 0.15 * 1 / 6),
        ((1,), 0.0095),
    ],
)
def test_linear_within_the_bucket(per_bucket: tuple[int, ...], expected: float) -> None:
    assert quantile_s(checks(*per_bucket), 0.95).seconds == pytest.approx(expected)


def test_beyond_the_last_finite_bound_it_is_a_lower_bound() -> None:
    assert quantile_s(checks(0, 0, 0, 0, 0, 0, 9), 0.95) == Quantile(1.0, is_lower_bound=True)


def test_nothing_has_no_quantile() -> None:
    assert checks(0).total == 0


@untimed
@given(
    st.lists(st.integers(0, 50), min_size=7, max_size=7).filter(lambda per: sum(per) > 0),
    st.floats(0.01, 0.99),
)
def test_it_lies_in_the_bucket_of_the_ranked_check(per_bucket: list[int], q: float) -> None:
    quantile = quantile_s(checks(*per_bucket), q)
    rank = q * sum(per_bucket)
    lowest = max(
        (bound for bound, count in zip(BOUNDS_S, histogram(*per_bucket).counts, strict=True) if count < rank),
        default=0.0,
    )
    first = next(i for i, count in enumerate(histogram(*per_bucket).counts) if count >= rank)
    upper = BOUNDS_S[first]
    assert lowest <= quantile.seconds <= upper
    assert quantile.is_lower_bound == math.isinf(upper)


@untimed
@given(st.lists(st.integers(0, 50), min_size=7, max_size=7), st.lists(st.integers(0, 50), min_size=7, max_size=7))
def test_the_difference_is_what_was_added(before: list[int], added: list[int]) -> None:
    total = [early + more for early, more in zip(before, added, strict=True)]
    assert checks_between(histogram(*before), histogram(*total)) == checks(*added)
