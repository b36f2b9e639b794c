"""The process ends at any commit or call to Slack, before or after it, and another takes over: nothing is lost, nothing
is said twice. (SIGKILL of the whole program is in ``tests/crash``; here each single point is tried.)
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot import incidents
from bot.store import audit, messages
from compose.slack.app import Options, Server
from tests.bot.slack.stage import Stage, StageClock, database, down, settings_of
from tests.bot.slack.test_outages import in_order
from tests.waiting import until


class Ending:
    """Stands in for failpoints: from the ``at``-th passage on, nothing of this life gets through any more."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.passed = 0
        self.ended = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def __call__(self, name: str) -> None:
        self.passed += 1
        if self.at is not None and self.passed >= self.at:
            self.loop.call_soon_threadsafe(self.ended.set)
            raise asyncio.CancelledError(name)

    def again(self, at: int | None) -> None:
        self.at, self.passed = at, 0
        self.ended.clear()


@pytest.fixture
async def ending(monkeypatch: pytest.MonkeyPatch) -> Ending:
    ending = Ending()
    monkeypatch.setattr("bot.slack.calls.failpoint", ending)
    monkeypatch.setattr("bot.store.database.failpoint", ending)
    return ending


async def story(stage: Stage) -> None:
    await stage.tick(down())
    await stage.tick(down(), down("rl-3"))
    await stage.store.run(incidents.acknowledge, stage.store, 1, "os:ana")
    await stage.tick(down("tikv-1", subject="kv"), subject="kv")
    await stage.tick(subject="nobody", blind="no answer")


async def live(stage: Stage, ending: Ending, at: int) -> bool:
    """A life that ends at the ``at``-th passage; False where it got through everything before."""
    ending.again(at)
    async with stage.running():
        settled = asyncio.create_task(stage.settled())
        ended = asyncio.create_task(ending.ended.wait())
        await asyncio.wait({settled, ended}, return_when=asyncio.FIRST_COMPLETED)
        survived = not ending.ended.is_set()
        for task in (settled, ended):
            task.cancel()
    ending.again(None)
    return survived


def told_once(stage: Stage) -> None:
    blind = [root for root in stage.roots() if "can't be seen" in root.text]
    assert len(blind) == 1
    assert len(stage.roots()) == 3, "a second copy"
    nonces = [one.metadata["event_payload"]["nonce"] for one in stage.roots()]  # type: ignore[index,call-overload]
    assert len(set(nonces)) == 3
    for number, first in ((1, "Ticket 1"), (2, "Ticket 2")):
        (card,) = [root for root in stage.roots() if first in root.text]
        lines = [row for row in stage.rows(f"ticket:{number}") if row.slot != "card"]
        assert [row.ts for row in lines] == [reply.ts for reply in stage.replies(card)]
        assert [row.slot for row in lines] == sorted({row.slot for row in lines}, key=lambda slot: int(slot[5:]))
    assert len(stage.entries("ThreadOpened")) == 2
    assert stage.store.call(audit.verify).ok


async def one_life(folder: Path, ending: Ending, at: int) -> bool:
    """The story, with an end at that passage and another life after it; whether there is no such passage."""
    clock = StageClock()
    ending.again(None)
    async with await Server.start(Options(folder / "slack", limits=False)) as server:
        stage = Stage(server, database(folder, clock), clock, settings_of(server))
        await story(stage)
        survived = await live(stage, ending, at)
        async with stage.running():
            await stage.settled()
            told_once(stage)
            await stage.resolve()
            await stage.resolve("kv")
            await stage.settled()
            await until(lambda: not stage.store.call(messages.unfinished), "nothing is left half done")
        cards = [root for root in stage.roots() if "Ticket" in root.text]
        assert all(card.text.endswith("resolved") for card in cards)
        assert all(stage.texts(card)[-1].startswith("✅") for card in cards)
        stage.store.close()
    return survived


STRIDE = 7
FIRST = [1, 2, *(pytest.param(start, marks=pytest.mark.slow) for start in range(3, STRIDE + 1))]


@pytest.mark.parametrize("first", FIRST)
async def test_an_end_at_every_point_loses_nothing_and_says_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, ending: Ending, first: int
) -> None:
    """Every seventh point, from the first on; the slow ones are the points between."""
    at = first
    while not await one_life(tmp_path_factory.mktemp(f"life-{at}"), ending, at):
        at += STRIDE
    assert at > 30, "the story has fewer points than it should"


async def test_ends_in_a_row_lose_nothing(stage: Stage, ending: Ending) -> None:
    await story(stage)
    for at in (3, 4, 5, 6, 4, 5, 6, 7, 8, 4, 5, 9):
        await live(stage, ending, at)
    async with stage.running():
        await stage.settled()
        told_once(stage)
        await stage.resolve()
        await stage.settled()


async def test_an_end_while_slack_is_away_is_caught_up_with(stage: Stage) -> None:
    await stage.tick(down())
    async with stage.running():
        await stage.settled()
    stage.fault(method="*", kind="down")
    async with stage.running():
        await stage.tick(down(), down("rl-3"))
        await stage.resolve()
        await until(lambda: len([call for call in stage.calls() if call.fault]) > 3, "it tried")
    # The ticket is resolved by now, and the cursor is the only one who knows that not all was told.
    stage.mend()
    async with stage.running():
        await stage.settled()
    (root,) = stage.roots()
    assert root.text.endswith("resolved")
    assert stage.texts(root)[-1].startswith("✅ *Resolved*")
    in_order(stage)
