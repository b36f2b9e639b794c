"""Each fault: its mechanism takes, nothing heals it, the wrong cures do not mend it, and its own cure does.

What is judged is what the service answers, not what the world says about itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pytest

from compose.faults import describe
from compose.ratelimiter.views import BatchStatusView
from tests.waiting import until

if TYPE_CHECKING:
    from tests.compose.running_world import Client

Sign: TypeAlias = Callable[["Client"], Awaitable[bool]]
Cure: TypeAlias = Callable[["Client"], Awaitable[None]]

# Longer than every period of the service: the heartbeat, the ping, the flush, the wait before subscribing again.
STAYS_S = 2.5


async def stays(world: Client, sign: Sign, seconds: float = STAYS_S) -> None:
    """The sign is there at every look."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        assert await sign(world), "it healed by itself, or by something that is no cure"
        await asyncio.sleep(0.1)


async def silent(world: Client) -> bool:
    return not await world.answers("rl-2")


async def all_without_redis(world: Client) -> bool:
    refused = [
        await world.ask("POST", node, "/v1/check", body={"limit": "per-user", "key": "k"}) for node in world.nodes
    ]
    shared = await world.ask("GET", "rl-1", "/v1/shared")
    connected = [(await world.status(node)).redis.connected for node in world.nodes]
    return {reply.status for reply in refused} == {503} and shared.status == 503 and not any(connected)


async def one_without_redis(world: Client) -> bool:
    link = (await world.status("rl-2")).redis
    refused = await world.ask("POST", "rl-2", "/v1/check", body={"limit": "per-user", "key": "k"})
    others = [(await world.status(node)).redis.connected for node in ("rl-1", "rl-3")]
    return not link.connected and link.error is not None and refused.status == 503 and all(others)


async def p95_above(world: Client, seconds: float) -> bool:
    """Whether more than a twentieth of the checks during one second took longer than that, at every node."""
    before = {node: (await world.status(node)).latency for node in world.nodes}
    await asyncio.sleep(1.0)
    slow = []
    for node in world.nodes:
        after = (await world.status(node)).latency
        fast = after.le.index(seconds)
        counts = [new - old for new, old in zip(after.counts, before[node].counts, strict=True)]
        slow.append(counts[-1] > 0 and counts[fast] < 0.95 * counts[-1])
    return all(slow)


async def slow_everywhere(world: Client) -> bool:
    return await p95_above(world, 0.1)


async def drifting(world: Client) -> bool:
    status = await world.status("rl-2")
    tally = next(tally for tally in (await world.shared()).tallies if tally.node == "rl-2")
    return (
        status.write_behind.error is not None
        and "WRONGTYPE" in status.write_behind.error
        and status.write_behind.stuck_for_s > 0
        and tally.boot_id == status.boot_id
        and tally.counts is None
        and tally.error is not None
    )


async def behind(world: Client) -> bool:
    stored = (await world.shared()).limits["per-user"]
    # A node that has just started may not have loaded them yet.
    held = {node: (await world.status(node)).limits.get("per-user") for node in world.nodes}
    ghost = held["rl-2"]
    return (
        stored.limit == 10
        and ghost is not None
        and ghost.limit == 20
        and ghost.version < stored.version
        and held["rl-1"] == held["rl-3"] == stored
    )


async def stuck(world: Client) -> bool:
    shared = await world.shared()
    found = [counter for counter in shared.counters if counter.ttl_ms is None]
    denied = not (await world.check("rl-3", "per-user", "user-7")).allowed
    return [(counter.limit, counter.key) for counter in found] == [("per-user", "user-7")] and denied


async def restart_all_nodes(world: Client) -> None:
    for node in world.nodes:
        await world.done(f"/nodes/{node}/restart")


async def restart_rl_2(world: Client) -> None:
    await world.done("/nodes/rl-2/restart")


async def restart_rl_1(world: Client) -> None:
    await world.done("/nodes/rl-1/restart")


async def restart_batch(world: Client) -> None:
    await world.done("/nodes/batch/restart")


async def restart_redis(world: Client) -> None:
    await world.done("/nodes/redis/restart")

    async def connected() -> bool:
        links = [await world.status(node) for node in ("rl-1", "rl-3")]
        return all(status.redis.connected and status.subscription.connected for status in links)

    await until(connected, "rl-1 and rl-3 are connected again")


async def publish_another_limit(world: Client) -> None:
    reply = await world.manage("POST", "rl-1", "/v1/limits/per-ip/publish")
    assert reply.status == 200


async def reset_another_counter(world: Client) -> None:
    reply = await world.manage("DELETE", "rl-1", "/v1/counters/per-user/user-8")
    assert reply.status == 200


async def start_batch_again(world: Client) -> None:
    await world.done("/nodes/batch/start")


@dataclass(frozen=True, slots=True)
class Case:
    fault: str
    sign: Sign
    wrong_cures: tuple[Cure, ...]
    after: Cure | None = None


CASES = [
    Case("node_down", silent, (restart_rl_1,)),
    Case("node_frozen", silent, (restart_rl_1,)),
    Case("redis_down", all_without_redis, (restart_rl_2,)),
    Case("redis_cut", one_without_redis, (restart_rl_2, restart_redis)),
    Case("high_latency", slow_everywhere, (restart_batch, restart_all_nodes), start_batch_again),
    Case("counter_drift", drifting, (restart_redis, restart_rl_1)),
    Case("ghost_allowing", behind, (restart_redis, restart_rl_1, publish_another_limit)),
    Case("stuck_key", stuck, (restart_rl_2, restart_redis, reset_another_counter, restart_all_nodes)),
]


async def soon(world: Client, sign: Sign, *, there: bool) -> None:
    async def seen() -> bool:
        return await sign(world) == there

    await until(seen, f"{sign.__name__} is {there}")


async def broken_and_mended(world: Client, case: Case, wrong_cures: Sequence[Cure], seconds: float) -> None:
    assert not await case.sign(world)
    try:
        await world.done(f"/faults/{case.fault}")
        await soon(world, case.sign, there=True)
        await stays(world, case.sign, seconds)
        for cure in wrong_cures:
            await cure(world)
            await soon(world, case.sign, there=True)
            await stays(world, case.sign, 0.5)
        assert (await world.state()).faults == [case.fault]
        await world.done(f"/cures/{case.fault}")
        await soon(world, case.sign, there=False)
        if case.after is not None:
            await case.after(world)
        await world.wait_healthy()
        assert not await case.sign(world)
    finally:
        await world.manage("PUT", "rl-1", "/v1/limits/per-user", {"limit": 20})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
async def test_a_fault_takes_stays_and_only_its_cure_mends_it(world: Client, case: Case) -> None:
    await broken_and_mended(world, case, case.wrong_cures[:1], STAYS_S)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
async def test_no_wrong_cure_mends_a_fault_and_time_does_not_either(world: Client, case: Case) -> None:
    await broken_and_mended(world, case, case.wrong_cures, 4 * STAYS_S)


async def test_a_missed_limit_admits_more_than_the_limit_until_the_node_is_restarted(world: Client) -> None:
    async def over(world: Client) -> bool:
        shared = await world.shared()
        return max(c.count for c in shared.counters if c.limit == "per-user") > shared.limits["per-user"].limit

    try:
        await world.done("/faults/ghost_allowing")
        # What was admitted before the change leaves the window first.
        await asyncio.sleep(2.1)
        await soon(world, over, there=True)
        await stays(world, over, 1.0)
        await restart_rl_2(world)
        assert not await behind(world)
        await soon(world, over, there=False)
        assert (await world.state()).faults == []
    finally:
        await world.manage("PUT", "rl-1", "/v1/limits/per-user", {"limit": 20})


async def test_drift_grows_beyond_fifty_and_a_restart_of_that_node_ends_it(world: Client) -> None:
    await world.done("/faults/counter_drift")

    async def pending(world: Client) -> bool:
        return (await world.status("rl-2")).write_behind.pending > 50

    await soon(world, pending, there=True)
    await restart_rl_2(world)
    assert not await drifting(world)
    assert (await world.state()).faults == []


async def test_a_stopped_batch_client_starts_again_with_its_everyday_job(world: Client) -> None:
    await world.done("/faults/high_latency")
    await world.done("/nodes/batch/stop")
    assert (await world.state()).faults == []
    await world.done("/nodes/batch/start")
    status = await world.request("GET", f"{world.world.where.batch.url}/v1/status")
    assert BatchStatusView.model_validate_json(status.text).job == "aggregate"


async def test_two_faults_need_both_cures(world: Client) -> None:
    try:
        await world.done("/faults/two")
        assert not await world.answers("rl-3")
        await world.done("/nodes/rl-3/start")
        assert (await world.state()).faults == ["two"]
        assert await behind(world)
        await world.done("/cures/two")
        assert (await world.state()).faults == []
        await world.wait_healthy()
    finally:
        await world.manage("PUT", "rl-1", "/v1/limits/per-user", {"limit": 20})


async def test_none_stays_quiet(world: Client) -> None:
    await world.done("/faults/none")
    for _ in range(4):
        before = {node: (await world.status(node)).latency for node in world.nodes}
        await asyncio.sleep(1.0)
        statuses = {node: await world.status(node) for node in world.nodes}
        shared = await world.shared()
        tallies = {tally.node: tally for tally in shared.tallies}
        for name, limit in shared.limits.items():
            drift = sum(
                status.admitted.get(name, 0) - (tallies[node].counts or {}).get(name, 0)
                for node, status in statuses.items()
            )
            assert -50 < drift < 50
            counters = [counter for counter in shared.counters if counter.limit == name]
            assert max(counter.count for counter in counters) <= limit.limit
            assert all(counter.ttl_ms is not None for counter in counters)
            assert all(counter.ttl_ms <= limit.window_ms + 2 for counter in counters if counter.ttl_ms)
        checks, fast = 0, 0
        for node, status in statuses.items():
            place = status.latency.le.index(0.1)
            checks += status.latency.counts[-1] - before[node].counts[-1]
            fast += status.latency.counts[place] - before[node].counts[place]
            assert status.redis.connected
        assert checks > 20, "the load runs"
        assert fast >= 0.95 * checks
    assert (await world.state()).faults == []


def test_every_fault_says_what_it_breaks() -> None:
    table = {info.name: info.breaks for info in describe(["rl-1", "rl-2", "rl-3"])}
    assert table == {
        "node_down": ("node_down:rl-2",),
        "node_frozen": ("node_down:rl-2",),
        "redis_down": tuple(f"redis_disconnected:rl-{number}" for number in (1, 2, 3)),
        "redis_cut": ("redis_disconnected:rl-2",),
        "high_latency": tuple(f"high_latency:rl-{number}" for number in (1, 2, 3)),
        "counter_drift": ("counter_drift:per-user", "counter_drift:per-ip", "counter_drift:login"),
        "ghost_allowing": ("ghost_allowing:per-user",),
        "stuck_key": ("stuck_key:per-user",),
        "two": ("node_down:rl-3", "ghost_allowing:per-user"),
        "none": (),
    }
