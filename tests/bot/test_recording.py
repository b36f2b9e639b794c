from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.recording import Recorder, merge
from bot.store.errors import DatabaseLocked
from bot.trouble import Trouble
from scheduler.debounce import Finding, Report
from subjects.protocols import Fingerprint, Severity
from tests.clock import ManualClock
from tests.waiting import until

AT = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = [Fingerprint("s", "up", key) for key in "abcd"]
RANK = {"holding": 0, "unclear": 1, "broken": 2}


def report_of(states: list[str], monotonic: float = 1.0) -> Report:
    by_state = {state: [key for key, its in zip(KEYS, states, strict=True) if its == state] for state in RANK}
    return Report(
        subject="s",
        at=AT,
        monotonic=monotonic,
        broken=tuple(
            Finding(key, Severity.CRITICAL, monotonic, 1.0, "x", f"at {monotonic}", AT) for key in by_state["broken"]
        ),
        holding=frozenset(by_state["holding"]),
        unclear=dict.fromkeys(by_state["unclear"], f"at {monotonic}"),
        unknown=len(by_state["unclear"]),
        blind=None,
    )


def states_of(report: Report) -> list[str]:
    states = dict.fromkeys(report.holding, "holding") | dict.fromkeys(report.unclear, "unclear")
    states |= {finding.fingerprint: "broken" for finding in report.broken}
    return [states.get(key, "?") for key in KEYS]


states = st.lists(st.sampled_from(list(RANK)), min_size=len(KEYS), max_size=len(KEYS))


@given(states, states)
def test_each_key_is_as_bad_as_it_ever_was(earlier: list[str], later: list[str]) -> None:
    merged = merge(report_of(earlier, 1.0), report_of(later, 2.0))
    assert states_of(merged) == [max(pair, key=RANK.__getitem__) for pair in zip(earlier, later, strict=True)]
    assert len(merged.broken) + len(merged.unclear) + len(merged.holding) == len(KEYS)
    assert merged.monotonic == 2.0


@given(states, states, states)
def test_the_newest_value_of_what_is_still_broken_counts(first: list[str], second: list[str], third: list[str]) -> None:
    merged = merge(merge(report_of(first, 1.0), report_of(second, 2.0)), report_of(third, 3.0))
    for finding in merged.broken:
        index = KEYS.index(finding.fingerprint)
        newest = max(n for n, states_ in enumerate((first, second, third), 1) if states_[index] == "broken")
        assert finding.value == newest


@dataclass
class Writer:
    """Takes reports, or fails as long as ``fails`` is set, or hangs until ``free``."""

    fails: Exception | None = None
    free: asyncio.Event = field(default_factory=asyncio.Event)
    written: list[Report] = field(default_factory=list)
    tried: int = 0

    async def __call__(self, report: Report) -> None:
        self.tried += 1
        await self.free.wait()
        if self.fails is not None:
            raise self.fails
        self.written.append(report)


@asynccontextmanager
async def recording(writer: Writer) -> AsyncIterator[tuple[Recorder, Trouble, Trouble]]:
    clock = ManualClock()
    store, fault = Trouble("store", "store over", clock), Trouble("fault", "fault over", clock)
    recorder = Recorder(writer, store, fault)
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder, store, fault
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_taking_in_never_waits_for_the_writing() -> None:
    writer = Writer()
    async with recording(writer) as (recorder, _, _):
        await recorder.take(report_of(["broken", "holding", "holding", "holding"], 1.0))
        await until(lambda: writer.tried, "the writing begins")
        async with asyncio.timeout(1):
            for tick in range(2, 50):
                await recorder.take(report_of(["holding"] * 4, float(tick)))
        writer.free.set()
        await until(lambda: len(writer.written) == 2, "what waited is written")
        assert [report.monotonic for report in writer.written] == [1.0, 49.0]
        assert states_of(writer.written[1]) == ["holding"] * 4


@pytest.mark.parametrize("error", [DatabaseLocked("locked"), RuntimeError("a bug")])
async def test_what_broke_while_nothing_could_be_written_is_not_lost(error: Exception) -> None:
    writer = Writer(fails=error)
    writer.free.set()
    async with recording(writer) as (recorder, store, fault):
        await recorder.take(report_of(["broken", "unclear", "holding", "holding"], 1.0))
        await until(lambda: writer.tried, "the first attempt")
        await recorder.take(report_of(["holding"] * 4, 2.0))
        await until(lambda: writer.tried > 1, "the next attempt")
        told = store if isinstance(error, DatabaseLocked) else fault
        assert told.now == str(error)
        writer.fails = None
        await until(lambda: writer.written, "it is written in the end, without another report")
        assert states_of(writer.written[0]) == ["broken", "unclear", "holding", "holding"]
        await recorder.take(report_of(["holding"] * 4, 3.0))
        await until(lambda: len(writer.written) == 2, "from then on all is as usual")
        assert states_of(writer.written[1]) == ["holding"] * 4
        assert fault.now is None


@pytest.mark.parametrize("error", [DatabaseLocked("locked"), RuntimeError("a bug")])
async def test_what_cannot_be_written_of_one_subject_shows_while_others_can_be(error: Exception) -> None:
    others = 0

    async def write(report: Report) -> None:
        nonlocal others
        if report.subject == "s" and failing:
            raise error
        others += 1

    clock = ManualClock()
    store, fault = Trouble("store", "store over", clock), Trouble("fault", "fault over", clock)
    recorder = Recorder(write, store, fault)
    failing = True
    task = asyncio.create_task(recorder.run())
    try:
        await recorder.take(report_of(["broken"] * 4))
        await until(lambda: store.now or fault.now, "the first attempt")
        await recorder.take(replace(report_of(["holding"] * 4), subject="t"))
        await until(lambda: others, "the other subject is written")
        assert fault.now == (None if isinstance(error, DatabaseLocked) else "a bug")
        assert recorder.stored is not isinstance(error, DatabaseLocked)
        failing = False
        await until(lambda: others > 1, "in the end it can be written")
        assert recorder.stored
        assert fault.now is None
    finally:
        task.cancel()
        await asyncio.wait({task})
