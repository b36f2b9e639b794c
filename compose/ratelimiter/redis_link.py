"""A node's connection to Redis: scripts, a ping of its own, and nothing that hides an outage.

redis-py retries ten times by default. Here an operation is tried once: a check that Redis did not answer
is answered 503 at once, and an operation that may have been done is never done twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from compose.ratelimiter.config import without_password
from compose.ratelimiter.errors import RedisRefused, RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from compose.ratelimiter.clock import Clock
    from compose.ratelimiter.config import Timings

MAX_CONNECTIONS = 128

log = logging.getLogger("ratelimiter.redis")


def script_text(name: str) -> str:
    """The source of one of the Lua scripts that stand beside this module."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn what redis-py and the sockets raise into this package's two errors.

    Raises:
        RedisUnavailable: No connection, or no answer in time.
        RedisRefused: An error reply.
    """
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        # asyncio's TimeoutError is an OSError without words.
        raise RedisUnavailable(str(error) or "no answer in time") from error
    except ResponseError as error:
        raise RedisRefused(str(error)) from error
    except RedisError as error:
        raise RedisUnavailable(f"{type(error).__name__}: {error}") from error


def connect(url: str, *, name: str, timeout_s: float, retry: Retry | None = None) -> Redis:
    """A client that tries once and says so when it fails; no connection is made yet."""
    return Redis.from_url(
        url,
        client_name=name,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=retry or Retry(NoBackoff(), 0),
        max_connections=MAX_CONNECTIONS,
        # While these are on, as they are by default, redis-py uses a pooled connection again that Redis has
        # closed: after an outage every one of them would cost a check.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )


class RedisLink:
    """The pool that a node's operations use, and what the node knows about its health.

    Args:
        url: Where Redis is.
        name: The name that Redis shows for these connections in CLIENT LIST.
        timings: `ping_s`, `ping_timeout_s` and `operation_timeout_s` are used.
        clock: For how long the present state has lasted.
    """

    def __init__(self, url: str, *, name: str, timings: Timings, clock: Clock) -> None:
        self._name = name
        self._timings = timings
        self._clock = clock
        self._url = url
        self._client = self._connect()
        self._connected = False
        self._error: str | None = "not connected yet"
        self._since = clock.monotonic()

    def _connect(self) -> Redis:
        return connect(self._url, name=self._name, timeout_s=self._timings.operation_timeout_s)

    @property
    def url(self) -> str:
        """Where Redis is, password included: not for people's eyes."""
        return self._url

    @property
    def shown_url(self) -> str:
        """Where Redis is, without the password."""
        return without_password(self._url)

    @property
    def connected(self) -> bool:
        """Whether the last ping was answered in time."""
        return self._connected

    @property
    def since_s(self) -> float:
        """For how many seconds `connected` has been what it is."""
        return self._clock.monotonic() - self._since

    @property
    def error(self) -> str | None:
        """Why it is not connected."""
        return self._error

    async def run_script(self, source: str, keys: Sequence[str], args: Sequence[str | int]) -> object:
        """Run a Lua script, once.

        Returns:
            Redis' answer: numbers, strings, and lists of them.

        Raises:
            RedisUnavailable: No answer in time; the script may have run.
            RedisRefused: The script ended with an error.
        """
        client = self._client
        async with translated():
            answer: object = await client.register_script(source)(keys=list(keys), args=list(args))
        return answer

    async def run(self) -> None:
        """Ping for ever, and note every change of the answer."""
        while True:
            await self.ping()
            await asyncio.sleep(self._timings.ping_s)

    async def ping(self) -> None:
        """Ping once and note the answer."""
        client = self._client
        try:
            async with translated(), asyncio.timeout(self._timings.ping_timeout_s):
                await client.ping()
        except (RedisUnavailable, RedisRefused) as error:
            if client is self._client:
                self._note(connected=False, error=str(error))
        else:
            if client is self._client:
                self._note(connected=True, error=None)

    def _note(self, *, connected: bool, error: str | None) -> None:
        if connected != self._connected:
            self._since = self._clock.monotonic()
            if connected:
                log.info("redis connected url=%s", self.shown_url)
            else:
                log.error("redis lost url=%s error=%s", self.shown_url, error)
        elif error is not None and error != self._error:
            log.error("redis not reachable url=%s error=%s", self.shown_url, error)
        self._connected = connected
        self._error = error

    async def move(self, url: str) -> None:
        """Use another Redis from now on; operations that are under way fail."""
        old, self._url = self._client, url
        self._client = self._connect()
        log.warning("redis address changed url=%s", self.shown_url)
        await old.aclose()
        await self.ping()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
