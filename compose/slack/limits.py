"""Slack's rate limits.

A tier allows so many calls of a method per minute and token, over a sliding minute (docs.slack.dev/apis/web-api/
rate-limits gives the tiers as minimums; the minimum is enforced). chat.postMessage allows one message per second
and channel, with short bursts, and several hundred per minute in all.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from compose.slack.catalog import MethodSpec
from compose.slack.errors import RateLimitedError

MINUTE: Final = 60.0
PER_MINUTE: Final = {"t1": 1, "t2": 20, "t3": 50, "t4": 100}
SPECIAL_PER_MINUTE: Final = {"chat.postMessage": 300, "assistant.threads.setStatus": 600}
OTHER_SPECIAL_PER_MINUTE: Final = 300
POST_BURST: Final = 5
POST_PER_SECOND: Final = 1.0


class Limiter:
    """Counts calls; `now` is any clock that does not go back."""

    def __init__(self, now: Callable[[], float], *, enabled: bool = True) -> None:
        self._now = now
        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self.enabled = enabled

    def check(self, method: str, spec: MethodSpec, token: str) -> None:
        """Count one call of a method, or raise RateLimitedError; a refused call costs nothing."""
        if not self.enabled:
            return
        if spec.tier is None or spec.tier == "t5":
            most = SPECIAL_PER_MINUTE.get(method, OTHER_SPECIAL_PER_MINUTE)
        else:
            most = PER_MINUTE[spec.tier]
        now = self._now()
        calls = self._calls.setdefault((token, method), deque())
        while calls and calls[0] <= now - MINUTE:
            calls.popleft()
        if len(calls) >= most:
            raise RateLimitedError(max(1, math.ceil(calls[0] + MINUTE - now)))
        calls.append(now)

    def check_post(self, token: str, channel: str) -> None:
        """Count one posted message in a channel, or raise RateLimitedError."""
        if not self.enabled:
            return
        now = self._now()
        tokens, at = self._buckets.get((token, channel), (float(POST_BURST), now))
        tokens = min(float(POST_BURST), tokens + (now - at) * POST_PER_SECOND)
        if tokens < 1:
            self._buckets[token, channel] = (tokens, now)
            raise RateLimitedError(max(1, math.ceil((1 - tokens) / POST_PER_SECOND)))
        self._buckets[token, channel] = (tokens - 1, now)
