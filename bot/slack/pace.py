"""One budget of Web API calls for the whole workspace: who may call next, and when.

Slack limits each method over all incidents together (docs.slack.dev/apis/web-api/rate-limits): ``chat.update`` 50 a
minute, ``chat.postMessage`` about one a second and channel with short bursts. We stay below, so that a limit is the
exception; where Slack sets one all the same, its ``Retry-After`` holds for that method. Who waits is served by
priority, then by arrival, among those whose budget allows it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

MAX_IN_FLIGHT: Final = 4


class Priority(IntEnum):
    """Lower goes first."""

    FIRST = 0
    """A ticket's new thread, its resolution, a call for people."""
    CHANGED = 1
    """A card whose ticket changed state; what is needed to post safely; answers to people."""
    LINE = 2
    """What else happened, in the thread."""
    REFRESH = 3
    """A card whose facts changed, and looking for second copies."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """How fast and how patient. Times in seconds; tests compress them.

    ``update_per_min`` is for ``chat.update``; ``post_per_s`` and ``post_burst`` are for each channel; ``timeout_s``
    bounds one call; ``edit_gap_s`` is between two edits of one card; a failure is tried again after ``retry_s``,
    doubled up to ``retry_max_s``, one that needs a person after ``slow_retry_s``; second copies of a message whose
    posting got no clear answer are looked for ``recheck_s`` after it.
    """

    update_per_min: float = 45
    post_per_s: float = 1
    post_burst: float = 3
    timeout_s: float = 10
    edit_gap_s: float = 3
    retry_s: float = 0.5
    retry_max_s: float = 30
    slow_retry_s: float = 60
    recheck_s: tuple[float, ...] = (10, 60)
    poll_s: float = 1


# The burst and a minute's refill together stay below the tier's minimum: 20, 50 and 100 calls a minute.
_BURST: Final = 5.0
_PER_MIN: Final = {"conversations.list": 15.0, "users.info": 90.0, "chat.postEphemeral": 90.0}
_PER_MIN_ELSE: Final = 45.0


@dataclass(slots=True)
class Bucket:
    """A token bucket: ``rate`` tokens per second, at most ``burst`` at a time."""

    rate: float
    burst: float
    tokens: float
    at: float

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.at) * self.rate)
        self.at = now
        return 0.0 if self.tokens >= 1 - 1e-9 else (1 - self.tokens) / self.rate

    def spend(self) -> None:
        """Take one."""
        self.tokens -= 1

    def refund(self) -> None:
        """Give one back that was not used."""
        self.tokens = min(self.burst, self.tokens + 1)


@dataclass(slots=True)
class _Waiter:
    priority: Priority
    order: int
    method: str
    channel: str
    future: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(slots=True)
class Turn:
    """The right to make one call. ``unused`` gives its share of the budget back."""

    bucket: Bucket

    def unused(self) -> None:
        """Nothing was called after all."""
        self.bucket.refund()


class Pace:
    """Hands out turns. ``monotonic`` is any clock of seconds that never goes back."""

    def __init__(self, monotonic: Callable[[], float], tempo: Tempo) -> None:
        self._monotonic = monotonic
        self._tempo = tempo
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._held: dict[str, float] = {}
        self._waiting: list[_Waiter] = []
        self._order = 0
        self._in_flight = 0
        self._alarm: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def turn(self, method: str, channel: str, priority: Priority) -> AsyncIterator[Turn]:
        """Wait for the right to call ``method`` once; ``channel`` matters for posting only."""
        self._order += 1
        waiter = _Waiter(priority, self._order, method, channel)
        self._waiting.append(waiter)
        self._hand_out()
        try:
            await waiter.future
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:  # it was served in the same moment
                self._in_flight -= 1
                self._bucket(method, channel).refund()
                self._hand_out()
            raise
        try:
            yield Turn(self._bucket(method, channel))
        finally:
            self._in_flight -= 1
            self._hand_out()

    def hold(self, method: str, seconds: float) -> None:
        """No call of ``method`` for that long: Slack said so."""
        self._held[method] = max(self._held.get(method, 0.0), self._monotonic() + seconds)

    def wait(self, method: str) -> float:
        """Seconds until the budget has room for one call of ``method``; 0 does not say that nobody else waits."""
        now = self._monotonic()
        return max(0.0, self._held.get(method, 0.0) - now, self._bucket(method, "").wait(now))

    def _hand_out(self) -> None:
        """Serve everyone who can be served, and wake up when the next one can."""
        soonest: float | None = None
        for waiter in sorted(self._waiting, key=lambda one: (one.priority, one.order)):
            if self._in_flight >= MAX_IN_FLIGHT:
                return  # whoever ends hands out again
            wait = self._wait(waiter)
            if wait > 0:
                soonest = wait if soonest is None else min(soonest, wait)
                continue
            self._waiting.remove(waiter)
            self._bucket(waiter.method, waiter.channel).spend()
            self._in_flight += 1
            waiter.future.set_result(None)
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None if soonest is None else asyncio.get_running_loop().call_later(soonest, self._hand_out)

    def _wait(self, waiter: _Waiter) -> float:
        now = self._monotonic()
        held = self._held.get(waiter.method, 0.0) - now
        return max(held, self._bucket(waiter.method, waiter.channel).wait(now))

    def _bucket(self, method: str, channel: str) -> Bucket:
        key = (method, channel if method == "chat.postMessage" else "")
        if key not in self._buckets:
            rate, burst = self._rate(method)
            self._buckets[key] = Bucket(rate, burst, burst, self._monotonic())
        return self._buckets[key]

    def _rate(self, method: str) -> tuple[float, float]:
        if method == "chat.postMessage":
            return self._tempo.post_per_s, self._tempo.post_burst
        if method == "chat.update":
            return self._tempo.update_per_min / 60, _BURST
        return _PER_MIN.get(method, _PER_MIN_ELSE) / 60, _BURST
