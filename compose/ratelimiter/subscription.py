"""A node's subscription to the published limits, on a connection of its own.

Pub/sub is at-most-once: what is published while the subscription is away is missed, and nothing reads it again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from compose.ratelimiter import keys
from compose.ratelimiter.errors import RedisRefused, RedisUnavailable
from compose.ratelimiter.redis_link import connect, translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.exceptions import RedisError

    from compose.ratelimiter.config import Timings
    from compose.ratelimiter.redis_link import RedisLink

T = TypeVar("T")

log = logging.getLogger("ratelimiter.subscription")


class Once(Retry):
    """Runs an operation once and leaves its failure alone.

    With `Retry(NoBackoff(), 0)` redis-py still runs its failure handler, which for a subscription reconnects
    and subscribes again at once.
    """

    def __init__(self) -> None:
        super().__init__(NoBackoff(), 0)

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[T]],
        fail: Callable[[RedisError], object] | Callable[[RedisError, int], object],  # noqa: ARG002 - see above
        is_retryable: Callable[[Exception], bool] | None = None,  # noqa: ARG002 - the base class's signature
        with_failure_count: bool = False,  # noqa: ARG002 - the base class's signature
    ) -> T:
        """Run `do`, once."""
        return await do()


class Subscription:
    """Follows the published limits for as long as the node lives.

    Args:
        redis: Whose address is used; its connections are not.
        name: What Redis shows for the connection in CLIENT LIST.
        timings: `resubscribe_s` passes between a loss and the next attempt.
        receive: Called with every published text.
    """

    def __init__(self, redis: RedisLink, *, name: str, timings: Timings, receive: Callable[[str], None]) -> None:
        self._redis = redis
        self._name = name
        self._timings = timings
        self._receive = receive
        self._established = asyncio.Event()
        self._scope: asyncio.Timeout | None = None

    @property
    def connected(self) -> bool:
        """Whether Redis has confirmed the subscription that stands now."""
        return self._established.is_set()

    async def wait_established(self) -> None:
        """Return once there is a subscription."""
        await self._established.wait()

    def move(self) -> None:
        """Leave the present connection at once; the next is made to the link's present address."""
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Subscribe, listen, and subscribe again after every loss."""
        while True:
            try:
                async with asyncio.timeout(None) as self._scope:
                    await self._follow()
            except TimeoutError:  # only `move` sets a deadline
                log.info("subscription moves to another redis")
                continue
            except (RedisUnavailable, RedisRefused) as error:
                log.warning("subscription lost, again in %g s: %s", self._timings.resubscribe_s, error)
            finally:
                self._established.clear()
                self._scope = None
            await asyncio.sleep(self._timings.resubscribe_s)

    async def _follow(self) -> None:
        client = connect(
            self._redis.url,
            name=self._name,
            timeout_s=self._timings.operation_timeout_s,
            retry=Once(),
        )
        async with client, translated(), client.pubsub() as pubsub:
            await pubsub.subscribe(keys.LIMITS)
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    self._established.set()
                    log.info("subscribed to %s", keys.LIMITS)
                elif message["type"] == "message":
                    self._receive(str(message["data"]))
        raise RedisUnavailable("the subscription ended")
