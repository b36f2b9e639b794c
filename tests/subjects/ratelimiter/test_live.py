"""The real cluster: every fault breaks exactly what it is known to break, and its cure alone ends that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from scheduler.checks import Check
from scheduler.loop import TIMEOUT_SHARE
from subjects import conformance, registry
from subjects.clock import SystemClock
from tests.waiting import until

if TYPE_CHECKING:
    from scheduler.debounce import Report
    from subjects.protocols import AnySubject
    from tests.compose.running_world import WorldProcess

INTERVAL_S = 0.5
LIMITS = ["per-user", "per-ip", "login"]
# Few checks per second in this world: what takes a minute to drift by 100 has drifted by 25 in some seconds.
DRIFT = 25

BREAKS = {
    "node_down": {"node_down:rl-2"},
    "node_frozen": {"node_down:rl-2"},
    "redis_down": {"redis_disconnected:rl-1", "redis_disconnected:rl-2", "redis_disconnected:rl-3"},
    "redis_cut": {"redis_disconnected:rl-2"},
    "high_latency": {"high_latency:rl-1", "high_latency:rl-2", "high_latency:rl-3"},
    "counter_drift": {"counter_drift:per-user", "counter_drift:per-ip", "counter_drift:login"},
    "ghost_allowing": {"ghost_allowing:per-user"},
    "stuck_key": {"stuck_key:per-user"},
}
# A restart may well take longer than the grace.
BY_THE_CURE = {"counter_drift": {"node_down:rl-2"}}
SAMPLE = ["node_frozen", "redis_down", "ghost_allowing", "stuck_key"]


def subject_of(world: WorldProcess) -> AnySubject:
    config = {
        "nodes": {name: place.url for name, place in world.where.nodes.items()},
        "limits": LIMITS,
        "invariants": {"counter_drift": {"threshold": DRIFT}},
    }
    return registry.load("ratelimiter")("ratelimiter", config, SystemClock(), INTERVAL_S)


@dataclass
class Watch:
    """Checks tick by tick, as the scheduler does, and keeps every report."""

    check: Check[object]
    reports: list[Report] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            self.reports.append(await self.check.tick())
            await asyncio.sleep(INTERVAL_S)

    def broken(self) -> set[str]:
        return _names(finding.fingerprint for finding in self.reports[-1].broken) if self.reports else set()

    async def until_broken(self, expected: set[str], within_s: float) -> None:
        await until(lambda: self.broken() == expected, f"broken {expected}", within_s=within_s)

    async def until_all_holds(self) -> None:
        def holds() -> bool:
            return bool(self.reports) and not self.reports[-1].broken and not self.reports[-1].unclear

        await until(holds, "everything holds", within_s=30)

    async def go_on(self, ticks: int) -> list[Report]:
        """The next so many reports."""
        start = len(self.reports)
        await until(lambda: len(self.reports) >= start + ticks, f"{ticks} more reports", within_s=ticks * 5)
        return self.reports[start : start + ticks]


def _names(fingerprints: Iterable[object]) -> set[str]:
    return {str(each) for each in fingerprints}


@pytest.fixture
async def watch(world: WorldProcess) -> AsyncIterator[Watch]:
    check = Check(subject_of(world), SystemClock(), timeout_s=INTERVAL_S * TIMEOUT_SHARE, blind_grace_s=10)
    watching = Watch(check)
    task = asyncio.create_task(watching.run())
    try:
        yield watching
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await check.aclose()


async def put(control: httpx.AsyncClient, path: str, body: object = None) -> None:
    response = await control.post(path, json={} if body is None else body)
    assert response.is_success, response.text


def nothing_else(reports: list[Report], expected: set[str]) -> None:
    """No violation but the expected ones, and nothing lost from sight that is not explained."""
    for report in reports:
        seen = {str(finding.fingerprint): finding.detail for finding in report.broken}
        assert set(seen) <= expected, seen
        assert report.blind is None


async def play(watch: Watch, control: httpx.AsyncClient, fault: str, *, ticks: int) -> None:
    await watch.until_all_holds()
    start = len(watch.reports)
    expected = BREAKS[fault]
    try:
        await put(control, f"/faults/{fault}")
        await watch.until_broken(expected, within_s=45)
        for report in await watch.go_on(ticks):
            assert not _names(report.holding) & expected, "it was said to hold before the cure"
        nothing_else(watch.reports[start:], expected)
        cured = len(watch.reports)
    finally:
        await put(control, f"/cures/{fault}")
    await watch.until_all_holds()
    nothing_else(watch.reports[cured:], expected | BY_THE_CURE.get(fault, set()))


@pytest.mark.parametrize("fault", SAMPLE)
async def test_a_fault_breaks_exactly_what_it_should_until_its_cure(
    watch: Watch, control: httpx.AsyncClient, fault: str
) -> None:
    await play(watch, control, fault, ticks=3)


@pytest.mark.slow
@pytest.mark.parametrize("fault", BREAKS)
async def test_a_fault_stays_what_it_is(watch: Watch, control: httpx.AsyncClient, fault: str) -> None:
    await play(watch, control, fault, ticks=12)


@pytest.mark.slow
async def test_the_same_fault_twice(watch: Watch, control: httpx.AsyncClient) -> None:
    for _ in range(2):
        await play(watch, control, "node_down", ticks=2)


@pytest.mark.slow
async def test_two_faults_at_once(watch: Watch, control: httpx.AsyncClient) -> None:
    await watch.until_all_holds()
    start = len(watch.reports)
    expected = {"node_down:rl-3", "ghost_allowing:per-user"}
    try:
        await put(control, "/faults/ghost_allowing")
        await put(control, "/faults/node_down", {"node": "rl-3"})
        await watch.until_broken(expected, within_s=30)
        await watch.go_on(6)
    finally:
        await put(control, "/cures/node_down", {"node": "rl-3"})
        try:
            await watch.until_broken({"ghost_allowing:per-user"}, within_s=30)
        finally:
            await put(control, "/cures/ghost_allowing")
    await watch.until_all_holds()
    nothing_else(watch.reports[start:], expected)


@pytest.mark.slow
@pytest.mark.parametrize("node", ["rl-1", "rl-2", "rl-3"])
async def test_a_restart_breaks_nothing_but_the_node(watch: Watch, control: httpx.AsyncClient, node: str) -> None:
    await watch.until_all_holds()
    start = len(watch.reports)
    await put(control, f"/nodes/{node}/restart")
    await watch.go_on(4)
    await watch.until_all_holds()
    nothing_else(watch.reports[start:], {f"node_down:{node}"})


async def _clean(watch: Watch, ticks: int) -> None:
    await watch.until_all_holds()
    nothing_else(await watch.go_on(ticks), set())


async def test_a_healthy_cluster_raises_nothing(watch: Watch) -> None:
    await _clean(watch, ticks=6)


@pytest.mark.slow
async def test_a_healthy_cluster_raises_nothing_for_longer(watch: Watch) -> None:
    await _clean(watch, ticks=20)


async def test_the_real_subject_conforms(world: WorldProcess) -> None:
    assert await conformance.check(subject_of(world), interval_s=2.0) == []


async def test_what_the_world_says_its_faults_break_is_what_is_tested(control: httpx.AsyncClient) -> None:
    table = (await control.get("/faults")).json()
    said = {row["name"]: set(row["breaks"]) for row in table}
    assert {name: said.get(name) for name in BREAKS} == BREAKS
