"""The shapes of the API's answers. Seconds, unless a name ends in `_ms`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compose.ratelimiter.config import LimitName, LimitValue, RedisUrl, SeedLimit, Strict, Timings, WindowMs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.ratelimiter.limits import Limit
    from compose.ratelimiter.shared import Shared


class LimitView(Strict):
    """A limit and its version."""

    limit: int
    window_ms: int
    version: int


class NamedLimitView(LimitView):
    """A limit after a change; `receivers` is how many subscriptions were told."""

    name: str
    receivers: int


class LimitsView(Strict):
    """GET /v1/limits."""

    limits: dict[str, LimitView]


class NodeView(Strict):
    """A node in the registry."""

    name: str
    address: str
    boot_id: str
    heartbeat_age_s: float


class NodesView(Strict):
    """GET /v1/nodes."""

    nodes: list[NodeView]


class TallyView(Strict):
    """The admitted totals of the boot that the registry names; `counts` is null where they can't be read."""

    node: str
    boot_id: str
    counts: dict[str, int] | None
    error: str | None


class CounterView(Strict):
    """Units in the window that ends now; `ttl_ms` is null where the counter never expires."""

    limit: str
    key: str
    count: int
    ttl_ms: int | None


class CountersView(Strict):
    """GET /v1/counters."""

    counters: list[CounterView]


class SharedView(Strict):
    """GET /v1/shared."""

    limits: dict[str, LimitView]
    nodes: list[NodeView]
    tallies: list[TallyView]
    counters: list[CounterView]


class RedisView(Strict):
    """The node's own link to Redis."""

    url: str
    connected: bool
    since_s: float
    error: str | None


class SubscriptionView(Strict):
    """Whether published limits reach the node."""

    connected: bool


class WriteBehindView(Strict):
    """Units that are admitted and not yet in the tally."""

    pending: int
    stuck_for_s: float
    error: str | None


class LatencyView(Strict):
    """How long checks took: cumulative counts of those that took at most `le` seconds."""

    le: list[float | str]
    counts: list[int]


class StatusView(Strict):
    """GET /v1/status: what this node knows by itself."""

    node: str
    boot_id: str
    pid: int
    uptime_s: float
    redis: RedisView
    limits: dict[str, LimitView]
    subscription: SubscriptionView
    write_behind: WriteBehindView
    admitted: dict[str, int]
    denied: dict[str, int]
    latency: LatencyView
    writes: dict[str, int]


class CheckView(Strict):
    """POST /v1/check."""

    allowed: bool
    limit: int
    remaining: int
    retry_after_ms: int
    node: str


class ConfigView(Strict):
    """GET /v1/config: no password, and no token."""

    name: str
    host: str
    port: int
    redis_url: RedisUrl
    limits: dict[LimitName, SeedLimit]
    timings: Timings


class ResetView(Strict):
    """DELETE /v1/counters/{limit}/{key}."""

    limit: str
    key: str
    existed: bool


class BatchStatusView(Strict):
    """GET /v1/status of the batch client: its job, how often it ran, how long the last run took."""

    job: str
    runs: int
    last_s: float
    error: str | None


class LimitChange(Strict):
    """The body of PUT /v1/limits/{name}."""

    limit: LimitValue
    window_ms: WindowMs | None = None


class ConfigChange(Strict):
    """The body of PATCH /v1/config."""

    redis_url: RedisUrl


def limits_view(limits: Mapping[str, Limit]) -> dict[str, LimitView]:
    """Limits by name."""
    return {
        name: LimitView(limit=limit.limit, window_ms=limit.window_ms, version=limit.version)
        for name, limit in limits.items()
    }


def shared_view(shared: Shared) -> SharedView:
    """Everything that the nodes share."""
    return SharedView(
        limits=limits_view(shared.limits),
        nodes=[
            NodeView(
                name=node.name,
                address=node.address,
                boot_id=node.boot_id,
                heartbeat_age_s=node.heartbeat_age_s,
            )
            for node in shared.nodes
        ],
        tallies=[
            TallyView(
                node=tally.node,
                boot_id=tally.boot_id,
                counts=None if tally.counts is None else dict(tally.counts),
                error=tally.error,
            )
            for tally in shared.tallies
        ],
        counters=[
            CounterView(limit=reading.limit, key=reading.key, count=reading.count, ttl_ms=reading.ttl_ms)
            for reading in shared.counters
        ],
    )
