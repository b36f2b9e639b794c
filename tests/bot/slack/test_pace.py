"""Who may call when: by priority, within the budget, and as long as Slack has not said otherwise."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.calls import wait_for
from bot.slack.pace import MAX_IN_FLIGHT, Bucket, Pace, Priority, Tempo
from tests.clock import ManualClock
from tests.waiting import until

TEMPO = Tempo()


@given(st.lists(st.floats(0, 5), max_size=300))
def test_no_minute_has_more_calls_than_slack_allows(pauses: list[float]) -> None:
    now, called = 0.0, []
    bucket = Bucket(TEMPO.update_per_min / 60, 5, 5, now)
    for pause in pauses:
        now += pause
        now += bucket.wait(now)
        assert bucket.wait(now) == 0
        bucket.spend()
        called.append(now)
    for start in called:
        assert sum(start <= at < start + 60 for at in called) <= 50


async def calling(
    pace: Pace, name: str, method: str, priority: Priority, order: list[str], *, channel: str = ""
) -> None:
    async with pace.turn(method, channel, priority):
        order.append(name)


async def test_what_people_wait_for_goes_first() -> None:
    clock = ManualClock()
    pace = Pace(clock.monotonic, TEMPO)
    order: list[str] = []
    pace.hold("chat.postMessage", 0.02)
    async with asyncio.TaskGroup() as group:
        for name, priority in (("line", Priority.LINE), ("card", Priority.REFRESH), ("root", Priority.FIRST)):
            group.create_task(calling(pace, name, "chat.postMessage", priority, order))
        await asyncio.sleep(0)
        assert order == []
        clock.advance(0.05)
        await until(lambda: len(order) == 3, "all had their turn")
    assert order == ["root", "line", "card"]


async def test_a_limit_of_one_method_holds_up_no_other() -> None:
    clock = ManualClock()
    pace = Pace(clock.monotonic, TEMPO)
    pace.hold("chat.update", 3600)
    order: list[str] = []
    async with asyncio.timeout(5):
        waiting = asyncio.create_task(calling(pace, "edit", "chat.update", Priority.FIRST, order))
        await calling(pace, "post", "chat.postMessage", Priority.LINE, order)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert order == ["post"]
    assert pace.wait("chat.update") > 3000


async def test_a_channel_has_a_budget_of_its_own() -> None:
    clock = ManualClock()
    pace = Pace(clock.monotonic, TEMPO)
    order: list[str] = []
    first = [
        asyncio.create_task(calling(pace, "a", "chat.postMessage", Priority.LINE, order, channel="A")) for _ in range(4)
    ]
    await until(lambda: len(order) == 3, "the burst")
    await calling(pace, "b", "chat.postMessage", Priority.LINE, order, channel="B")
    assert order == ["a", "a", "a", "b"]
    for task in first:
        task.cancel()
    await asyncio.wait(first)


async def test_no_more_than_a_few_are_under_way_and_who_gives_up_frees_its_place() -> None:
    pace = Pace(ManualClock().monotonic, Tempo(post_burst=100))
    release = asyncio.Event()
    under_way = 0

    async def hang() -> None:
        nonlocal under_way
        async with pace.turn("chat.postMessage", "", Priority.LINE):
            under_way += 1
            await release.wait()

    tasks = [asyncio.create_task(hang()) for _ in range(MAX_IN_FLIGHT + 2)]
    await until(lambda: under_way == MAX_IN_FLIGHT, "some are under way")
    tasks[-1].cancel()  # one that waits
    tasks[0].cancel()  # one that is under way
    await until(lambda: under_way == MAX_IN_FLIGHT + 1, "the next one had its place")
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(5), pace.turn("chat.update", "", Priority.LINE):
        pass


async def test_a_turn_that_was_not_used_costs_nothing() -> None:
    pace = Pace(ManualClock().monotonic, Tempo(post_burst=1))
    for _ in range(20):
        async with asyncio.timeout(5), pace.turn("chat.postMessage", "C", Priority.LINE) as turn:
            turn.unused()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0", 0.0), ("-5", 0.0), ("", 10.0), ("soon", 10.0), ("nan", 10.0), ("inf", 300.0), ("86400", 300.0)],
)
def test_a_retry_after_is_believed_within_reason(header: str, seconds: float) -> None:
    assert wait_for(header) == seconds
