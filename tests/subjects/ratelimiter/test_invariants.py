"""Each invariant by examples: what breaks it, and what must not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from subjects.protocols import Broken, Holds, Unknown
from subjects.ratelimiter import invariants
from subjects.ratelimiter.snapshot import Counter, LimitVersion, SharedState, Tally, Unreadable, WriteBehind
from tests.subjects.ratelimiter.samples import (
    LIMITS,
    NODES,
    RULES,
    SILENT,
    broken,
    histogram,
    judge,
    second_look,
    seen,
    shared,
    snapshot,
    status,
    tallies,
    tally,
    unknown,
    with_shared,
)


def test_a_healthy_cluster_breaks_nothing_and_hides_nothing() -> None:
    verdicts = judge(second_look(snapshot()))
    assert all(isinstance(verdict, Holds) for verdict in verdicts.values())
    assert len(verdicts) == 3 * len(NODES) + 3 * len(LIMITS)


def test_a_first_look_knows_all_but_latency() -> None:
    assert unknown(seen(snapshot())) == {f"high_latency:{node}": None for node in NODES}
    assert broken(seen(snapshot())) == set()


def test_a_silent_node_breaks_only_node_down_and_explains_the_rest() -> None:
    observation = second_look(snapshot(rl_2=SILENT))
    assert broken(observation) == {"node_down:rl-2"}
    because = ("node_down", "rl-2")
    assert unknown(observation) == {
        "redis_disconnected:rl-2": because,
        "high_latency:rl-2": because,
        "counter_drift:per-user": because,
        "counter_drift:per-ip": because,
        "counter_drift:login": because,
    }
    assert judge(observation)["node_down:rl-2"] == Broken(1.0, "rl-2 was asked for its status: no answer within 0.4 s.")


def test_a_node_that_is_missing_from_the_snapshot_is_down() -> None:
    healthy = snapshot()
    views = {node: view for node, view in healthy.nodes.items() if node != "rl-3"}
    assert "node_down:rl-3" in broken(second_look(replace(healthy, nodes=views)))


def test_redis_gone_for_all_breaks_only_redis_disconnected() -> None:
    lost = {node.replace("-", "_"): status(connected=False, checks=histogram(2000, 90, 0, 0, 30)) for node in NODES}
    now = replace(snapshot(**lost), shared=Unreadable("503", because=("redis_disconnected", "rl-1")))
    observation = seen(now, snapshot())
    assert broken(observation) == {f"redis_disconnected:{node}" for node in NODES}
    causes = unknown(observation)
    assert {causes[f"high_latency:{node}"] for node in NODES} == {("redis_disconnected", node) for node in NODES}
    assert all(
        causes[f"{name}:{limit}"] == ("redis_disconnected", "rl-1")
        for name in ("counter_drift", "ghost_allowing", "stuck_key")
        for limit in LIMITS
    )


def test_one_node_without_redis_breaks_only_its_own_key() -> None:
    observation = second_look(snapshot(rl_2=status(connected=False)))
    assert broken(observation) == {"redis_disconnected:rl-2"}
    assert unknown(observation) == {"high_latency:rl-2": ("redis_disconnected", "rl-2")}


def test_latency_is_not_judged_over_a_time_without_redis() -> None:
    slow = histogram(2000, 100, 0, 0, 0, 40)
    observation = seen(snapshot(rl_2=status(checks=slow)), snapshot(rl_2=status(connected=False)))
    assert "high_latency:rl-2" in unknown(observation)


def test_slow_checks_break_high_latency_with_the_quantile() -> None:
    # 40 checks, 10 of which took 250 to 500 ms: the 38th of 40 stands at 8/10 of that bucket.
    now = snapshot(rl_2=status(checks=histogram(2030, 100, 0, 0, 10)))
    observation = seen(now, snapshot())
    assert broken(observation) == {"high_latency:rl-2"}
    verdict = judge(observation)["high_latency:rl-2"]
    assert verdict == Broken(450.0, "rl-2 took up to 450 ms for 95 of 100 checks, of 40.")


def test_checks_beyond_the_last_bound_count_as_that_bound_and_say_so() -> None:
    verdict = judge(seen(snapshot(rl_2=status(checks=histogram(2000, 100, 0, 0, 0, 0, 20))), snapshot()))[
        "high_latency:rl-2"
    ]
    assert verdict == Broken(1000.0, "rl-2 took more than 1000 ms for 95 of 100 checks, of 20.")


def test_a_threshold_beyond_the_last_bound_is_never_said_to_hold_there() -> None:
    strict = invariants.high_latency(NODES, replace(invariants.HIGH_LATENCY, threshold=5000))
    beyond = seen(snapshot(rl_2=status(checks=histogram(2000, 100, 0, 0, 0, 0, 20))), snapshot())
    assert isinstance(strict.evaluate(beyond)["rl-2"], Unknown)


def test_at_the_threshold_is_broken_and_below_is_not() -> None:
    slow = seen(snapshot(rl_2=status(checks=histogram(2030, 100, 0, 0, 10))), snapshot())
    for threshold, kind in ((450, Broken), (450.5, Holds)):
        latency = invariants.high_latency(NODES, replace(invariants.HIGH_LATENCY, threshold=threshold))
        assert isinstance(latency.evaluate(slow)["rl-2"], kind)
    behind = second_look(with_shared(snapshot(), tallies=tallies(rl_2=tally(count=910))))
    for threshold, kind in ((100, Broken), (101, Holds)):
        drift = invariants.counter_drift(LIMITS, NODES, replace(invariants.COUNTER_DRIFT, threshold=threshold))
        assert isinstance(drift.evaluate(behind)["login"], kind)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(histogram(2000, 100), histogram(2000, 104), id="too few checks"),
        pytest.param(histogram(2000, 100), histogram(2000, 100), id="no checks"),
        pytest.param(histogram(2000, 100), histogram(1990, 200), id="a count that fell"),
        pytest.param(histogram(2000, 100), histogram(), id="a reset"),
        pytest.param(histogram(0, 100), histogram(200), id="more below a bound than in all"),
        pytest.param(
            histogram(2000, 100),
            replace(histogram(3000, 100), bounds_s=(0.02, 0.05, 0.1, 0.25, 0.5, 1.0, math.inf)),
            id="other bounds",
        ),
    ],
)
def test_latency_that_cannot_be_compared_is_unknown(before: object, now: object) -> None:
    observation = seen(snapshot(rl_2=status(checks=now)), snapshot(rl_2=status(checks=before)))  # type: ignore[arg-type]  # histograms
    assert unknown(observation)["high_latency:rl-2"] is None
    assert broken(observation) == set()


def test_a_node_that_was_restarted_breaks_nothing() -> None:
    """New boot, empty histogram, counts from nothing; the registry shows the old boot for a moment longer."""
    new = status(boot="boot-2", admitted=3, checks=histogram(10))
    at_first = snapshot(rl_2=new)
    assert broken(seen(at_first, snapshot())) == set()
    assert set(unknown(seen(at_first, snapshot()))) >= {"high_latency:rl-2", "counter_drift:login"}

    registered = with_shared(at_first, tallies=tallies(rl_2=tally(boot="boot-2", count=0)))
    assert broken(seen(registered, at_first)) == set()
    assert all(isinstance(v, Holds) for at, v in judge(seen(registered, at_first)).items() if "drift" in at)


def test_latency_of_another_boot_is_not_compared_even_where_it_could_be() -> None:
    now = snapshot(rl_2=status(boot="boot-2", checks=histogram(2000, 100, 0, 0, 0, 50)))
    assert "high_latency:rl-2" in unknown(seen(now, snapshot()))


def test_a_tally_of_a_dead_boot_is_not_compared_with_the_living_one() -> None:
    now = snapshot(rl_2=status(boot="boot-2", admitted=5000))
    assert {at for at in unknown(second_look(now)) if "drift" in at} == {f"counter_drift:{n}" for n in LIMITS}
    assert broken(second_look(now)) == set()


def test_admissions_that_are_not_tallied_break_counter_drift() -> None:
    behind = with_shared(
        snapshot(rl_2=replace(status(), write_behind=WriteBehind(120, 7.5, "WRONGTYPE"))),
        tallies=tallies(rl_2=tally(count=880)),
    )
    verdict = judge(second_look(behind))["counter_drift:login"]
    assert verdict == Broken(
        130.0,  # 120 at rl-2 and 5 at each of the others
        "rl-2 has admitted 1000 and its tally has 880; 120 wait to be written, stuck for 7.5 s (WRONGTYPE).",
    )


def test_something_else_in_a_tallys_place_holds_no_admission() -> None:
    wrong = Tally("boot-1", None, "WRONGTYPE Operation against a key holding the wrong kind of value")
    now = with_shared(snapshot(), tallies=tallies(rl_2=wrong))
    assert broken(second_look(now)) == {f"counter_drift:{limit}" for limit in LIMITS}


@pytest.mark.parametrize("error", [None, "a count is not a number: 'x'"])
def test_a_tally_that_cannot_be_read_is_unknown(error: str | None) -> None:
    now = with_shared(snapshot(), tallies=tallies(rl_2=Tally("boot-1", None, error)))
    assert broken(second_look(now)) == set()
    assert unknown(second_look(now)) == {f"counter_drift:{limit}": None for limit in LIMITS}


def test_a_tally_that_is_ahead_does_not_hide_one_that_is_behind() -> None:
    now = with_shared(snapshot(), tallies=tallies(rl_1=tally(count=9000), rl_2=tally(count=900)))
    assert broken(second_look(now)) == {f"counter_drift:{limit}" for limit in LIMITS}
    ahead = with_shared(snapshot(), tallies=tallies(rl_1=tally(count=9000)))
    assert broken(second_look(ahead)) == set()


def test_drift_that_is_over_already_is_broken_whatever_cannot_be_read() -> None:
    now = with_shared(snapshot(rl_3=SILENT), tallies=tallies(rl_2=tally(count=800)))
    assert broken(second_look(now)) == {"node_down:rl-3"} | {f"counter_drift:{limit}" for limit in LIMITS}


def test_one_unexplained_gap_makes_the_sum_unexplained() -> None:
    """A node that is down must not excuse a tally that is missing elsewhere."""
    some = {node: each for node, each in tallies().items() if node != "rl-3"}
    observation = second_look(with_shared(snapshot(rl_1=SILENT), tallies=some))
    assert {unknown(observation)[f"counter_drift:{limit}"] for limit in LIMITS} == {None}


def test_a_count_above_the_limit_breaks_ghost_allowing_and_names_the_node_behind() -> None:
    lowered = LimitVersion(limit=10, window_ms=2000, version=2)
    limits = RULES | {"per-user": lowered}
    informed = replace(status(), limits=limits)
    counters = (Counter("per-user", "user-1", 20, 1990), Counter("per-user", "user-2", 12, 1990))
    now = with_shared(snapshot(rl_1=informed, rl_3=informed), limits=limits, counters=counters)
    observation = second_look(now)
    assert broken(observation) == {"ghost_allowing:per-user"}
    assert judge(observation)["ghost_allowing:per-user"] == Broken(
        10.0,
        "user-1 was admitted 20 times in 2 s, the limit is 10. Redis has version 2; rl-2 uses version 1 (limit 20).",
    )


def test_a_full_counter_is_no_excess() -> None:
    counters = tuple(Counter(name, "hot", rule.limit, 5) for name, rule in RULES.items())
    assert broken(second_look(with_shared(snapshot(), counters=counters))) == set()


def test_a_node_that_is_behind_but_admits_nothing_in_excess_breaks_nothing() -> None:
    limits = RULES | {"per-user": LimitVersion(limit=20, window_ms=2000, version=7)}
    assert broken(second_look(with_shared(snapshot(), limits=limits))) == set()


@pytest.mark.parametrize("ttl_ms", [None, 4001, 10**9])
def test_a_counter_that_stays_breaks_only_stuck_key(ttl_ms: int | None) -> None:
    stuck = Counter("per-user", "user-7", 20, ttl_ms)
    now = with_shared(snapshot(), counters=(*shared().counters, stuck))
    assert broken(second_look(now)) == {"stuck_key:per-user"}


def test_a_stuck_counter_says_what_it_is() -> None:
    counters = (Counter("login", "a", 1, None), Counter("login", "b", 5, None), Counter("login", "c", 9, 90_000))
    verdict = judge(second_look(with_shared(snapshot(), counters=counters)))["stuck_key:login"]
    assert verdict == Broken(
        3.0, "The counter of b stays for ever with 5 entries, the window is 2 s, and 2 more like it."
    )


def test_a_stuck_counter_above_a_lowered_limit_is_no_evidence_of_excess() -> None:
    now = with_shared(
        snapshot(),
        limits=RULES | {"per-user": LimitVersion(10, 2000, 1)},
        counters=(Counter("per-user", "user-7", 20, None),),
    )
    assert broken(second_look(now)) == {"stuck_key:per-user"}
    assert unknown(second_look(now)) == {"ghost_allowing:per-user": ("stuck_key", "per-user")}


def test_a_limit_that_vanished_is_unknown() -> None:
    now = with_shared(snapshot(), limits={k: v for k, v in RULES.items() if k != "login"})
    assert unknown(second_look(now)) == {"ghost_allowing:login": None, "stuck_key:login": None}


def test_a_limit_that_a_node_does_not_know_is_unknown() -> None:
    blind = replace(status(), admitted={"per-user": 1000, "per-ip": 1000})
    assert unknown(second_look(snapshot(rl_1=blind))) == {"counter_drift:login": None}


def test_an_unreadable_shared_state_hands_its_explanation_on() -> None:
    now = replace(snapshot(), shared=Unreadable("timeout", because=("high_latency", "rl-1")))
    assert not isinstance(now.shared, SharedState)
    assert set(unknown(second_look(now)).values()) == {("high_latency", "rl-1")}


def test_two_faults_at_once_are_both_seen() -> None:
    counters = (Counter("per-user", "user-1", 21, 1990),)
    now = with_shared(snapshot(rl_3=SILENT), counters=counters)
    assert broken(second_look(now)) == {"node_down:rl-3", "ghost_allowing:per-user"}


def test_however_many_nodes_are_behind_a_detail_stays_short() -> None:
    nodes = tuple(f"node-number-{n}" for n in range(200))
    ghost = invariants.ghost_allowing(("login",), nodes)
    now = replace(
        with_shared(snapshot(), limits={"login": LimitVersion(1, 2000, 9)}), nodes={n: status() for n in nodes}
    )
    verdict = ghost.evaluate(seen(now))["login"]
    assert isinstance(verdict, Broken)
    assert len(verdict.detail) <= 501
    assert verdict.detail.endswith(".")
