"""Where a program's time comes from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Two readings of time, both in seconds.

    Attributes:
        monotonic: For durations; its zero means nothing.
        wall: Seconds since the Unix epoch; for people who read logs, never for a decision.
    """

    monotonic: Callable[[], float]
    wall: Callable[[], float]


def system_clock() -> Clock:
    """The clock of this machine, for a program's entry point."""
    return Clock(
        monotonic=time.monotonic,
        wall=time.time,  # noqa: TID251 - the one place of the service where the real clock enters
    )
