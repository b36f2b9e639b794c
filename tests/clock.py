"""A clock that a test moves. The wall clock can be stepped on its own, as machines do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass
class ManualClock:
    wall: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 3, 12, tzinfo=UTC))
    seconds: float = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds

    def step_wall(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
