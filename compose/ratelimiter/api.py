"""The HTTP API of a node: checks and reads, open to everyone who reaches it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from aiohttp import web
from pydantic import AfterValidator, Field

from compose.ratelimiter.config import LimitName, Strict
from compose.ratelimiter.errors import RedisLinkError, RequestError
from compose.ratelimiter.http_json import answer, parse_body, parse_query
from compose.ratelimiter.shared import read_shared
from compose.ratelimiter.views import (
    CheckView,
    CountersView,
    LimitsView,
    NodesView,
    RedisView,
    StatusView,
    SubscriptionView,
    WriteBehindView,
    limits_view,
    shared_view,
)

if TYPE_CHECKING:
    from compose.ratelimiter.metrics import Outcome
    from compose.ratelimiter.parts import Parts


def _printable(key: str) -> str:
    if not key.isprintable():
        raise ValueError("holds a character that can't be printed")
    return key


Key = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]


class CheckRequest(Strict):
    """The body of POST /v1/check."""

    limit: LimitName
    key: Key
    cost: Annotated[int, Field(ge=1, le=1000)] = 1


class CounterQuery(Strict):
    """The query of GET /v1/counters."""

    limit: LimitName | None = None
    key: Key | None = None


class NoQuery(Strict):
    """No parameter at all."""


class CounterPath(Strict):
    """A counter's place in a URL."""

    limit: LimitName
    key: Key


class Api:
    """The handlers that need no token."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.post("/v1/check", self.check),
            web.get("/healthz", self.healthz),
            web.get("/metrics", self.metrics),
            web.get("/v1/status", self.status),
            web.get("/v1/shared", self.shared),
            web.get("/v1/nodes", self.nodes),
            web.get("/v1/limits", self.limits),
            web.get("/v1/counters", self.counters),
        ]

    async def check(self, request: web.Request) -> web.Response:
        """Decide one check; a denial is a 200 as well."""
        asked = await parse_body(request, CheckRequest)
        parts = self._parts
        limit = parts.table.get(asked.limit)
        if limit is None:
            if not parts.table.loaded:
                raise RequestError(503, "not_ready", "this node has not loaded the limits from Redis yet")
            raise unknown_limit(asked.limit)
        started = parts.clock.monotonic()
        try:
            decision = await parts.limiter.check(asked.limit, limit, asked.key, asked.cost)
        except RedisLinkError:
            parts.metrics.count(asked.limit, "error", parts.clock.monotonic() - started)
            raise
        outcome: Outcome = "allowed" if decision.allowed else "denied"
        parts.metrics.count(asked.limit, outcome, parts.clock.monotonic() - started)
        parts.accounting.count(asked.limit, units=asked.cost, allowed=decision.allowed)
        headers = None if decision.allowed else {"Retry-After": str(math.ceil(decision.retry_after_ms / 1000))}
        return answer(
            CheckView(
                allowed=decision.allowed,
                limit=limit.limit,
                remaining=decision.remaining,
                retry_after_ms=decision.retry_after_ms,
                node=parts.identity.name,
            ),
            headers=headers,
        )

    async def healthz(self, request: web.Request) -> web.Response:
        """Say that the process serves; nothing about Redis."""
        parse_query(request, NoQuery)
        return web.Response(text="ok")

    async def metrics(self, _request: web.Request) -> web.Response:
        """Serve the Prometheus exposition."""
        return web.Response(
            body=self._parts.metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def status(self, request: web.Request) -> web.Response:
        """Tell what this node knows by itself, without asking Redis."""
        parse_query(request, NoQuery)
        parts = self._parts
        backlog = parts.accounting.backlog()
        return answer(
            StatusView(
                node=parts.identity.name,
                boot_id=parts.identity.boot_id,
                pid=parts.identity.pid,
                uptime_s=parts.clock.monotonic() - parts.started,
                redis=RedisView(
                    url=parts.redis.shown_url,
                    connected=parts.redis.connected,
                    since_s=parts.redis.since_s,
                    error=parts.redis.error,
                ),
                limits=limits_view(parts.table.all()),
                subscription=SubscriptionView(connected=parts.subscription.connected),
                write_behind=WriteBehindView(
                    pending=backlog.pending, stuck_for_s=backlog.stuck_for_s, error=backlog.error
                ),
                admitted=parts.accounting.admitted(),
                denied=parts.accounting.denied(),
                latency=parts.metrics.latency(),
                writes=parts.writes.counts(),
            )
        )

    async def shared(self, request: web.Request) -> web.Response:
        """Tell what stands in Redis, at one moment."""
        parse_query(request, NoQuery)
        return answer(shared_view(await read_shared(self._parts.redis)))

    async def nodes(self, request: web.Request) -> web.Response:
        """Tell which nodes have registered."""
        parse_query(request, NoQuery)
        return answer(NodesView(nodes=shared_view(await read_shared(self._parts.redis)).nodes))

    async def limits(self, request: web.Request) -> web.Response:
        """Tell the limits that stand in Redis."""
        parse_query(request, NoQuery)
        return answer(LimitsView(limits=shared_view(await read_shared(self._parts.redis)).limits))

    async def counters(self, request: web.Request) -> web.Response:
        """Tell the fullest counters, those of one limit, or one."""
        query = parse_query(request, CounterQuery)
        if query.key is not None and query.limit is None:
            raise RequestError(400, "invalid_request", "limit: needed together with key")
        shared = await read_shared(self._parts.redis, limit=query.limit or "", key=query.key or "")
        if query.limit is not None and query.limit not in shared.limits:
            raise unknown_limit(query.limit)
        return answer(CountersView(counters=shared_view(shared).counters))


def unknown_limit(name: str) -> RequestError:
    """The 404 for a limit that nobody configured."""
    return RequestError(404, "unknown_limit", f"there is no limit {name!r}; GET /v1/limits lists them")
