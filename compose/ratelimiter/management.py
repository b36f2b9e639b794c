"""The writes of the HTTP API: limits, counters, and the node's own configuration. They need the token."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from compose.ratelimiter.api import CounterPath, NoQuery, unknown_limit
from compose.ratelimiter.config import LimitName, Strict, save_config, without_password
from compose.ratelimiter.errors import ConfigError, RequestError
from compose.ratelimiter.http_json import answer, parse_body, parse_query, validated
from compose.ratelimiter.limits import publish_limit, update_limit
from compose.ratelimiter.shared import read_shared, reset_counter
from compose.ratelimiter.views import ConfigChange, ConfigView, LimitChange, NamedLimitView, ResetView
from compose.ratelimiter.writes import require_token

if TYPE_CHECKING:
    from pathlib import Path

    from compose.ratelimiter.config import NodeConfig
    from compose.ratelimiter.limits import Published
    from compose.ratelimiter.parts import Parts


class LimitPath(Strict):
    """A limit's place in a URL."""

    name: LimitName


class Management:
    """The handlers that need the token, and the read of the configuration.

    Args:
        parts: The node.
        config: What the node runs with.
        path: The file that a change of it is written to.
    """

    def __init__(self, parts: Parts, config: NodeConfig, path: Path) -> None:
        self._parts = parts
        self._config = config
        self._path = path
        self._changing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.put("/v1/limits/{name}", self.update_limit),
            web.post("/v1/limits/{name}/publish", self.publish_limit),
            web.delete("/v1/counters/{limit}/{key}", self.reset_counter),
            web.get("/v1/config", self.read_config),
            web.patch("/v1/config", self.set_config),
        ]

    def _authorize(self, request: web.Request) -> None:
        require_token(request, self._parts.token)
        parse_query(request, NoQuery)

    async def update_limit(self, request: web.Request) -> web.Response:
        """Store a new version of a limit and publish it to every node, this one included."""
        self._authorize(request)
        name = validated(LimitPath, dict(request.match_info)).name
        change = await parse_body(request, LimitChange)
        done = await update_limit(self._parts.redis, name, change.limit, change.window_ms)
        if done is None:
            raise unknown_limit(name)
        await self._parts.writes.note(
            "update_limit",
            name=name,
            limit=done.limit.limit,
            window_ms=done.limit.window_ms,
            version=done.limit.version,
        )
        return _published(name, done)

    async def publish_limit(self, request: web.Request) -> web.Response:
        """Publish the stored limit again, for a node that missed it."""
        self._authorize(request)
        name = validated(LimitPath, dict(request.match_info)).name
        done = await publish_limit(self._parts.redis, name)
        if done is None:
            raise unknown_limit(name)
        await self._parts.writes.note("publish_limit", name=name, version=done.limit.version)
        return _published(name, done)

    async def reset_counter(self, request: web.Request) -> web.Response:
        """Delete a counter, so that its key starts from nothing."""
        self._authorize(request)
        path = validated(CounterPath, dict(request.match_info))
        shared = await read_shared(self._parts.redis, limit=path.limit, key=path.key)
        if path.limit not in shared.limits:
            raise unknown_limit(path.limit)
        existed = await reset_counter(self._parts.redis, path.limit, path.key)
        await self._parts.writes.note("reset_counter", limit=path.limit, key=path.key, existed=existed)
        return answer(ResetView(limit=path.limit, key=path.key, existed=existed))

    async def read_config(self, request: web.Request) -> web.Response:
        """Tell what the node runs with, without secrets."""
        parse_query(request, NoQuery)
        return self._shown()

    async def set_config(self, request: web.Request) -> web.Response:
        """Use another Redis, from now on and after every restart."""
        self._authorize(request)
        change = await parse_body(request, ConfigChange)
        async with self._changing:
            changed = self._config.model_copy(update={"redis_url": change.redis_url})
            try:
                await asyncio.to_thread(save_config, self._path, changed)
            except ConfigError as error:
                raise RequestError(500, "config_not_saved", str(error)) from error
            self._config = changed
            await self._parts.redis.move(change.redis_url)
            self._parts.subscription.move()
        await self._parts.writes.note("set_config", redis_url=without_password(change.redis_url))
        return self._shown()

    def _shown(self) -> web.Response:
        config = self._config
        return answer(
            ConfigView(
                name=config.name,
                host=config.host,
                port=config.port,
                redis_url=without_password(config.redis_url),
                limits=config.limits,
                timings=config.timings,
            )
        )


def _published(name: str, done: Published) -> web.Response:
    return answer(
        NamedLimitView(
            name=name,
            limit=done.limit.limit,
            window_ms=done.limit.window_ms,
            version=done.limit.version,
            receivers=done.receivers,
        )
    )
