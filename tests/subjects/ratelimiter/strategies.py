"""Any snapshot at all: likely ones, contradictory ones, and ones with things in them that nobody expects."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st

from subjects.protocols import Observation
from subjects.ratelimiter.snapshot import (
    Counter,
    Histogram,
    LimitVersion,
    NodeStatus,
    NodeView,
    RateLimiterSnapshot,
    RedisLink,
    SharedState,
    Tally,
    Unreadable,
    WriteBehind,
)
from tests.subjects.ratelimiter.samples import AT, BOUNDS_S, LIMITS, NODES

untimed = settings(deadline=None)
"""For every property: how long an example takes says something about the machine only."""

# Few values, so that names, boots and limits meet.
node_names = st.sampled_from([*NODES, "rl-9", ""])
limit_names = st.sampled_from([*LIMITS, "unheard-of", ""])
boots = st.sampled_from(["boot-1", "boot-1", "boot-1", "boot-2"])
texts = st.text(max_size=300)
counts = st.one_of(st.integers(0, 200), st.integers(-5, 2**63 - 1))
causes = st.sampled_from([None, ("node_down", "rl-1"), ("redis_disconnected", "rl-2"), ("high_latency", "rl-3")])

limit_versions = st.builds(
    LimitVersion, limit=st.integers(0, 30), window_ms=st.integers(1, 5000), version=st.integers(0, 3)
)
tidy_histograms = st.lists(st.integers(0, 40), min_size=len(BOUNDS_S), max_size=len(BOUNDS_S)).map(
    lambda per: Histogram(BOUNDS_S, tuple(sum(per[: end + 1]) for end in range(len(per))))
)
wild_histograms = st.builds(
    Histogram,
    bounds_s=st.lists(st.sampled_from([-1.0, 0.0, 0.1, 1.0, 10.0, math.inf]), max_size=5).map(tuple),
    counts=st.lists(counts, max_size=5).map(tuple),
)
unreadables = st.builds(Unreadable, why=texts, because=causes)
statuses = st.builds(
    NodeStatus,
    boot_id=boots,
    redis=st.builds(
        RedisLink,
        connected=st.sampled_from([True, True, True, False]),
        since_s=st.floats(0, 1e9),
        url=texts,
        error=st.none() | texts,
    ),
    limits=st.dictionaries(limit_names, limit_versions, max_size=4),
    admitted=st.fixed_dictionaries({}, optional=dict.fromkeys(LIMITS, counts)),
    write_behind=st.builds(WriteBehind, pending=counts, stuck_for_s=st.floats(0, 1e9), error=st.none() | texts),
    latency=st.one_of(tidy_histograms, tidy_histograms, wild_histograms),
)
views: st.SearchStrategy[NodeView] = st.one_of(statuses, statuses, statuses, unreadables)
tallies = st.builds(
    Tally,
    boot_id=boots,
    counts=st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(LIMITS, counts)),
    error=st.one_of(st.none(), st.just("WRONGTYPE Operation against a key"), texts),
)
counters = st.builds(
    Counter, limit=limit_names, key=texts, count=st.integers(0, 60), ttl_ms=st.none() | st.integers(0, 20_000)
)
shared_states = st.builds(
    SharedState,
    read_from=node_names,
    limits=st.dictionaries(limit_names, limit_versions, min_size=1, max_size=4),
    tallies=st.fixed_dictionaries(dict.fromkeys(NODES, tallies), optional={"rl-9": tallies}),
    counters=st.lists(counters, max_size=8).map(tuple),
)
whole_clusters = st.fixed_dictionaries(dict.fromkeys(NODES, statuses))
odd_clusters = st.dictionaries(node_names, views, max_size=4)


# Functions instead of ``st.builds``, whose printed form would nest to an absurd length.
@st.composite
def snapshots(draw: st.DrawFn) -> RateLimiterSnapshot:
    nodes = draw(odd_clusters) if draw(st.booleans()) else draw(whole_clusters)
    if draw(st.integers(0, 3)) == 0:
        return RateLimiterSnapshot(nodes=nodes, shared=draw(unreadables))
    return RateLimiterSnapshot(nodes=nodes, shared=draw(shared_states))


@st.composite
def observations(draw: st.DrawFn) -> Observation[RateLimiterSnapshot]:
    first = draw(st.booleans())
    return Observation(
        at=AT,
        snapshot=draw(snapshots()),
        previous=None if first else draw(snapshots()),
        elapsed_s=None if first else 0.5,
    )
