"""Reads of a rate limiter node's management API. Nothing here writes.

Models stand at the edge: strict about what is missing or of the wrong type, indifferent to additional fields.
Inside there are only the records of ``snapshot``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, field_validator, model_validator

from subjects.bounded_http import Answer, ReadFailedError, get_json
from subjects.ratelimiter.snapshot import (
    Counter,
    Histogram,
    LimitVersion,
    NodeStatus,
    RedisLink,
    SharedState,
    Tally,
    WriteBehind,
)
from subjects.words import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Seconds = Annotated[float, Field(ge=0, le=1e9)]


class RateLimiterClient:
    """The nodes' answers as records, each read within ``timeout_s``."""

    def __init__(self, nodes: Mapping[str, str], http: httpx.AsyncClient, *, timeout_s: float) -> None:
        """``nodes`` are base URLs by name; ``http`` stays the caller's to close."""
        self._nodes = dict(nodes)
        self._http = http
        self._timeout_s = timeout_s

    async def status(self, node: str) -> NodeStatus:
        """What a node says about itself. Raises ``ReadFailedError``."""
        answer = await get_json(self._http, f"{self._nodes[node]}/v1/status", _StatusAnswer, timeout_s=self._timeout_s)
        if answer.node != node:
            raise ReadFailedError(f"answered as {one_line(answer.node)}, which is another node")
        return answer.record()

    async def shared(self, node: str) -> SharedState:
        """What stands in Redis, read through a node. Raises ``ReadFailedError``."""
        answer = await get_json(self._http, f"{self._nodes[node]}/v1/shared", _SharedAnswer, timeout_s=self._timeout_s)
        return answer.record(read_from=node)


class _Limit(Answer):
    limit: _Count
    window_ms: Annotated[int, Field(gt=0, le=2**53)]
    version: _Count

    def record(self) -> LimitVersion:
        return LimitVersion(limit=self.limit, window_ms=self.window_ms, version=self.version)


class _Redis(Answer):
    url: str
    connected: bool
    since_s: _Seconds
    error: str | None

    def record(self) -> RedisLink:
        return RedisLink(
            connected=self.connected,
            since_s=self.since_s,
            url=one_line(_without_user(self.url)),
            error=None if self.error is None else one_line(self.error),
        )


class _WriteBehind(Answer):
    pending: _Count
    stuck_for_s: _Seconds
    error: str | None

    def record(self) -> WriteBehind:
        return WriteBehind(
            pending=self.pending,
            stuck_for_s=self.stuck_for_s,
            error=None if self.error is None else one_line(self.error),
        )


class _Latency(Answer):
    le: Annotated[list[_Seconds | Literal["+Inf"]], Field(min_length=2, max_length=200)]
    counts: list[_Count]

    @model_validator(mode="after")
    def _is_cumulative(self) -> _Latency:
        if self.le[-1] != "+Inf" or "+Inf" in self.le[:-1]:
            raise ValueError("the last bound, and only it, has to be +Inf")
        if len(self.counts) != len(self.le):
            raise ValueError("there has to be one count for each bound")
        bounds = self.bounds()
        if bounds[0] <= 0 or any(low >= high for low, high in pairwise(bounds)):
            raise ValueError("bounds have to be positive and rising")
        if any(low > high for low, high in pairwise(self.counts)):
            raise ValueError("cumulative counts cannot fall")
        return self

    def bounds(self) -> tuple[float, ...]:
        return tuple(math.inf if bound == "+Inf" else float(bound) for bound in self.le)

    def record(self) -> Histogram:
        return Histogram(bounds_s=self.bounds(), counts=tuple(self.counts))


class _StatusAnswer(Answer):
    node: _Name
    boot_id: _Name
    redis: _Redis
    limits: dict[str, _Limit]
    admitted: dict[str, _Count]
    write_behind: _WriteBehind
    latency: _Latency

    def record(self) -> NodeStatus:
        return NodeStatus(
            boot_id=self.boot_id,
            redis=self.redis.record(),
            limits={name: limit.record() for name, limit in self.limits.items()},
            # A limit that the node knows and has not yet admitted anything for need not be listed.
            admitted=dict.fromkeys(self.limits, 0) | self.admitted,
            write_behind=self.write_behind.record(),
            latency=self.latency.record(),
        )


class _Tally(Answer):
    node: _Name
    boot_id: _Name
    counts: dict[str, _Count] | None
    error: str | None

    def record(self) -> Tally:
        return Tally(
            boot_id=self.boot_id,
            counts=None if self.counts is None else dict(self.counts),
            error=None if self.error is None else one_line(self.error),
        )


class _Counter(Answer):
    limit: _Name
    key: str
    count: _Count
    ttl_ms: _Count | None

    def record(self) -> Counter:
        return Counter(limit=self.limit, key=one_line(self.key, limit=64), count=self.count, ttl_ms=self.ttl_ms)


class _SharedAnswer(Answer):
    limits: dict[str, _Limit]
    tallies: list[_Tally]
    counters: list[_Counter]

    @field_validator("tallies")
    @classmethod
    def _one_per_node(cls, tallies: list[_Tally]) -> list[_Tally]:
        if len({tally.node for tally in tallies}) != len(tallies):
            raise ValueError("a node can have only one tally of its present boot")
        return tallies

    def record(self, *, read_from: str) -> SharedState:
        return SharedState(
            read_from=read_from,
            limits={name: limit.record() for name, limit in self.limits.items()},
            tallies={tally.node: tally.record() for tally in self.tallies},
            counters=tuple(counter.record() for counter in self.counters),
        )


def _without_user(url: str) -> str:
    """A URL without user and password, which belong in no message."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
