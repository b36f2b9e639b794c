"""The rate limiter as a subject: its configuration, and one look at all of it per tick."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from subjects.bounded_http import ReadFailedError, new_http_client
from subjects.configuration import ConfigModel, check_url, validate
from subjects.protocols import Severity
from subjects.ratelimiter import invariants
from subjects.ratelimiter.client import RateLimiterClient
from subjects.ratelimiter.snapshot import NodeStatus, NodeView, RateLimiterSnapshot, SharedState, Unreadable

if TYPE_CHECKING:
    import httpx

    from subjects.clock import Clock
    from subjects.protocols import Invariant

TIMEOUT_SHARE = 0.6
"""The part of the interval that a look may take; less than what the scheduler grants it."""

MAX_TIMEOUT_S = 2.0
"""A node that takes longer than this is as good as silent, however long the interval."""

HEDGES = 3
"""A read of the shared state is sent to one node more each time this part of the timeout has passed."""

_Url = Annotated[str, AfterValidator(check_url)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
_Seconds = Annotated[float, Field(ge=0, le=86_400)]


class InvariantConfig(ConfigModel):
    """What may be changed about any invariant; what is left out keeps its default."""

    grace_s: _Seconds | None = None
    blind_grace_s: _Seconds | None = None
    severity: Literal["critical", "warning"] | None = None
    runbook: _Url | None = None

    def tuned(self, default: invariants.Tuning) -> invariants.Tuning:
        """The default with these changes."""
        return invariants.Tuning(
            threshold=self._threshold(default),
            grace_s=default.grace_s if self.grace_s is None else self.grace_s,
            severity=default.severity if self.severity is None else Severity(self.severity),
            blind_grace_s=default.blind_grace_s if self.blind_grace_s is None else self.blind_grace_s,
            runbook=default.runbook if self.runbook is None else self.runbook,
        )

    def _threshold(self, default: invariants.Tuning) -> float:
        return default.threshold


class MeasuredConfig(InvariantConfig):
    """For an invariant that measures something: its threshold as well, in the invariant's unit."""

    threshold: Annotated[float, Field(gt=0)] | None = None

    def _threshold(self, default: invariants.Tuning) -> float:
        return default.threshold if self.threshold is None else self.threshold


class LatencyConfig(MeasuredConfig):
    """For ``high_latency``: also how many checks between two looks it takes to judge."""

    min_checks: Annotated[int, Field(ge=1)] = invariants.MIN_CHECKS


class InvariantConfigs(ConfigModel):
    """Changes by invariant."""

    node_down: InvariantConfig = InvariantConfig()
    redis_disconnected: InvariantConfig = InvariantConfig()
    high_latency: LatencyConfig = LatencyConfig()
    counter_drift: MeasuredConfig = MeasuredConfig()
    ghost_allowing: MeasuredConfig = MeasuredConfig()
    stuck_key: MeasuredConfig = MeasuredConfig()


class RateLimiterConfig(ConfigModel):
    """The configuration of one rate limiter: nodes by name, and the limits that ought to be there."""

    nodes: Annotated[dict[_Name, _Url], Field(min_length=1, max_length=200)]
    limits: Annotated[list[_Name], Field(min_length=1, max_length=200)]
    runbook: _Url | None = None
    invariants: InvariantConfigs = InvariantConfigs()

    @field_validator("nodes")
    @classmethod
    def _different_urls(cls, nodes: dict[str, str]) -> dict[str, str]:
        by_url: dict[str, str] = {}
        for name, url in nodes.items():
            if url in by_url:
                raise ValueError(f"{by_url[url]} and {name} have the same URL: give each node its own")
            by_url[url] = name
        return nodes

    @field_validator("limits")
    @classmethod
    def _different_names(cls, limits: list[str]) -> list[str]:
        for name in limits:
            if limits.count(name) > 1:
                raise ValueError(f"{name} stands there more than once: name each limit once")
        return limits


def build(name: str, config: Mapping[str, object], clock: Clock, interval_s: float) -> RateLimiter:
    """The entry point. Raises ``SubjectConfigError``."""
    del clock  # nothing in a look depends on the time
    return RateLimiter(name, validate(RateLimiterConfig, config, subject=name), interval_s=interval_s)


class RateLimiter:
    """The nodes of one rate limiter and what they share in Redis."""

    def __init__(
        self,
        name: str,
        config: RateLimiterConfig,
        *,
        interval_s: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``transport`` replaces the network, for tests."""
        if interval_s <= 0:
            raise ValueError("interval_s has to be positive")
        self._name = name
        self._runbook = config.runbook
        self._nodes = tuple(config.nodes)
        self._invariants = _invariants(config)
        self._timeout_s = min(interval_s * TIMEOUT_SHARE, MAX_TIMEOUT_S)
        self._http = new_http_client(transport)
        self._client = RateLimiterClient(config.nodes, self._http, timeout_s=self._timeout_s)
        self._looks = 0
        self._connected: frozenset[str] = frozenset(config.nodes)

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    @property
    def title(self) -> str:
        """One line for people."""
        count = len(self._nodes)
        return f"Rate limiter, {count} node{'' if count == 1 else 's'}"

    @property
    def runbook(self) -> str | None:
        """As configured."""
        return self._runbook

    @property
    def invariants(self) -> Sequence[Invariant[RateLimiterSnapshot]]:
        """All six."""
        return self._invariants

    async def observe(self) -> RateLimiterSnapshot:
        """Read every node and the shared state, all at once; never raises ``Unobservable``."""
        async with asyncio.TaskGroup() as reads:
            statuses = {node: reads.create_task(self._status(node)) for node in self._nodes}
            shared = reads.create_task(self._shared(self._asking_order()))
        nodes = {node: task.result() for node, task in statuses.items()}
        self._looks += 1
        self._connected = frozenset(
            node for node, view in nodes.items() if isinstance(view, NodeStatus) and view.redis.connected
        )
        state = shared.result()
        return RateLimiterSnapshot(
            nodes=nodes,
            shared=Unreadable(state, because=_explanation(nodes)) if isinstance(state, str) else state,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _status(self, node: str) -> NodeView:
        try:
            return await self._client.status(node)
        except ReadFailedError as error:
            return Unreadable(str(error))

    def _asking_order(self) -> Sequence[str]:
        """All nodes, a different one first each time, those last seen with Redis before the others."""
        start = self._looks % len(self._nodes)
        rotated = self._nodes[start:] + self._nodes[:start]
        return sorted(rotated, key=lambda node: node not in self._connected)

    async def _shared(self, order: Sequence[str]) -> SharedState | str:
        """The shared state from the first node that answers, or why none did.

        The next node is asked when one has failed, and also when one is slow: a frozen node would otherwise
        take the whole time.
        """
        failures: list[str] = []
        waiting: Iterator[str] = iter(order)
        asked: dict[asyncio.Task[SharedState], str] = {}
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    node = next(waiting, None)
                    if node is not None:
                        asked[asyncio.create_task(self._client.shared(node))] = node
                    elif not asked:
                        return "; ".join(failures)
                    patience_s = None if node is None else self._timeout_s / HEDGES
                    done, _ = await asyncio.wait(asked, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        answerer = asked.pop(task)
                        try:
                            return task.result()
                        except ReadFailedError as error:
                            failures.append(f"{answerer} was asked for the shared state: {error}")
        except TimeoutError:
            silent = [f"{node} was asked for the shared state: no answer in time" for node in asked.values()]
            return "; ".join(failures + silent)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


def _explanation(nodes: Mapping[str, NodeView]) -> tuple[str, str]:
    """The invariant and key that, when broken, explains why no node could read the shared state."""
    first = min(nodes)
    for node in sorted(nodes):
        view = nodes[node]
        if isinstance(view, NodeStatus) and view.redis.connected:
            # It has its Redis and could not read it in time.
            return ("high_latency", node)
        if isinstance(view, NodeStatus) and isinstance(nodes[first], Unreadable):
            first = node
    return ("node_down" if isinstance(nodes[first], Unreadable) else "redis_disconnected", first)


def _invariants(config: RateLimiterConfig) -> tuple[Invariant[RateLimiterSnapshot], ...]:
    nodes, limits, changes = tuple(config.nodes), tuple(config.limits), config.invariants
    latency = changes.high_latency
    return (
        invariants.node_down(nodes, changes.node_down.tuned(invariants.NODE_DOWN)),
        invariants.redis_disconnected(nodes, changes.redis_disconnected.tuned(invariants.REDIS_DISCONNECTED)),
        invariants.high_latency(nodes, latency.tuned(invariants.HIGH_LATENCY), latency.min_checks),
        invariants.counter_drift(limits, nodes, changes.counter_drift.tuned(invariants.COUNTER_DRIFT)),
        invariants.ghost_allowing(limits, nodes, changes.ghost_allowing.tuned(invariants.GHOST_ALLOWING)),
        invariants.stuck_key(limits, changes.stuck_key.tuned(invariants.STUCK_KEY)),
    )
