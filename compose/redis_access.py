"""What the faults do to Redis behind the rate limiter's back, and how they look at it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from compose.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from redis.asyncio import Redis

TIMEOUT_S = 3.0

_CLIENTS = TypeAdapter(list[dict[str, str]])
_TIME = TypeAdapter(tuple[int, int])
_SUBSCRIBERS = TypeAdapter(tuple[tuple[str, int]])
_NUMBER = TypeAdapter(int)


class RedisAccess:
    """A short-lived connection."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def set(self, key: str, value: str, *, ex: int) -> None:
        """Put a string under a key, whatever was there."""
        await self._client.set(key, value, ex=ex)

    async def time_us(self) -> int:
        """Redis' clock in microseconds since the epoch."""
        seconds, microseconds = _TIME.validate_python(tuple(await self._client.time()))
        return seconds * 1_000_000 + microseconds

    async def subscribers(self, channel: str) -> int:
        """How many connections are subscribed to a channel."""
        answer = _SUBSCRIBERS.validate_python(tuple(await self._client.pubsub_numsub(channel)))
        return answer[0][1]

    async def kill_client(self, name: str) -> bool:
        """Close the connections of that name; says whether there were any."""
        numbers = [client["id"] for client in await self._clients() if client["name"] == name]
        for number in numbers:
            await self._client.client_kill_filter(_id=number)
        return bool(numbers)

    async def has_client(self, name: str) -> bool:
        """Whether there is a connection of that name."""
        return any(client["name"] == name for client in await self._clients())

    async def _clients(self) -> list[dict[str, str]]:
        return _CLIENTS.validate_python(await self._client.client_list())

    async def fill_for_ever(self, key: str, scores: Mapping[str, float], *, index: str, member: str) -> None:
        """Replace a sorted set by one that never expires, and name it in an index."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            pipe.zadd(key, dict(scores))
            pipe.persist(key)
            pipe.zadd(index, {member: max(scores.values())})
            await pipe.execute()

    async def never_expires(self, key: str) -> bool:
        """Whether there is such a key, and it has no expiry."""
        return _NUMBER.validate_python(await self._client.pttl(key)) == -1


@asynccontextmanager
async def redis_session(url: str) -> AsyncIterator[RedisAccess]:
    """A connection for the body.

    Raises:
        ConflictError: Redis gave no usable answer.
    """
    # Imported at the first fault: a world starts faster without it.
    from redis.asyncio import Redis  # noqa: PLC0415 - see above
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - see above
    from redis.backoff import NoBackoff  # noqa: PLC0415 - see above
    from redis.exceptions import RedisError  # noqa: PLC0415 - see above

    client = Redis.from_url(
        url,
        client_name="world",
        decode_responses=True,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        async with client:
            yield RedisAccess(client)
    except (RedisError, OSError) as error:
        raise ConflictError(f"Redis at {url} gave no usable answer: {error}") from error
