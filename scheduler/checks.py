"""One check of one subject: observe, judge every invariant at every expected key, debounce, report.

A report is level, not edge: every one says all that is known at that moment, so a report that was lost costs
nothing but time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Generic

from scheduler.debounce import Debounce, Key, Report
from subjects.clock import Clock
from subjects.protocols import (
    Broken,
    Holds,
    Invariant,
    Observation,
    SnapshotT,
    Subject,
    Unknown,
    Unobservable,
    Verdict,
)

LET_GO_S: Final = 0.2
"""So long may an observation that was cancelled take to end before it is left behind."""
MOST_CHARACTERS: Final = 2000
"""Of a detail or a reason; what a subject says goes into the log for ever."""


class Check(Generic[SnapshotT]):
    """The check of one subject; ``tick`` is called once per interval and never raises for the subject's sake.

    ``timeout_s`` bounds one observation and is below the interval. ``blind_grace_s``: so long may the whole
    subject be unobservable before that counts. ``gap_s``: two looks further apart than this leave a gap.
    """

    def __init__(
        self,
        subject: Subject[SnapshotT],
        clock: Clock,
        *,
        timeout_s: float,
        blind_grace_s: float,
        gap_s: float = math.inf,
    ) -> None:
        self.subject = subject
        self._clock = clock
        self._timeout_s = timeout_s
        self._debounce = Debounce(subject.name, subject.invariants, blind_grace_s=blind_grace_s)
        self._previous: tuple[SnapshotT, float] | None = None
        self._running: asyncio.Task[SnapshotT] | None = None
        self._started = 0.0
        self._gap_s = gap_s
        self._ticked: float | None = None

    async def tick(self) -> Report:
        """Observe and judge once."""
        at, monotonic = self._clock.now(), self._clock.monotonic()
        gap = self._ticked is not None and monotonic - self._ticked > self._gap_s
        self._ticked = monotonic
        observed = await self._observe()
        if isinstance(observed, Unknown):
            report = self._debounce.report(at, monotonic, {}, unobservable=observed.why)
        else:
            report = self._debounce.report(at, monotonic, self._judge(at, observed.snapshot))
        return replace(report, gap=gap)

    async def aclose(self) -> None:
        """End what is under way and let go of the subject's connections."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running}, timeout=LET_GO_S)
        await self.subject.aclose()

    async def _observe(self) -> _Seen[SnapshotT] | Unknown:
        if self._running is not None and not self._running.done():
            hanging_s = self._clock.monotonic() - self._started
            return Unknown(f"the check that began {hanging_s:.0f} s ago has not come back")
        self._started = self._clock.monotonic()
        task = self._running = asyncio.create_task(self.subject.observe(), name=f"observe {self.subject.name}")
        try:
            await asyncio.wait({task}, timeout=self._timeout_s)
            if not task.done():
                task.cancel()
                # Code that does not let itself be cancelled must not stop the loop: it is left behind.
                await asyncio.wait({task}, timeout=LET_GO_S)
                return Unknown(f"the check took longer than {self._timeout_s:g} s")
        except asyncio.CancelledError:
            task.cancel()
            raise
        return _outcome(task)

    def _judge(self, at: datetime, snapshot: SnapshotT) -> Mapping[Key, Verdict]:
        now = self._clock.monotonic()
        previous, elapsed_s = None, None
        if self._previous is not None:
            previous, before = self._previous
            elapsed_s = now - before
        self._previous = (snapshot, now)
        observation = Observation(at, snapshot, previous, elapsed_s)
        verdicts: dict[Key, Verdict] = {}
        for invariant in self.subject.invariants:
            for key, verdict in judge(invariant, observation).items():
                verdicts[invariant.name, key] = verdict
        return verdicts


@dataclass(frozen=True, slots=True)
class _Seen(Generic[SnapshotT]):
    snapshot: SnapshotT


def _outcome(task: asyncio.Task[SnapshotT]) -> _Seen[SnapshotT] | Unknown:
    if task.cancelled():
        return Unknown("the check was cancelled")
    error = task.exception()
    if error is None:
        return _Seen(task.result())
    if isinstance(error, Unobservable):
        return Unknown(_storable(str(error)))
    return Unknown(_storable(f"the check failed: {type(error).__name__}: {error}"))


def judge(invariant: Invariant[SnapshotT], observation: Observation[SnapshotT]) -> Mapping[str, Verdict]:
    """An invariant's verdict for each expected key, and for no other, whatever its function does.

    One that raises, leaves a key out or answers with something else is unknown there: never well.
    """
    try:
        verdicts = invariant.evaluate(observation)
        return {key: _proper(invariant, verdicts.get(key)) for key in invariant.expected}
    except Exception as error:  # noqa: BLE001  a subject's code is not ours: its failure is a finding
        why = _storable(f"{invariant.name} failed: {type(error).__name__}: {error}")
        return {key: Unknown(why) for key in invariant.expected}


def _proper(invariant: Invariant[SnapshotT], verdict: object) -> Verdict:
    match verdict:
        case Holds():
            return verdict
        case Broken(value=value, detail=detail) if math.isfinite(value):
            return Broken(float(value), _storable(detail))  # a Decimal or NumPy's int is a number, but not storable
        case Broken(value=value, detail=detail):
            # What is not a number can't be stored; that it is broken must not be lost with it.
            return Broken(invariant.threshold, _storable(f"{detail} (its value was {value})"))
        case Unknown(why=why, because=because):
            hash(because)  # it is looked up later
            return Unknown(_storable(why), because)
        case _:
            return Unknown(f"{invariant.name} gave no verdict")


def _storable(text: str) -> str:
    """Text that a database takes: bounded, and without lone surrogates."""
    return text[:MOST_CHARACTERS].encode("utf-8", "replace").decode()
