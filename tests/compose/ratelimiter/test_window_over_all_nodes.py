"""No window ever admits more than the limit, over all nodes, many clients and real time.

The judge is Redis' own append-only file: every admission with the microsecond at which it was made.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
from typing import TYPE_CHECKING

from compose.ratelimiter import keys
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compose.running_world import Client


def admissions_us(directory: Path, counter: str) -> list[int]:
    """The scores that were added to a counter, from what Redis wrote down."""
    files = [*directory.glob("redis/appendonly.aof"), *directory.glob("redis/appendonlydir/*.aof")]
    scores = []
    for file in files:
        # Each command is an array of bulk strings: *4 $4 ZADD $n <key> $n <score> $n <member>.
        words = file.read_bytes().split(b"\r\n")
        for place, word in enumerate(words):
            if word.upper() == b"ZADD" and words[place + 2] == counter.encode():
                scores.append(int(float(words[place + 4])))
    return sorted(scores)


def most_in_any_window(times: list[int], window_us: int) -> int:
    """The largest number of admissions in any window of that length that is open at its start."""
    return max((end + 1 - bisect.bisect_right(times, at - window_us) for end, at in enumerate(times)), default=0)


async def hammer(world: Client, limit: str, key: str, *, clients: int, seconds: float) -> int:
    """Ask from many clients at all nodes as fast as they answer; gives the number of units that were allowed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    allowed = 0

    async def client(number: int) -> None:
        nonlocal allowed
        for turn in itertools.count(number):
            if loop.time() > end:
                return
            answer = await world.check(world.nodes[turn % len(world.nodes)], limit, key)
            allowed += answer.allowed
            if not answer.allowed and number % 3 == 0:
                # Some clients obey: they come back exactly when they were told to.
                await asyncio.sleep(min(answer.retry_after_ms / 1000, 0.5))

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
    return allowed


async def written_down(world: Client, limit: str, key: str, allowed: int) -> list[int]:
    counter = keys.counter(limit, key)
    await until(
        lambda: len(admissions_us(world.world.directory, counter)) >= allowed,
        f"{allowed} admissions stand in Redis' file",
    )
    return admissions_us(world.world.directory, counter)


async def test_no_window_admits_more_than_the_limit(world: Client) -> None:
    limit = (await world.shared()).limits["per-user"]
    allowed = await hammer(world, "per-user", "hammered", clients=24, seconds=5)
    times = await written_down(world, "per-user", "hammered", allowed)
    assert len(times) == allowed, "what clients were told is what was recorded"
    assert most_in_any_window(times, limit.window_ms * 1000) == limit.limit, "full use, and never more"


async def test_while_a_limit_changes_no_window_admits_more_than_the_larger(world: Client) -> None:
    small, large = 5, 12

    async def change() -> None:
        for turn in range(12):
            value = large if turn % 2 == 0 else small
            node = world.nodes[turn % len(world.nodes)]
            reply = await world.manage("PUT", node, "/v1/limits/login", {"limit": value})
            assert reply.status == 200, reply
            await asyncio.sleep(0.35)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(change())
            hammered = group.create_task(hammer(world, "login", "changed", clients=16, seconds=4.5))
    finally:
        await world.manage("PUT", "rl-1", "/v1/limits/login", {"limit": small})
    times = await written_down(world, "login", "changed", hammered.result())
    window_us = (await world.shared()).limits["login"].window_ms * 1000
    assert small < most_in_any_window(times, window_us) <= large
