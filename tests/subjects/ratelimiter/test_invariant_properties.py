"""What holds for every invariant and any snapshot: total, pure, monotone, and blind to nothing by accident."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias, TypeVar

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from subjects import conformance
from subjects.protocols import Broken, Holds, Observation, Verdict
from subjects.ratelimiter import invariants
from subjects.ratelimiter.snapshot import (
    Counter,
    NodeStatus,
    RateLimiterSnapshot,
    SharedState,
    Tally,
    Unreadable,
)
from subjects.ratelimiter.subject import RateLimiter, RateLimiterConfig
from tests.subjects.ratelimiter.samples import (
    ALL,
    BY_NAME,
    LIMITS,
    NODES,
    RULES,
    histogram,
    judge,
    second_look,
    seen,
    snapshot,
    status,
    tallies,
    tally,
    with_shared,
)
from tests.subjects.ratelimiter.strategies import observations, unreadables, untimed

Seen: TypeAlias = Observation[RateLimiterSnapshot]
ValueT = TypeVar("ValueT")

SUBJECT = RateLimiter(
    "ratelimiter",
    RateLimiterConfig(nodes={node: f"http://{node}:1" for node in NODES}, limits=list(LIMITS)),
    interval_s=1.0,
)


@untimed
@given(observations())
def test_any_observation_gets_well_formed_verdicts_twice_the_same(observation: Seen) -> None:
    assert conformance.check_verdicts(SUBJECT, observation) == []


def _without(mapping: Mapping[str, ValueT], key: str) -> dict[str, ValueT]:
    return {name: value for name, value in mapping.items() if name != key}


def _on_node(node: str, change: Callable[[NodeStatus], NodeStatus | Unreadable | None]) -> Callable[[Seen], Seen]:
    def apply(observation: Seen) -> Seen:
        nodes = dict(observation.snapshot.nodes)
        view = nodes.pop(node, None)
        if isinstance(view, NodeStatus):
            changed = change(view)
            if changed is not None:
                nodes[node] = changed
        elif view is not None:
            nodes[node] = view
        return replace(observation, snapshot=replace(observation.snapshot, nodes=nodes))

    return apply


def _on_shared(change: Callable[[SharedState], SharedState | Unreadable]) -> Callable[[Seen], Seen]:
    def apply(observation: Seen) -> Seen:
        shared = observation.snapshot.shared
        if isinstance(shared, Unreadable):
            return observation
        return replace(observation, snapshot=replace(observation.snapshot, shared=change(shared)))

    return apply


def _drop_tally_counts(node: str, error: str | None) -> Callable[[Seen], Seen]:
    def change(shared: SharedState) -> SharedState:
        there = shared.tallies.get(node)
        if there is None:
            return shared
        lost = Tally(there.boot_id, None, error)
        return replace(shared, tallies={**shared.tallies, node: lost})

    return _on_shared(change)


removals: st.SearchStrategy[Callable[[Seen], Seen]] = st.one_of(
    st.just(lambda observation: replace(observation, previous=None, elapsed_s=None)),
    st.sampled_from(NODES).map(lambda node: _on_node(node, lambda _view: None)),
    st.tuples(st.sampled_from(NODES), unreadables).map(lambda pair: _on_node(pair[0], lambda _view: pair[1])),
    st.tuples(st.sampled_from(NODES), st.sampled_from(LIMITS)).map(
        lambda pair: _on_node(pair[0], lambda view: replace(view, admitted=_without(view.admitted, pair[1])))
    ),
    st.tuples(st.sampled_from(NODES), st.sampled_from(LIMITS)).map(
        lambda pair: _on_node(pair[0], lambda view: replace(view, limits=_without(view.limits, pair[1])))
    ),
    unreadables.map(lambda lost: _on_shared(lambda _shared: lost)),
    st.sampled_from(NODES).map(
        lambda node: _on_shared(lambda shared: replace(shared, tallies=_without(shared.tallies, node)))
    ),
    st.tuples(st.sampled_from(NODES), st.none() | st.text(max_size=20)).map(lambda pair: _drop_tally_counts(*pair)),
    st.sampled_from(LIMITS).map(
        lambda limit: _on_shared(lambda shared: replace(shared, limits=_without(shared.limits, limit)))
    ),
)


@settings(max_examples=300, deadline=None)
@given(observations(), st.lists(removals, min_size=1, max_size=3))
def test_taking_any_part_away_never_makes_anything_hold(
    observation: Seen, take_away: list[Callable[[Seen], Seen]]
) -> None:
    before = judge(observation)
    for removal in take_away:
        observation = removal(observation)
    for at, verdict in judge(observation).items():
        assert not isinstance(verdict, Holds) or isinstance(before[at], Holds), at


def test_removals_do_take_something_away() -> None:
    """The property above would hold as well if nothing ever held."""
    assert all(isinstance(verdict, Holds) for verdict in judge(second_look(snapshot())).values())
    bare = second_look(snapshot())
    for removal in (
        _on_node("rl-1", lambda _view: None),
        _on_shared(lambda _shared: Unreadable("gone")),
        _drop_tally_counts("rl-1", None),
    ):
        assert not all(isinstance(verdict, Holds) for verdict in judge(removal(bare)).values())


@untimed
@given(observations(), st.randoms(use_true_random=False))
def test_the_order_of_anything_is_irrelevant(observation: Seen, rng: random.Random) -> None:
    def shuffled(mapping: Mapping[str, ValueT]) -> dict[str, ValueT]:
        return dict(rng.sample(list(mapping.items()), len(mapping)))

    def other(now: RateLimiterSnapshot) -> RateLimiterSnapshot:
        shared = now.shared
        if isinstance(shared, SharedState):
            shared = replace(
                shared,
                limits=shuffled(shared.limits),
                tallies=shuffled(shared.tallies),
                counters=tuple(rng.sample(shared.counters, len(shared.counters))),
            )
        return replace(now, nodes=shuffled(now.nodes), shared=shared)

    previous = None if observation.previous is None else other(observation.previous)
    changed = replace(observation, snapshot=other(observation.snapshot), previous=previous)
    assert judge(changed) == judge(observation)

    nodes = tuple(rng.sample(NODES, len(NODES)))
    for build in (invariants.counter_drift, invariants.ghost_allowing):
        reordered = build(LIMITS, nodes)
        assert reordered.evaluate(observation) == BY_NAME[reordered.name].evaluate(observation)


def _no_better(worse: Verdict, before: Verdict) -> None:
    """What was broken stays broken, by no less; nothing else may come to hold."""
    if isinstance(before, Broken):
        assert isinstance(worse, Broken)
        assert worse.value >= before.value
    elif isinstance(before, Holds) and isinstance(worse, Holds):
        assert (worse.value or 0.0) >= (before.value or 0.0)


@untimed
@given(
    per_bucket=st.lists(st.integers(0, 30), min_size=7, max_size=7),
    moved=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30),
)
def test_slower_checks_never_look_faster(per_bucket: list[int], moved: list[tuple[int, int]]) -> None:
    assume(sum(per_bucket) >= invariants.MIN_CHECKS)
    slower = list(per_bucket)
    for source, target in moved:
        if source < target and slower[source]:
            slower[source] -= 1
            slower[target] += 1
    empty = snapshot(rl_1=status(checks=histogram()))
    before, after = (
        BY_NAME["high_latency"].evaluate(seen(snapshot(rl_1=status(checks=histogram(*each))), empty))["rl-1"]
        for each in (per_bucket, slower)
    )
    _no_better(after, before)


@untimed
@given(
    counts=st.tuples(*[st.integers(0, 2000)] * 3),
    untallied=st.integers(0, 300),
    node=st.sampled_from(NODES),
)
def test_more_that_is_not_tallied_never_looks_like_less(
    counts: tuple[int, int, int], untallied: int, node: str
) -> None:
    there = dict(zip(NODES, counts, strict=True))
    changed = there | {node: max(there[node] - untallied, 0)}
    before, after = (
        judge(second_look(with_shared(snapshot(), tallies={name: tally(count=n) for name, n in each.items()})))
        for each in (there, changed)
    )
    for limit in LIMITS:
        _no_better(after[f"counter_drift:{limit}"], before[f"counter_drift:{limit}"])


@untimed
@given(admitted=st.integers(0, 2000), more=st.integers(0, 300), node=st.sampled_from(["rl_1", "rl_2", "rl_3"]))
def test_more_admitted_and_not_tallied_never_looks_like_less(admitted: int, more: int, node: str) -> None:
    before, after = (
        judge(second_look(with_shared(snapshot(**{node: status(admitted=n)}), tallies=tallies())))
        for n in (admitted, admitted + more)
    )
    for limit in LIMITS:
        _no_better(after[f"counter_drift:{limit}"], before[f"counter_drift:{limit}"])


some_counters = st.lists(
    st.builds(
        Counter,
        limit=st.sampled_from(LIMITS),
        key=st.sampled_from(["a", "b", "c"]),
        count=st.integers(0, 80),
        ttl_ms=st.none() | st.integers(0, 9000),
    ),
    min_size=1,
    max_size=6,
)


@untimed
@given(some_counters, st.data())
def test_fuller_counters_and_lower_limits_never_look_better(counters: list[Counter], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(counters) - 1))
    fuller = list(counters)
    fuller[which] = replace(fuller[which], count=fuller[which].count + data.draw(st.integers(0, 50)))
    lower = {name: replace(rule, limit=rule.limit - data.draw(st.integers(0, 5))) for name, rule in RULES.items()}
    before = judge(second_look(with_shared(snapshot(), counters=tuple(counters))))
    after = judge(second_look(with_shared(snapshot(), counters=tuple(fuller), limits=lower)))
    for limit in LIMITS:
        _no_better(after[f"ghost_allowing:{limit}"], before[f"ghost_allowing:{limit}"])


@untimed
@given(some_counters, st.data())
def test_one_more_stuck_counter_never_looks_better(counters: list[Counter], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(counters) - 1))
    stuck = list(counters)
    stuck[which] = replace(stuck[which], ttl_ms=None)
    before, after = (judge(second_look(with_shared(snapshot(), counters=tuple(each)))) for each in (counters, stuck))
    for limit in LIMITS:
        _no_better(after[f"stuck_key:{limit}"], before[f"stuck_key:{limit}"])
        # A stuck counter may turn excess into an unknown that it explains, never into well.
        was, now = before[f"ghost_allowing:{limit}"], after[f"ghost_allowing:{limit}"]
        assert isinstance(was, Holds) or not isinstance(now, Holds)


def test_the_invariants_under_test_are_those_of_the_subject() -> None:
    assert [invariant.name for invariant in ALL] == [invariant.name for invariant in SUBJECT.invariants]
