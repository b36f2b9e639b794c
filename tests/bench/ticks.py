"""What the checks cost: the processor's share for 1 to 1,000 subjects, and one tick of a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.incidents import Incidents, Rules
from bot.store.database import Store, default_path
from scheduler.checks import Check
from scheduler.loop import Loop
from subjects import registry
from subjects.clock import SystemClock
from subjects.protocols import Holds, Invariant, Observation, Severity, Verdict
from tests.bench.figures import Figure, figure
from tests.compose.running_world import WorldProcess, run_world

INTERVAL_S = 10.0
KEYS = ("a", "b", "c")


class Idle:
    """Six invariants at three keys each, all well, nothing to wait for: what is left is the loop's own cost."""

    title, runbook = "Idle", None

    def __init__(self, name: str) -> None:
        self.name = name
        self.invariants: Sequence[Invariant[int]] = [
            Invariant(f"i{n}", "It is.", Severity.WARNING, 1, "x", 1, KEYS, _well) for n in range(6)
        ]

    async def observe(self) -> int:
        return 1

    async def aclose(self) -> None:
        pass


def _well(_: Observation[int]) -> Mapping[str, Verdict]:
    return dict.fromkeys(KEYS, Holds())


def measure(folder: Path) -> list[Figure]:
    figures = []
    for count in (1, 10, 100, 1000):
        ticks, shares = asyncio.run(_run(folder / str(count), count))
        figures.append(
            figure(
                f"ticks: {count} subjects at {INTERVAL_S:.0f} s, processor",
                "% of a core",
                [share * 100 for share in shares],
                aim="50" if count == 1000 else "",
                note=f"{ticks} ticks, {sum(shares) * INTERVAL_S / ticks * 1e6:.0f} µs each",
            )
        )
    with run_world(folder / "world") as world:
        costs = asyncio.run(_real(world))
    figures.append(
        figure(
            "one tick of the rate limiter, 3 nodes",
            "ms of processor",
            costs,
            note="four HTTP reads, 18 verdicts; ten times this, in % of a core, for 1,000 of them at 10 s",
        )
    )
    return figures


async def _real(world: WorldProcess, ticks: int = 50) -> list[float]:
    config = {
        "nodes": {name: place.url for name, place in world.where.nodes.items()},
        "limits": ["per-user", "per-ip", "login"],
    }
    subject = registry.load("ratelimiter")("ratelimiter", config, SystemClock(), 1.0)
    check = Check(subject, SystemClock(), timeout_s=0.8, blind_grace_s=10)
    costs = []
    try:
        for _ in range(ticks):
            began = time.process_time()
            await check.tick()
            costs.append((time.process_time() - began) * 1000)
            await asyncio.sleep(0.1)
    finally:
        await check.aclose()
    return costs


async def _run(folder: Path, count: int) -> tuple[int, list[float]]:
    store = Store(default_path(folder), SystemClock())
    store.open(migrate=True)
    loop = Loop(Incidents(store, Rules(30, 900, 300)).take_in, SystemClock())
    for n in range(count):
        loop.watch(Idle(f"s{n}"), INTERVAL_S)
    loop.start()
    shares = []
    try:
        await asyncio.sleep(2)  # the first ticks all come at once; what is asked is the steady state
        before_ticks = sum(pulse.ticks for pulse in loop.pulses.values())
        for _ in range(2):
            cpu, began = time.process_time(), time.perf_counter()
            await asyncio.sleep(INTERVAL_S)
            shares.append((time.process_time() - cpu) / (time.perf_counter() - began))
        ticks = sum(pulse.ticks for pulse in loop.pulses.values()) - before_ticks
    finally:
        await loop.aclose()
        store.close()
    return max(ticks, 1), shares
