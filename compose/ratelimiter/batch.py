"""A batch client of the same Redis: `python -m compose.ratelimiter.batch --config FILE`.

Its everyday job reads the sizes of the indexes. Its other job, a rebuild, is a long one: it runs in chunks
inside Redis, which serves nobody else during a chunk. The size of a chunk is kept near the time it may take.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from compose.ratelimiter import keys
from compose.ratelimiter.clock import system_clock
from compose.ratelimiter.config import BatchConfig, load_config
from compose.ratelimiter.errors import RedisLinkError
from compose.ratelimiter.http_json import answer, build_app
from compose.ratelimiter.redis_link import connect, script_text, translated
from compose.ratelimiter.service import run_program, served
from compose.ratelimiter.views import BatchStatusView

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

    from compose.ratelimiter.clock import Clock

AGGREGATE = script_text("aggregate.lua")
REBUILD = script_text("rebuild.lua")
# A chunk waits behind other clients at most; this only guards against a Redis that is gone.
CHUNK_TIMEOUT_S = 5.0
FIRST_STEPS = 20_000
MOST_STEPS = 10_000_000

log = logging.getLogger("ratelimiter.batch")


class Batch:
    """Runs the configured job for ever."""

    def __init__(self, config: BatchConfig, redis: Redis, clock: Clock) -> None:
        self._config = config
        self._redis = redis
        self._clock = clock
        self._steps = FIRST_STEPS
        self._runs = 0
        self._last_s = 0.0
        self._error: str | None = None

    def status(self) -> BatchStatusView:
        """The job, how often it ran, how many seconds the last run took."""
        return BatchStatusView(job=self._config.job, runs=self._runs, last_s=self._last_s, error=self._error)

    async def run(self) -> None:
        """Run the job, pause, and so on."""
        rebuild = self._config.job == "rebuild"
        pause = self._config.rebuild_pause_s if rebuild else self._config.aggregate_every_s
        log.info("job=%s", self._config.job)
        while True:
            started = self._clock.monotonic()
            try:
                async with translated():
                    await (self._rebuild() if rebuild else self._aggregate())
            except RedisLinkError as error:
                if self._error is None:
                    log.warning("job=%s fails: %s", self._config.job, error)
                self._error = str(error)
                await asyncio.sleep(self._config.aggregate_every_s)
                continue
            self._error = None
            self._runs += 1
            self._last_s = self._clock.monotonic() - started
            if rebuild:
                self._fit()
            await asyncio.sleep(pause)

    async def _aggregate(self) -> None:
        await self._redis.register_script(AGGREGATE)(keys=[keys.LIMITS], args=[keys.ACTIVE_PREFIX])

    async def _rebuild(self) -> None:
        await self._redis.register_script(REBUILD)(args=[self._runs, self._steps])

    def _fit(self) -> None:
        """Size the next chunk by what the last one took, at most four times larger or smaller."""
        factor = self._config.rebuild_chunk_s / max(self._last_s, 0.001)
        self._steps = int(min(max(self._steps * min(max(factor, 0.25), 4.0), 1), MOST_STEPS))


async def run(path: Path) -> None:
    """Work until cancelled.

    Raises:
        ConfigError: The configuration is wrong, or its address is taken.
    """
    config = load_config(path, BatchConfig)
    redis = connect(config.redis_url, name="batch", timeout_s=CHUNK_TIMEOUT_S)
    batch = Batch(config, redis, system_clock())

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def status(_request: web.Request) -> web.Response:
        return answer(batch.status())

    app = build_app([web.get("/healthz", healthz), web.get("/v1/status", status)])
    try:
        async with served(app, config.host, config.port):
            await batch.run()
    finally:
        await redis.aclose()


if __name__ == "__main__":
    raise SystemExit(run_program(__doc__, run))
