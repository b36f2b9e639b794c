"""Time, as everything in the project takes it: injected, never asked of the system in passing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings, for two questions."""

    def now(self) -> datetime:
        """When is it: aware, UTC. May step backwards; only for people and for what must survive a restart."""

    def monotonic(self) -> float:
        """How long did it take: seconds from an arbitrary start, never backwards."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return datetime.now(UTC)  # noqa: TID251  the one place that asks

    def monotonic(self) -> float:
        """The monotonic clock, seconds."""
        return time.monotonic()
