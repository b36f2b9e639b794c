"""The decision: one atomic script per check, under the limit that is in force in this node's memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from compose.ratelimiter import keys
from compose.ratelimiter.redis_link import script_text

if TYPE_CHECKING:
    from compose.ratelimiter.limits import Limit
    from compose.ratelimiter.redis_link import RedisLink

SLIDING_WINDOW = script_text("sliding_window.lua")
# How many live counters one limit's index holds at most; beyond, the longest unseen leave the index.
INDEX_BOUND = 10_000

_ANSWER = TypeAdapter(tuple[int, int, int])


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a check.

    Attributes:
        allowed: Whether the units were admitted.
        remaining: How many more could be admitted now.
        retry_after_ms: When the same check could be admitted; 0 if it was.
    """

    allowed: bool
    remaining: int
    retry_after_ms: int


class Limiter:
    """Decides checks.

    The promise: no window of `window_ms` ever admits more units of a key than the limit, over all nodes. While
    a change of the limit is on its way, than the larger of the two.
    """

    def __init__(self, redis: RedisLink, boot_id: str) -> None:
        self._redis = redis
        self._boot_id = boot_id
        self._numbers = itertools.count(1)

    async def check(self, name: str, limit: Limit, key: str, cost: int) -> Decision:
        """Admit `cost` units of a key, or none of them.

        Raises:
            RedisLinkError: Redis gave no usable answer; the check must not be admitted.
        """
        answer = await self._redis.run_script(
            SLIDING_WINDOW,
            [keys.counter(name, key), keys.active(name)],
            [
                limit.limit,
                limit.window_ms,
                cost,
                f"{self._boot_id}:{next(self._numbers)}",
                key,
                keys.counter(name, ""),
                INDEX_BOUND,
            ],
        )
        allowed, remaining, retry_after_ms = _ANSWER.validate_python(answer)
        return Decision(allowed=allowed == 1, remaining=remaining, retry_after_ms=retry_after_ms)
