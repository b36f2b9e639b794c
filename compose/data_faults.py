"""Faults of what the nodes share: a tally, a published limit, a counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compose.deployment import DEFAULT_LIMITS
from compose.errors import ConflictError
from compose.fault_kind import Fault
from compose.ratelimiter import keys
from compose.redis_access import redis_session
from compose.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compose.node_api import NodeApi
    from compose.world import World

TAKES_WITHIN_S = 10.0
GHOST_LIMIT = "per-user"
STUCK_LIMIT, STUCK_KEY = "per-user", "user-7"
TALLY_TTL_S = 86_400
TEN_YEARS_S = 315_360_000


class CounterDrift(Fault):
    """A node's tally can't be written."""

    name = "counter_drift"
    mechanism = "One node's tally in Redis is replaced by a string: its write-behind fails for ever."
    remedy = "Restart the node: a new boot has a new tally."
    on_node = True

    def __init__(self, world: World, node: str) -> None:
        super().__init__(world, node)
        self._pid: int | None = None

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """What is admitted and what is tallied come apart, for every limit."""
        return tuple(f"counter_drift:{name}" for name in DEFAULT_LIMITS)

    async def inject(self) -> str:
        """Replace it, and see the node's write-behind fail."""
        status = await self.world.api(self.node).status()
        tally = keys.tally(self.node, status.boot_id)
        async with redis_session(self.world.redis_url) as redis:
            await redis.set(tally, "0", ex=TALLY_TTL_S)
        self._pid = self.world.process(self.node).pid

        async def wedged() -> bool:
            return (await self.world.api(self.node).status()).write_behind.error is not None

        await until(
            wedged,
            within_s=TAKES_WITHIN_S,
            what=f"{self.node}'s write-behind does not fail; it needs traffic, does the load run?",
        )
        return f"{self.node}'s tally ({tally}) was replaced by a string."

    async def cure(self) -> str:
        """Restart the node, and see that its write-behind works."""
        await self.world.process(self.node).restart()

        async def works() -> bool:
            status = await self.world.api(self.node).status()
            return status.redis.connected and status.write_behind.error is None

        await until(works, within_s=TAKES_WITHIN_S, what=f"{self.node}'s write-behind still fails")
        return f"{self.node} was restarted."

    async def present(self) -> bool:
        """Whether the process that holds the wedged batch is still the same one."""
        return self._pid is not None and self.world.process(self.node).pid == self._pid


class GhostAllowing(Fault):
    """A node missed that a limit was lowered."""

    name = "ghost_allowing"
    mechanism = "One node's subscription is cut, and a limit is lowered while it is away: it never hears of it."
    remedy = "Publish that limit again, or restart the node."
    on_node = True

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """More is admitted than the limit allows."""
        return (f"ghost_allowing:{GHOST_LIMIT}",)

    async def inject(self) -> str:
        """Cut, lower, and see that this node has the old limit and all others the new one."""
        others = [name for name in self.others() if self.world.process(name).state == "running"]
        if not others:
            raise ConflictError(f"{self.name} needs a second node that runs")
        full = DEFAULT_LIMITS[GHOST_LIMIT].limit
        speaker = self.world.api(others[0])
        if (await speaker.limits()).limits[GHOST_LIMIT].limit != full:
            await speaker.update_limit(GHOST_LIMIT, full)
        await self._reaches([self.node, *others])
        await self._cut()
        new = await speaker.update_limit(GHOST_LIMIT, full // 2)
        if new.receivers >= len(others) + 1:
            raise ConflictError(f"{self.node} was subscribed again before the limit was lowered; try again")
        await self._reaches(others)
        if not await self.present():
            raise ConflictError(f"{self.node} heard of the lowered limit all the same; try again")
        return (
            f"{self.node}'s subscription was cut and {GHOST_LIMIT} lowered to {new.limit} meanwhile: "
            f"{self.node} still allows {full}."
        )

    async def cure(self) -> str:
        """Publish the limit again once the node listens."""
        if not await self.present():
            raise ConflictError(f"{self.node} has the {GHOST_LIMIT} limit that stands in Redis")

        async def listens() -> bool:
            return (await self.world.api(self.node).status()).subscription.connected

        await until(listens, within_s=TAKES_WITHIN_S, what=f"{self.node} does not subscribe")
        await self.world.api(self.node).publish_limit(GHOST_LIMIT)
        await self._reaches([self.node])
        return f"{GHOST_LIMIT} was published again and {self.node} took it."

    async def present(self) -> bool:
        """Whether the node's version is behind the one in Redis."""
        api = self.world.api(self.node)
        stored = (await api.limits()).limits[GHOST_LIMIT]
        held = (await api.status()).limits.get(GHOST_LIMIT)
        return held is not None and held.version < stored.version

    async def _reaches(self, names: list[str]) -> None:
        """Wait until these nodes hold the version that stands in Redis."""
        stored = (await self.world.api(names[0]).limits()).limits[GHOST_LIMIT]

        async def all_hold() -> bool:
            held = [(await self.world.api(name).status()).limits.get(GHOST_LIMIT) for name in names]
            return all(limit is not None and limit.version >= stored.version for limit in held)

        await until(
            all_hold,
            within_s=TAKES_WITHIN_S,
            what=f"{GHOST_LIMIT} version {stored.version} is not in force at {', '.join(names)}",
        )

    async def _cut(self) -> None:
        """Kill the subscription's connection and see it gone."""
        mine = f"{self.node}:subscription"
        async with redis_session(self.world.redis_url) as redis:
            before = await redis.subscribers(keys.LIMITS)
            if not await redis.kill_client(mine):
                raise ConflictError(f"{self.node} has no subscription to cut; does it run and reach Redis?")

            async def gone() -> bool:
                return await redis.subscribers(keys.LIMITS) < before and not await redis.has_client(mine)

            await until(gone, within_s=1.0, what=f"{mine} was killed and is still there", every_s=0.005)


class StuckKey(Fault):
    """A counter that is full and never expires."""

    name = "stuck_key"
    mechanism = f"The counter {STUCK_LIMIT}/{STUCK_KEY} is filled with entries from the far future and never expires."
    remedy = f"DELETE the counter {STUCK_LIMIT}/{STUCK_KEY}."

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """A counter without expiry."""
        return (f"stuck_key:{STUCK_LIMIT}",)

    async def inject(self) -> str:
        """Fill it, and see a check denied."""
        limit = (await self._node().limits()).limits[STUCK_LIMIT].limit
        async with redis_session(self.world.redis_url) as redis:
            future = await redis.time_us() + TEN_YEARS_S * 1_000_000
            await redis.fill_for_ever(
                keys.counter(STUCK_LIMIT, STUCK_KEY),
                {f"future:{number}": float(future + number) for number in range(limit)},
                index=keys.active(STUCK_LIMIT),
                member=STUCK_KEY,
            )
            if not await redis.never_expires(keys.counter(STUCK_LIMIT, STUCK_KEY)):
                raise ConflictError("the counter was filled and expires all the same")
        if (await self._node().check(STUCK_LIMIT, STUCK_KEY)).allowed:
            raise ConflictError("the counter was filled and a check is allowed all the same")
        return f"The counter {STUCK_LIMIT}/{STUCK_KEY} is full and never expires."

    async def cure(self) -> str:
        """Delete it through the API."""
        if not await self.present():
            raise ConflictError(f"the counter {STUCK_LIMIT}/{STUCK_KEY} is not stuck")
        await self._node().reset_counter(STUCK_LIMIT, STUCK_KEY)
        if await self.present():
            raise ConflictError("the counter was deleted and is stuck again")
        return f"The counter {STUCK_LIMIT}/{STUCK_KEY} was deleted."

    async def present(self) -> bool:
        """Whether the counter is there and never expires."""
        async with redis_session(self.world.redis_url) as redis:
            return await redis.never_expires(keys.counter(STUCK_LIMIT, STUCK_KEY))

    def _node(self) -> NodeApi:
        for name in self.world.limiters:
            if self.world.process(name).state == "running":
                return self.world.api(name)
        raise ConflictError("no node runs")
