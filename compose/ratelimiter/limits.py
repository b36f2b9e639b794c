"""Limits: what stands in Redis, and what is in force in one node's memory.

A node loads all limits once, at its start. After that it follows what is published and reads nothing again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from compose.ratelimiter import keys
from compose.ratelimiter.config import LimitName, LimitValue, Strict, WindowMs
from compose.ratelimiter.errors import RedisRefused
from compose.ratelimiter.redis_link import script_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.ratelimiter.config import SeedLimit
    from compose.ratelimiter.redis_link import RedisLink

UPDATE = script_text("update_limit.lua")
PUBLISH = script_text("publish_limit.lua")
LOAD = "return redis.call('HGETALL', KEYS[1])"
SEED = "return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])"

log = logging.getLogger("ratelimiter.limits")


@dataclass(frozen=True, slots=True)
class Limit:
    """So many units per key in any window of `window_ms` milliseconds; a higher version is a later one."""

    limit: int
    window_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class Published:
    """What a change did.

    Attributes:
        limit: The limit as it now stands in Redis.
        receivers: How many subscriptions were told.
    """

    limit: Limit
    receivers: int


class StoredLimit(Strict):
    """A limit as it stands in Redis."""

    limit: LimitValue
    window_ms: WindowMs
    version: int

    def plain(self) -> Limit:
        """The same without validation around it."""
        return Limit(self.limit, self.window_ms, self.version)


class LimitMessage(StoredLimit):
    """A limit as it is published."""

    name: LimitName


_PUBLISHED = TypeAdapter(tuple[str, int] | None)
_FLAT_HASH = TypeAdapter(list[str])


def parse_limits(flat: list[str]) -> dict[str, Limit]:
    """Read the flat list of names and JSON that HGETALL gives a script.

    Raises:
        RedisRefused: A stored limit is not one.
    """
    limits = {}
    for name, text in zip(flat[::2], flat[1::2], strict=True):
        try:
            limits[name] = StoredLimit.model_validate_json(text).plain()
        except ValidationError as error:
            raise RedisRefused(f"{keys.LIMITS} holds no valid limit under {name!r}: {text[:200]}") from error
    return limits


class LimitTable:
    """The limits in force in this node's memory."""

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}
        self._loaded = False

    @property
    def loaded(self) -> bool:
        """Whether the limits have been read since the node's start."""
        return self._loaded

    def get(self, name: str) -> Limit | None:
        """The limit in force under a name."""
        return self._limits.get(name)

    def all(self) -> Mapping[str, Limit]:
        """Every limit in force, by name."""
        return dict(sorted(self._limits.items()))

    async def load(self, redis: RedisLink, seeds: Mapping[str, SeedLimit]) -> None:
        """Write the limits that Redis does not know yet, then read all of them.

        Raises:
            RedisLinkError: Redis gave no usable answer; nothing is in force that was not before.
        """
        for name, seed in seeds.items():
            text = json.dumps({"limit": seed.limit, "window_ms": seed.window_ms, "version": 1})
            await redis.run_script(SEED, [keys.LIMITS], [name, text])
        stored = parse_limits(_FLAT_HASH.validate_python(await redis.run_script(LOAD, [keys.LIMITS], [])))
        for name, limit in stored.items():
            self._take(name, limit)
        self._loaded = True
        log.info("limits loaded %s", " ".join(f"{name}=v{limit.version}" for name, limit in stored.items()))

    def follow(self, text: str) -> None:
        """Take a published limit, unless a later one is in force already."""
        try:
            message = LimitMessage.model_validate_json(text)
        except ValidationError:
            log.warning("ignored a message on %s that is no limit: %.200r", keys.LIMITS, text)
            return
        if self._take(message.name, message.plain()):
            log.info(
                "limit in force name=%s limit=%d window_ms=%d version=%d",
                message.name,
                message.limit,
                message.window_ms,
                message.version,
            )

    def _take(self, name: str, limit: Limit) -> bool:
        present = self._limits.get(name)
        if present is not None and limit.version < present.version:
            return False
        self._limits[name] = limit
        return True


async def update_limit(redis: RedisLink, name: str, limit: int, window_ms: int | None) -> Published | None:
    """Store a new version of a limit and publish it; None where there is no such limit.

    Raises:
        RedisLinkError: Redis gave no usable answer.
    """
    window = "" if window_ms is None else str(window_ms)
    return _published(await redis.run_script(UPDATE, [keys.LIMITS], [name, limit, window]))


async def publish_limit(redis: RedisLink, name: str) -> Published | None:
    """Publish a stored limit again, as it stands; None where there is no such limit.

    Raises:
        RedisLinkError: Redis gave no usable answer.
    """
    return _published(await redis.run_script(PUBLISH, [keys.LIMITS], [name]))


def _published(answer: object) -> Published | None:
    parsed = _PUBLISHED.validate_python(tuple(answer) if isinstance(answer, list) else answer)
    if parsed is None:
        return None
    return Published(StoredLimit.model_validate_json(parsed[0]).plain(), parsed[1])
