"""The loop: one APScheduler job per subject, and what it counts about itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from scheduler.checks import Check
from scheduler.debounce import Report
from subjects.clock import Clock
from subjects.protocols import AnySubject

log = structlog.get_logger("scheduler")

Sink: TypeAlias = Callable[[Report], Awaitable[None]]

TIMEOUT_SHARE = 0.8
"""An observation may take this share of the interval."""
JITTER_SHARE = 0.1
"""Ticks are spread over this share of the interval, so that subjects do not fall into step."""
GAP_S = 2.0
"""Two looks further apart than this, or than three intervals if that is longer, leave a gap: nothing held in it."""
BLIND_GRACE_S = 10.0
"""A subject that can't be observed at all is blind after this, or after three intervals if that is longer."""

LOOK_AT_CLOCK_S = 1.0
"""How often, and from how much on, a wall clock that was set back is noticed."""


@dataclass(slots=True)
class Pulse:
    """How the checks of one subject are going. Counts are since the start of the process."""

    interval_s: float
    ticks: int = 0
    missed: int = 0
    overlong: int = 0
    failed: int = 0
    ticked_at: datetime | None = None
    ticked_monotonic: float | None = None
    tick_s: float | None = None
    broken: int = 0
    unknown: int = 0


class Loop:
    """Runs the check of every subject at its interval, and gives each report to ``sink``.

    A tick that takes longer than its interval is never overlapped: the ones it swallows are counted as missed.
    A sink that fails is logged and counted; as reports are level, the next tick says it all again.
    """

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 60}
        )
        self._scheduler.add_listener(self._on_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
        self._checks: dict[str, Check[object]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._clock_watch: asyncio.Task[None] | None = None
        self._began = clock.monotonic()
        self.pulses: dict[str, Pulse] = {}

    @property
    def subjects(self) -> Sequence[AnySubject]:
        """Those under watch."""
        return [check.subject for check in self._checks.values()]

    def watch(self, subject: AnySubject, interval_s: float) -> None:
        """Add a subject; its first tick is at once after ``start``."""
        self._checks[subject.name] = Check(
            subject,
            self._clock,
            timeout_s=interval_s * TIMEOUT_SHARE,
            blind_grace_s=max(BLIND_GRACE_S, 3 * interval_s),
            gap_s=max(GAP_S, 3 * interval_s),
        )
        self.pulses[subject.name] = Pulse(interval_s)
        self._scheduler.add_job(
            self._tick,
            IntervalTrigger(seconds=interval_s, jitter=interval_s * JITTER_SHARE, timezone="UTC"),
            args=[subject.name],
            id=subject.name,
            next_run_time=self._clock.now(),
        )

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._scheduler.start()
        self._clock_watch = asyncio.create_task(self._watch_clock(), name="watch the clock")

    async def _watch_clock(self) -> None:
        """The scheduler goes by the wall clock: set back by an hour, it would not look for an hour."""
        before = self._offset_s()
        while True:
            await asyncio.sleep(LOOK_AT_CLOCK_S)
            now = self._offset_s()
            if (back_s := before - now) >= LOOK_AT_CLOCK_S:
                log.warning("the wall clock was set back", by_s=round(back_s, 1))
                for job in self._scheduler.get_jobs():
                    job.modify(next_run_time=job.next_run_time - timedelta(seconds=back_s))
            before = now

    def _offset_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    async def aclose(self) -> None:
        """Begin no further tick, end those under way, and close the subjects."""
        if self._scheduler.running:
            self._scheduler.pause()
        if self._clock_watch is not None:
            self._clock_watch.cancel()
            await asyncio.wait({self._clock_watch})
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for check in self._checks.values():
            await check.aclose()

    async def _tick(self, name: str) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        pulse = self.pulses[name]
        began = self._clock.monotonic()
        report = await self._checks[name].tick()
        pulse.tick_s = self._clock.monotonic() - began
        pulse.ticks += 1
        pulse.ticked_at, pulse.ticked_monotonic = report.at, began
        pulse.broken, pulse.unknown = len(report.broken), report.unknown
        if pulse.tick_s > pulse.interval_s:
            pulse.overlong += 1
        try:
            await self._sink(report)
        except Exception as error:  # noqa: BLE001  the loop outlives whatever the sink meets; it is seen and counted
            pulse.failed += 1
            log.error(  # noqa: TRY400  the error's words say it; a traceback per tick would bury them
                "what was found could not be recorded", subject=name, error=str(error) or type(error).__name__
            )

    def _on_missed(self, event: JobExecutionEvent) -> None:
        pulse = self.pulses.get(event.job_id)
        if pulse is not None:
            pulse.missed += 1

    def late(self) -> list[str]:
        """Subjects whose last tick is more than five intervals (at least 5 s) ago: the loop does not reach them."""
        now = self._clock.monotonic()
        return [
            name
            for name, pulse in self.pulses.items()
            if now - (pulse.ticked_monotonic or self._began) > max(5 * pulse.interval_s, 5)
        ]
