"""SIGKILL before and after every commit and every call to Slack, and at random moments; then a start.

No second thread, nothing lost, nothing twice, and the chain verifies.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.program.stage import Stage, stage
from tests.program.story import examine, play

COMMITS, CALLS = 30, 9
"""Every story passes at least so many of each; `test_the_story_passes_every_failpoint` holds them against a run."""
POINTS = [
    f"{name}:{passage}"
    for name, passages in {
        "commit.before": COMMITS,
        "commit.after": COMMITS,
        "slack.before": CALLS,
        "slack.after": CALLS,
    }.items()
    for passage in range(1, passages + 1)
]
SAMPLE = set(POINTS[::10]) | {"slack.before:1", "slack.after:1"}
LIVES = 6
"""So many processes in a row die at the same point: each has come further than the one before it."""

pytestmark = pytest.mark.timeout(400)  # six starts on a busy machine

Record = Callable[[str, object], None]


async def run_story(stage: Stage, record_property: Record, kind: str) -> None:
    await play(stage)
    await stage.stop()
    await examine(stage)
    record_property("sigkill", {"kind": kind, "kills": stage.deaths})


@pytest.mark.parametrize("point", [point for point in POINTS if point in SAMPLE])
async def test_killed_at(point: str, tmp_path: Path, record_property: Record) -> None:
    await killed_at(point, tmp_path, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in POINTS if point not in SAMPLE])
async def test_killed_at_the_rest(point: str, tmp_path: Path, record_property: Record) -> None:
    await killed_at(point, tmp_path, record_property)


async def killed_at(point: str, tmp_path: Path, record_property: Record) -> None:
    async with stage(tmp_path) as made:
        made.arm(point, lives=LIVES)
        made.start()
        await run_story(made, record_property, point.partition(":")[0])
        assert made.deaths >= 1, f"{point} was never passed"


@pytest.mark.parametrize("seed", range(2))
async def test_killed_at_random(seed: int, tmp_path: Path, record_property: Record) -> None:
    await killed_at_random(seed, tmp_path, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 100))
async def test_killed_at_random_often(seed: int, tmp_path: Path, record_property: Record) -> None:
    await killed_at_random(seed, tmp_path, record_property)


async def killed_at_random(seed: int, tmp_path: Path, record_property: Record) -> None:
    """Several times in one story, at moments that the seed decides."""
    moments = random.Random(seed)

    async def killer(made: Stage) -> None:
        for _ in range(4):
            await asyncio.sleep(moments.uniform(0.1, 2.5))  # the random moment itself, not a wait for something
            if made.process is not None and made.process.poll() is None:
                made.kill()

    async with stage(tmp_path) as made:
        made.start()
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(killer(made))
            await play(made)
            killing.cancel()
        made.keep_running()
        await play_to_the_end(made)
        await made.stop()
        await examine(made)
        record_property("sigkill", {"kind": "at random", "kills": made.deaths})


async def play_to_the_end(made: Stage) -> None:
    """After a late kill: the next process must find nothing left to do, or do it."""
    await made.alive_until(
        lambda: not made.rows("SELECT 1 FROM slack_messages WHERE state = 'intent'"), "nothing is left open"
    )


async def test_the_story_passes_every_failpoint(tmp_path: Path) -> None:
    log = tmp_path / "passed"
    async with stage(tmp_path / "stage") as made:
        made.start(log=log)
        await play(made)
        await made.stop()
        await examine(made)
    passed = log.read_text().split()
    assert set(passed) == {point.partition(":")[0] for point in POINTS}
    assert passed.count("commit.before") >= COMMITS
    assert passed.count("slack.before") >= CALLS
