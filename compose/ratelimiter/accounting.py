"""Write-behind accounting: units are counted in memory and added to a tally in Redis a little later.

A batch that Redis did not take is kept and sent again as it is, and what comes after it waits. So a tally that
can't be written holds up everything behind it until the node starts anew, with a new tally.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compose.ratelimiter import keys
from compose.ratelimiter.errors import RedisLinkError
from compose.ratelimiter.redis_link import script_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.ratelimiter.clock import Clock
    from compose.ratelimiter.config import Timings
    from compose.ratelimiter.identity import Identity
    from compose.ratelimiter.redis_link import RedisLink

FLUSH = script_text("flush.lua")
TALLY_TTL_S = 86_400

log = logging.getLogger("ratelimiter.accounting")


@dataclass(frozen=True, slots=True)
class Batch:
    """Units per limit that go to Redis together, under a number that is used once."""

    number: int
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has not reached Redis yet.

    Attributes:
        pending: Units admitted and not yet in the tally.
        stuck_for_s: For how many seconds the same batch has failed; 0 when the last flush worked.
        error: Why it fails.
    """

    pending: int
    stuck_for_s: float
    error: str | None


class Accounting:
    """Counts what this boot of the node decided, and carries the admitted units to Redis."""

    def __init__(self, redis: RedisLink, identity: Identity, timings: Timings, clock: Clock) -> None:
        self._redis = redis
        self._tally = keys.tally(identity.name, identity.boot_id)
        self._timings = timings
        self._clock = clock
        self._admitted: Counter[str] = Counter()
        self._denied: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._batch: Batch | None = None
        self._number = 0
        self._error: str | None = None
        self._stuck_since = 0.0

    def count(self, limit: str, *, units: int, allowed: bool) -> None:
        """Note one decision about so many units."""
        if allowed:
            self._admitted[limit] += units
            self._open[limit] += units
        else:
            self._denied[limit] += units

    def admitted(self) -> dict[str, int]:
        """Units admitted since the node's start, by limit."""
        return dict(self._admitted)

    def denied(self) -> dict[str, int]:
        """Units denied since the node's start, by limit."""
        return dict(self._denied)

    def backlog(self) -> Backlog:
        """What has not reached Redis yet, and why."""
        waiting = sum(self._open.values()) + (sum(self._batch.units.values()) if self._batch else 0)
        stuck_for_s = 0.0 if self._error is None else self._clock.monotonic() - self._stuck_since
        return Backlog(pending=waiting, stuck_for_s=stuck_for_s, error=self._error)

    async def run(self) -> None:
        """Flush every `flush_s`, for ever."""
        while True:
            await asyncio.sleep(self._timings.flush_s)
            await self.flush()

    async def flush(self) -> None:
        """Send the batch that waits, or a new one; a failure is noted and the batch kept."""
        if self._batch is None:
            if not self._open:
                return
            self._number += 1
            self._batch = Batch(self._number, dict(self._open))
            self._open.clear()
        fields = [part for item in self._batch.units.items() for part in item]
        try:
            await self._redis.run_script(
                FLUSH, [self._tally], [self._batch.number, TALLY_TTL_S, keys.TALLY_BATCH, *fields]
            )
        except RedisLinkError as error:
            if self._error is None:
                self._stuck_since = self._clock.monotonic()
            if str(error) != self._error:
                log.error("tally not written, batch %d is kept: %s", self._batch.number, error)  # noqa: TRY400 - expected, the trace says nothing
            self._error = str(error)
            return
        if self._error is not None:
            log.info("tally written again, batch %d", self._batch.number)
        self._batch = None
        self._error = None
