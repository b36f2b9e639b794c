"""What ought to be true of the rate limiter: pure functions from an observation to a verdict per key.

Every value is a measure of how bad it is: a key is broken when its value is at or above the threshold. What
cannot be read is unknown, with the invariant that already explains it where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from subjects.protocols import Broken, Holds, Invariant, Observation, Severity, Unknown, Verdict
from subjects.ratelimiter.latency import Checks, checks_between, quantile_s
from subjects.ratelimiter.snapshot import NodeStatus, RateLimiterSnapshot, SharedState, Unreadable
from subjects.words import one_line

Seen: TypeAlias = Observation[RateLimiterSnapshot]
_Cause: TypeAlias = tuple[str, str] | None

QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a deployment may change about an invariant. Times in seconds."""

    threshold: float
    grace_s: float
    severity: Severity
    blind_grace_s: float = 30.0
    runbook: str | None = None


NODE_DOWN = Tuning(threshold=1, grace_s=1.5, severity=Severity.CRITICAL)
# A node pings each 0.5 s and waits 1 s: for one ping that was missed it can be without Redis for 1.5 s.
REDIS_DISCONNECTED = Tuning(threshold=1, grace_s=2.0, severity=Severity.CRITICAL)
# Without traffic there is no latency to see, and a quiet hour is not an outage.
HIGH_LATENCY = Tuning(threshold=150, grace_s=2.0, severity=Severity.WARNING, blind_grace_s=3600.0)
COUNTER_DRIFT = Tuning(threshold=100, grace_s=3.0, severity=Severity.WARNING)
# A limit that was lowered is exceeded, rightly, for one window: the longest default window and a second.
GHOST_ALLOWING = Tuning(threshold=1, grace_s=4.0, severity=Severity.CRITICAL)
STUCK_KEY = Tuning(threshold=1, grace_s=1.0, severity=Severity.WARNING)

MIN_CHECKS = 5
"""Fewer checks than this between two looks do not make a quantile."""

STUCK_WINDOWS = 2
"""A counter lives one window beyond its last admission; one that would live this many is stuck."""

MAX_SENTENCE = 500
"""The longest detail or reason, characters."""


def node_down(nodes: Sequence[str], tuning: Tuning = NODE_DOWN) -> Invariant[RateLimiterSnapshot]:
    """Every configured node answers a read of its status."""
    return _invariant(
        "node_down",
        "Every configured node answers when it is asked for its status.",
        "unanswered read",
        nodes,
        tuning,
        _judge_node_down,
    )


def redis_disconnected(nodes: Sequence[str], tuning: Tuning = REDIS_DISCONNECTED) -> Invariant[RateLimiterSnapshot]:
    """Every node has its connection to Redis, by its own ping."""
    return _invariant(
        "redis_disconnected",
        "Every node reaches Redis.",
        "lost connection",
        nodes,
        tuning,
        _judge_redis_disconnected,
    )


def high_latency(
    nodes: Sequence[str], tuning: Tuning = HIGH_LATENCY, min_checks: int = MIN_CHECKS
) -> Invariant[RateLimiterSnapshot]:
    """The 95th percentile of the checks that a node answered between two looks stays below the threshold."""
    return _invariant(
        "high_latency",
        "At every node 95 of 100 checks are answered faster than the threshold.",
        "ms",
        nodes,
        tuning,
        partial(_judge_high_latency, threshold_ms=tuning.threshold, min_checks=min_checks),
    )


def counter_drift(
    limits: Sequence[str], nodes: Sequence[str], tuning: Tuning = COUNTER_DRIFT
) -> Invariant[RateLimiterSnapshot]:
    """What the nodes admitted since their starts, less what stands in their tallies in Redis."""
    return _invariant(
        "counter_drift",
        "What the nodes have admitted stands in their tallies in Redis.",
        "admissions",
        limits,
        tuning,
        partial(_judge_counter_drift, nodes=tuple(sorted(nodes)), threshold=tuning.threshold),
    )


def ghost_allowing(
    limits: Sequence[str], nodes: Sequence[str], tuning: Tuning = GHOST_ALLOWING
) -> Invariant[RateLimiterSnapshot]:
    """The largest count of a counter in its window, less the limit that stands in Redis."""
    return _invariant(
        "ghost_allowing",
        "No key is admitted more often in one window than the limit in Redis allows.",
        "admissions over the limit",
        limits,
        tuning,
        partial(_judge_ghost_allowing, nodes=tuple(sorted(nodes)), threshold=tuning.threshold),
    )


def stuck_key(limits: Sequence[str], tuning: Tuning = STUCK_KEY) -> Invariant[RateLimiterSnapshot]:
    """Counters that Redis will not drop by itself, or not within two windows."""
    return _invariant(
        "stuck_key",
        "Every counter expires by itself.",
        "counters",
        limits,
        tuning,
        partial(_judge_stuck_key, threshold=tuning.threshold),
    )


def _invariant(
    name: str,
    sentence: str,
    unit: str,
    expected: Sequence[str],
    tuning: Tuning,
    judge: Callable[[Seen, str], Verdict],
) -> Invariant[RateLimiterSnapshot]:
    keys = tuple(expected)

    def evaluate(seen: Seen) -> Mapping[str, Verdict]:
        return {key: judge(seen, key) for key in keys}

    return Invariant(
        name=name,
        sentence=sentence,
        severity=tuning.severity,
        threshold=tuning.threshold,
        unit=unit,
        grace_s=tuning.grace_s,
        expected=keys,
        evaluate=evaluate,
        blind_grace_s=tuning.blind_grace_s,
        runbook=tuning.runbook,
    )


def _node(snapshot: RateLimiterSnapshot, node: str) -> NodeStatus | Unreadable:
    return snapshot.nodes.get(node, Unreadable("it was not read"))


def _judge_node_down(seen: Seen, node: str) -> Verdict:
    view = _node(seen.snapshot, node)
    if isinstance(view, Unreadable):
        return _broken(1.0, f"{node} was asked for its status: {view.why}.")
    return Holds(0.0)


def _judge_redis_disconnected(seen: Seen, node: str) -> Verdict:
    view = _node(seen.snapshot, node)
    if isinstance(view, Unreadable):
        return _unreadable_node(node, view)
    if view.redis.connected:
        return Holds(0.0)
    said = f": {view.redis.error}" if view.redis.error else ""
    return _broken(1.0, f"{node} has not reached Redis at {view.redis.url} for {view.redis.since_s:.1f} s{said}.")


def _judge_high_latency(seen: Seen, node: str, *, threshold_ms: float, min_checks: int) -> Verdict:
    checks = _checks_seen(seen, node)
    if isinstance(checks, Unknown):
        return checks
    if checks.total < min_checks:
        return Unknown(f"{node} answered {checks.total} checks between the readings; {min_checks} are needed.")
    p95 = quantile_s(checks, QUANTILE)
    value = round(p95.seconds * 1000, 3)
    if value >= threshold_ms:
        took = "more than" if p95.is_lower_bound else "up to"
        return _broken(value, f"{node} took {took} {value:.0f} ms for 95 of 100 checks, of {checks.total}.")
    if p95.is_lower_bound:
        return Unknown(f"{node}'s histogram ends at {value:.0f} ms, below the threshold.")
    return Holds(value)


def _checks_seen(seen: Seen, node: str) -> Checks | Unknown:
    """The checks that a node answered between the two readings, if both tell of the same boot with Redis."""
    now = _node(seen.snapshot, node)
    if isinstance(now, Unreadable):
        return _unreadable_node(node, now)
    if not now.redis.connected:
        # What is timed then is how fast checks fail.
        return Unknown(f"{node} does not reach Redis.", because=("redis_disconnected", node))
    before = None if seen.previous is None else _node(seen.previous, node)
    if not isinstance(before, NodeStatus):
        why = f"There is no earlier reading of {node} to compare with."
    elif before.boot_id != now.boot_id:
        why = f"{node} has started anew since the earlier reading."
    elif not before.redis.connected:
        why = f"{node} did not reach Redis at the earlier reading."
    elif (checks := checks_between(before.latency, now.latency)) is not None:
        return checks
    else:
        why = f"{node}'s latency counts do not continue those of the earlier reading."
    return Unknown(why)


@dataclass(frozen=True, slots=True)
class _Gap:
    """What keeps a sum from being complete."""

    why: str
    because: _Cause


def _judge_counter_drift(seen: Seen, limit: str, *, nodes: Sequence[str], threshold: float) -> Verdict:
    shared = seen.snapshot.shared
    if isinstance(shared, Unreadable):
        return Unknown(_sentence(shared.why), because=shared.because)
    parts = {node: _drift(_node(seen.snapshot, node), shared, node, limit) for node in nodes}
    # A tally that is ahead makes up for nothing: it would hide what another node has lost.
    drifts = {node: max(part, 0) for node, part in parts.items() if isinstance(part, int)}
    total = sum(drifts.values())
    if total >= threshold:
        worst = max(drifts, key=lambda node: drifts[node])
        return _broken(float(total), _drift_facts(seen.snapshot, shared, worst, limit))
    gaps = [part for part in parts.values() if isinstance(part, _Gap)]
    if gaps:
        unexplained = [gap for gap in gaps if gap.because is None]
        first = (unexplained or gaps)[0]
        return Unknown(_sentence("; ".join(gap.why for gap in gaps)), because=first.because)
    return Holds(float(total))


def _drift(view: NodeStatus | Unreadable, shared: SharedState, node: str, limit: str) -> int | _Gap:
    if isinstance(view, Unreadable):
        return _Gap(f"{node} cannot be read", ("node_down", node))
    admitted = view.admitted.get(limit)
    if admitted is None:
        return _Gap(f"{node} does not say what it admitted", None)
    tally = shared.tallies.get(node)
    if tally is None or tally.boot_id != view.boot_id:
        because = None if view.redis.connected else ("redis_disconnected", node)
        return _Gap(f"Redis does not show the tally of {node}'s present boot", because)
    if tally.counts is not None:
        return admitted - tally.counts.get(limit, 0)
    if _is_no_tally(tally.error):
        return admitted
    return _Gap(f"{node}'s tally cannot be read ({tally.error or 'no reason given'})", None)


def _is_no_tally(error: str | None) -> bool:
    """Whether Redis said that something else stands in the tally's place, which then holds no admission."""
    return error is not None and "WRONGTYPE" in error


def _drift_facts(snapshot: RateLimiterSnapshot, shared: SharedState, node: str, limit: str) -> str:
    view, tally = _node(snapshot, node), shared.tallies.get(node)
    if isinstance(view, Unreadable) or tally is None:  # neither has a drift
        return f"{node} cannot be read."
    admitted = view.admitted.get(limit, 0)
    if tally.counts is None:
        stands = f"its tally cannot be read ({tally.error})"
    else:
        stands = f"its tally has {tally.counts.get(limit, 0)}"
    held = view.write_behind
    reason = f" ({held.error})" if held.error else ""
    return (
        f"{node} has admitted {admitted} and {stands}; "
        f"{held.pending} wait to be written, stuck for {held.stuck_for_s:.1f} s{reason}."
    )


def _judge_ghost_allowing(seen: Seen, limit: str, *, nodes: Sequence[str], threshold: float) -> Verdict:
    shared = seen.snapshot.shared
    if isinstance(shared, Unreadable):
        return Unknown(_sentence(shared.why), because=shared.because)
    rule = shared.limits.get(limit)
    if rule is None:
        return Unknown(f"Redis has no limit of the name {limit}.")
    counters = [each for each in shared.counters if each.limit == limit]
    # A stuck counter holds entries that are no admissions of this window.
    alive = [each for each in counters if not _is_stuck(each.ttl_ms, rule.window_ms)]
    fullest = max(alive, key=lambda each: (each.count, each.key), default=None)
    excess = 0 if fullest is None else max(fullest.count - rule.limit, 0)
    if fullest is not None and excess >= threshold:
        behind = [text for node in nodes if (text := _version_behind(seen.snapshot, node, limit, rule.version))]
        versions = f" Redis has version {rule.version}; {'; '.join(behind)}." if behind else ""
        return _broken(
            float(excess),
            f"{fullest.key} was admitted {fullest.count} times in {rule.window_ms / 1000:g} s, "
            f"the limit is {rule.limit}.{versions}",
        )
    if any(each.count - rule.limit >= threshold for each in counters):
        return Unknown("Only a stuck counter is above the limit.", because=("stuck_key", limit))
    return Holds(float(excess))


def _version_behind(snapshot: RateLimiterSnapshot, node: str, limit: str, version: int) -> str | None:
    view = _node(snapshot, node)
    if isinstance(view, Unreadable):
        return None
    held = view.limits.get(limit)
    if held is None:
        return f"{node} does not know the limit"
    if held.version < version:
        return f"{node} uses version {held.version} (limit {held.limit})"
    return None


def _judge_stuck_key(seen: Seen, limit: str, *, threshold: float) -> Verdict:
    shared = seen.snapshot.shared
    if isinstance(shared, Unreadable):
        return Unknown(_sentence(shared.why), because=shared.because)
    rule = shared.limits.get(limit)
    if rule is None:
        return Unknown(f"Redis has no limit of the name {limit}.")
    stuck = sorted(
        (each for each in shared.counters if each.limit == limit and _is_stuck(each.ttl_ms, rule.window_ms)),
        key=lambda each: (each.ttl_ms is not None, -each.count, each.key),
    )
    if len(stuck) < threshold:
        return Holds(float(len(stuck)))
    first = stuck[0]
    lives = "for ever" if first.ttl_ms is None else f"for {first.ttl_ms / 1000:g} s more"
    others = f", and {len(stuck) - 1} more like it" if len(stuck) > 1 else ""
    return _broken(
        float(len(stuck)),
        f"The counter of {first.key} stays {lives} with {first.count} entries, "
        f"the window is {rule.window_ms / 1000:g} s{others}.",
    )


def _is_stuck(ttl_ms: int | None, window_ms: int) -> bool:
    return ttl_ms is None or ttl_ms > STUCK_WINDOWS * window_ms


def _unreadable_node(node: str, view: Unreadable) -> Unknown:
    return Unknown(_sentence(f"{node} was asked for its status: {view.why}"), because=("node_down", node))


def _broken(value: float, detail: str) -> Broken:
    return Broken(value, _sentence(detail))


def _sentence(text: str) -> str:
    """One sentence, of a length that fits a chat message whatever a long list of nodes makes of it."""
    return one_line(text.rstrip("."), limit=MAX_SENTENCE) + "."
