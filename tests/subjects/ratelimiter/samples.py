"""Snapshots of a healthy rate limiter, to be changed with ``dataclasses.replace``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from subjects.protocols import Broken, Observation, Unknown, Verdict
from subjects.ratelimiter import invariants
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

NODES = ("rl-1", "rl-2", "rl-3")
LIMITS = ("per-user", "per-ip", "login")
BOUNDS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, math.inf)
RULES = {
    "per-user": LimitVersion(limit=20, window_ms=2000, version=1),
    "per-ip": LimitVersion(limit=60, window_ms=3000, version=1),
    "login": LimitVersion(limit=5, window_ms=2000, version=1),
}
AT = datetime(2026, 1, 1, tzinfo=UTC)

ALL = (
    invariants.node_down(NODES),
    invariants.redis_disconnected(NODES),
    invariants.high_latency(NODES),
    invariants.counter_drift(LIMITS, NODES),
    invariants.ghost_allowing(LIMITS, NODES),
    invariants.stuck_key(LIMITS),
)
BY_NAME = {invariant.name: invariant for invariant in ALL}


def histogram(*per_bucket: int) -> Histogram:
    """From counts per bucket of ``BOUNDS_S``, missing ones 0."""
    filled = per_bucket + (0,) * (len(BOUNDS_S) - len(per_bucket))
    return Histogram(bounds_s=BOUNDS_S, counts=tuple(sum(filled[: end + 1]) for end in range(len(BOUNDS_S))))


def status(
    *, boot: str = "boot-1", admitted: int = 1000, checks: Histogram | None = None, connected: bool = True
) -> NodeStatus:
    return NodeStatus(
        boot_id=boot,
        redis=RedisLink(
            connected=connected,
            since_s=60.0,
            url="redis://127.0.0.1:6379/0",
            error=None if connected else "connection refused",
        ),
        limits=dict(RULES),
        admitted=dict.fromkeys(LIMITS, admitted),
        write_behind=WriteBehind(pending=5, stuck_for_s=0.0, error=None),
        latency=histogram(2000, 100) if checks is None else checks,
    )


def tally(*, boot: str = "boot-1", count: int = 995) -> Tally:
    return Tally(boot_id=boot, counts=dict.fromkeys(LIMITS, count), error=None)


def tallies(**nodes: Tally) -> dict[str, Tally]:
    """All healthy, but for these (``rl_2=``)."""
    return {node: tally() for node in NODES} | {name.replace("_", "-"): each for name, each in nodes.items()}


def shared() -> SharedState:
    return SharedState(
        read_from="rl-1",
        limits=dict(RULES),
        tallies=tallies(),
        counters=tuple(
            Counter(limit=name, key=f"key-{n}", count=rule.limit - n, ttl_ms=rule.window_ms - 10)
            for name, rule in RULES.items()
            for n in range(3)
        ),
    )


def snapshot(**nodes: NodeView) -> RateLimiterSnapshot:
    """Healthy, but for these nodes (``rl_2=``)."""
    views: dict[str, NodeView] = {node: status() for node in NODES}
    views |= {name.replace("_", "-"): view for name, view in nodes.items()}
    return RateLimiterSnapshot(nodes=views, shared=shared())


def seen(now: RateLimiterSnapshot, before: RateLimiterSnapshot | None = None) -> Observation[RateLimiterSnapshot]:
    return Observation(at=AT, snapshot=now, previous=before, elapsed_s=None if before is None else 0.5)


def second_look(now: RateLimiterSnapshot) -> Observation[RateLimiterSnapshot]:
    """A look whose nodes have answered 20 quick checks each since the one before."""
    earlier: dict[str, NodeView] = {
        node: replace(view, latency=histogram(1980, 100)) if isinstance(view, NodeStatus) else view
        for node, view in now.nodes.items()
    }
    return seen(now, replace(now, nodes=earlier))


def with_shared(base: RateLimiterSnapshot, **changes: object) -> RateLimiterSnapshot:
    """The snapshot with these fields of the shared state changed."""
    assert isinstance(base.shared, SharedState)
    return replace(base, shared=replace(base.shared, **changes))  # type: ignore[arg-type]  # a wrong one fails loudly


def judge(observation: Observation[RateLimiterSnapshot]) -> Mapping[str, Verdict]:
    """All verdicts by ``invariant:key``."""
    return {
        f"{invariant.name}:{key}": verdict
        for invariant in ALL
        for key, verdict in invariant.evaluate(observation).items()
    }


def broken(observation: Observation[RateLimiterSnapshot]) -> set[str]:
    return {at for at, verdict in judge(observation).items() if isinstance(verdict, Broken)}


def unknown(observation: Observation[RateLimiterSnapshot]) -> dict[str, tuple[str, str] | None]:
    """What is unknown, and what explains it."""
    return {at: verdict.because for at, verdict in judge(observation).items() if isinstance(verdict, Unknown)}


SILENT = Unreadable("no answer within 0.4 s")
