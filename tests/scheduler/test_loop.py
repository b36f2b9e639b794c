from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Self, cast

import pytest

from scheduler.checks import Check, judge
from scheduler.debounce import Report
from scheduler.loop import Loop
from subjects.clock import SystemClock
from subjects.protocols import Broken, Holds, Invariant, Observation, Severity, Unknown, Unobservable, Verdict
from tests.clock import ManualClock
from tests.waiting import until


class Scripted:
    """A subject whose observation is what a test says."""

    def __init__(self, observe: Callable[[], Awaitable[float]], name: str = "scripted") -> None:
        self.name = name
        self.title = "Scripted"
        self.runbook = None
        self.closed = 0
        self._observe = observe
        self.invariants: Sequence[Invariant[float]] = [
            Invariant("low", "It is low.", Severity.WARNING, 5, "x", 0, ("k",), _low)
        ]

    async def observe(self) -> float:
        return await self._observe()

    async def aclose(self) -> None:
        self.closed += 1


def _low(observation: Observation[float]) -> dict[str, Verdict]:
    return {"k": Broken(observation.snapshot, "High.") if observation.snapshot > 5 else Holds()}


async def well() -> float:
    return 1.0


def check(subject: Scripted, timeout_s: float = 0.1) -> Check[float]:
    return Check(subject, SystemClock(), timeout_s=timeout_s, blind_grace_s=0)


async def test_a_failing_observation_is_blindness_with_its_words() -> None:
    async def fail() -> float:
        raise OSError("cable")

    report = await check(Scripted(fail)).tick()
    assert report.blind is not None
    assert "OSError: cable" in report.blind.why
    assert report.holding == frozenset()


async def test_unobservable_speaks_for_itself() -> None:
    async def fail() -> float:
        raise Unobservable("PD has no leader")

    report = await check(Scripted(fail)).tick()
    assert report.blind is not None
    assert report.blind.why == "PD has no leader"


async def test_a_hanging_observation_is_cut_off_and_the_next_one_sees() -> None:
    hang = True

    async def observe() -> float:
        if hang:
            await asyncio.Event().wait()
        return 1.0

    checked = check(Scripted(observe))
    report = await checked.tick()
    assert report.blind is not None
    assert "longer than 0.1 s" in report.blind.why
    hang = False
    assert (await checked.tick()).blind is None


async def test_an_observation_that_resists_cancellation_is_left_behind_never_doubled() -> None:
    started, release = 0, asyncio.Event()

    async def observe() -> float:
        nonlocal started
        started += 1
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return 1.0

    checked = check(Scripted(observe), timeout_s=0.05)
    whys = [report.blind.why for _ in range(3) if (report := await checked.tick()).blind is not None]
    assert ["has not come back" in why for why in whys] == [False, True, True]
    assert started == 1
    release.set()
    await until(lambda: _sees(checked), "the check sees again")


async def _sees(checked: Check[float]) -> bool:
    return (await checked.tick()).blind is None


@pytest.mark.parametrize(
    ("evaluate", "why"),
    [
        (lambda _: {}, "gave no verdict"),
        (lambda _: {"k": None}, "gave no verdict"),
        (lambda _: {"k": True}, "gave no verdict"),
        (lambda _: 1 / 0, "ZeroDivisionError"),
        (lambda _: None, "AttributeError"),
    ],
    ids=["left out", "none", "not a verdict", "raises", "not a mapping"],
)
def test_an_invariant_that_misbehaves_is_unknown_never_well(
    evaluate: Callable[[Observation[float]], dict[str, Verdict]], why: str
) -> None:
    clock = ManualClock()
    invariant = Invariant("odd", "It is.", Severity.WARNING, 1, "x", 0, ("k",), evaluate)
    verdict = judge(invariant, Observation(clock.now(), 1.0))["k"]
    assert isinstance(verdict, Unknown)
    assert why in verdict.why


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_with_a_value_that_cannot_be_stored_is_still_broken(value: float) -> None:
    invariant: Invariant[float] = Invariant(
        "odd", "It is.", Severity.WARNING, 7, "x", 0, ("k",), lambda _: {"k": Broken(value, "a\ud800" + "b" * 9000)}
    )
    verdict = judge(invariant, Observation(ManualClock().now(), 1.0))["k"]
    assert isinstance(verdict, Broken)
    assert verdict.value == 7
    assert verdict.detail.encode()
    assert len(verdict.detail) <= 2000


@pytest.mark.parametrize("value", [Decimal(7), Fraction(15, 2), True])
def test_a_number_of_another_kind_becomes_one_that_can_be_stored(value: float) -> None:
    invariant: Invariant[float] = replace(
        Scripted(well).invariants[0], evaluate=lambda _: {"k": Broken(value, "High.")}
    )
    verdict = judge(invariant, Observation(ManualClock().now(), 1.0))["k"]
    assert isinstance(verdict, Broken)
    assert (verdict.value, type(verdict.value)) == (float(value), float)


async def test_a_reason_that_cannot_be_looked_up_is_unknown_and_the_tick_goes_on() -> None:
    subject = Scripted(well)
    because = cast("tuple[str, str]", ["node_down", "rl-2"])
    subject.invariants = [
        replace(subject.invariants[0], evaluate=lambda _: {"k": Unknown("no answer", because)}, blind_grace_s=0)
    ]
    report = await check(subject).tick()
    assert report.blind is not None
    assert report.unknown == 1


async def test_the_second_observation_has_its_predecessor_and_the_time_between() -> None:
    seen: list[Observation[float]] = []

    def note(observation: Observation[float]) -> dict[str, Verdict]:
        seen.append(observation)
        return {"k": Holds()}

    clock = ManualClock()
    subject = Scripted(well)
    subject.invariants = [Invariant("note", "It is.", Severity.WARNING, 1, "x", 0, ("k",), note)]
    checked = Check(subject, clock, timeout_s=1, blind_grace_s=0)
    await checked.tick()
    clock.advance(2.5)
    await checked.tick()
    assert [(one.previous, one.elapsed_s) for one in seen] == [(None, None), (1.0, 2.5)]


async def test_looks_too_far_apart_leave_a_gap() -> None:
    clock = ManualClock()
    checked = Check(Scripted(well), clock, timeout_s=1, blind_grace_s=0, gap_s=3)
    gaps = []
    for after_s in (0, 1, 2.9, 3.1, 1):
        clock.advance(after_s)
        gaps.append((await checked.tick()).gap)
    assert gaps == [False, False, False, True, False]


class Sink:
    def __init__(self, fail: int = 0) -> None:
        self.reports: list[Report] = []
        self.fail = fail

    async def __call__(self, report: Report) -> None:
        self.reports.append(report)
        if self.fail:
            self.fail -= 1
            raise OSError("disk full")


async def test_the_loop_outlives_a_sink_that_fails_and_counts_it() -> None:
    sink = Sink(fail=2)
    loop = Loop(sink, SystemClock())
    loop.watch(Scripted(well), 0.05)
    loop.start()
    try:
        await until(lambda: len(sink.reports) >= 4, "four reports")
        assert loop.pulses["scripted"].failed == 2
    finally:
        await loop.aclose()


async def test_one_subject_that_hangs_does_not_hold_up_another() -> None:
    async def hang() -> float:
        await asyncio.Event().wait()
        return 0.0

    sink = Sink()
    loop = Loop(sink, SystemClock())
    hanging, fine = Scripted(hang, "hanging"), Scripted(well, "fine")
    loop.watch(hanging, 0.3)
    loop.watch(fine, 0.05)
    loop.start()
    try:
        await until(lambda: sum(report.subject == "fine" for report in sink.reports) >= 5, "five ticks")
        await until(lambda: any(report.subject == "hanging" for report in sink.reports), "the hanging one's report")
    finally:
        await loop.aclose()
    assert (hanging.closed, fine.closed) == (1, 1)


async def test_ticks_never_overlap_and_the_swallowed_ones_are_counted() -> None:
    under_way, most = 0, 0

    async def slow() -> float:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.03)
        under_way -= 1
        return 1.0

    class SlowSink(Sink):
        async def __call__(self, report: Report) -> None:
            await super().__call__(report)
            await asyncio.sleep(0.15)

    sink = SlowSink()
    loop = Loop(sink, SystemClock())
    loop.watch(Scripted(slow), 0.05)
    loop.start()
    try:
        await until(lambda: len(sink.reports) >= 3, "three reports")
        assert loop.pulses["scripted"].missed >= 2
    finally:
        await loop.aclose()
    assert most == 1


async def test_closing_leaves_no_task_behind() -> None:
    async def hang() -> float:
        await asyncio.Event().wait()
        return 0.0

    before = asyncio.all_tasks()
    loop = Loop(Sink(), SystemClock())
    loop.watch(Scripted(hang), 5)
    loop.start()
    await until(lambda: len(asyncio.all_tasks()) > len(before) + 1, "the check is under way")
    await loop.aclose()
    await until(lambda: asyncio.all_tasks() == before, "every task has ended")


async def test_a_wall_clock_set_back_does_not_stop_the_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    back = timedelta(0)

    class Wall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp((SystemClock().now() - back).timestamp(), tz)

    class Machine:
        def now(self) -> datetime:
            return Wall.now(UTC)

        def monotonic(self) -> float:
            return SystemClock().monotonic()

    for module in ("schedulers", "executors"):
        monkeypatch.setattr(f"apscheduler.{module}.base.datetime", Wall)

    async def take(_report: Report) -> None:
        pass

    loop = Loop(take, Machine())
    loop.watch(Scripted(well), 0.1)
    loop.start()
    try:
        await until(lambda: loop.pulses["scripted"].ticks >= 2, "the first ticks")
        back = timedelta(hours=1)
        ticks = loop.pulses["scripted"].ticks
        await until(lambda: loop.pulses["scripted"].ticks >= ticks + 5, "it goes on")
    finally:
        await loop.aclose()
