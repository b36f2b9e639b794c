"""Faults of processes and of what they are configured to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compose.deployment import batch_job, configured_redis_url, set_batch_job
from compose.errors import ConflictError
from compose.fault_kind import Fault
from compose.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

TAKES_WITHIN_S = 8.0


class NodeDown(Fault):
    """A node's process is gone."""

    name = "node_down"
    mechanism = "One node's process is killed (SIGKILL)."
    remedy = "Start the node."
    on_node = True

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """That node is down."""
        return (f"node_down:{node}",)

    async def inject(self) -> str:
        """Kill it."""
        await self.world.process(self.node).kill()
        return f"{self.node} was killed."

    async def cure(self) -> str:
        """Start it."""
        await self.world.process(self.node).start()
        return f"{self.node} was started."

    async def present(self) -> bool:
        """Whether it is gone."""
        return self.world.process(self.node).state == "dead"


class NodeFrozen(NodeDown):
    """A node's process stands still while its port takes connections."""

    name = "node_frozen"
    mechanism = "One node's process is frozen (SIGSTOP): its port takes connections and nothing answers."
    remedy = "Resume the node, or restart it."

    async def inject(self) -> str:
        """Freeze it."""
        await self.world.process(self.node).pause()
        return f"{self.node} was frozen."

    async def cure(self) -> str:
        """Resume it."""
        process = self.world.process(self.node)
        await process.resume()
        await process.wait_ready()
        return f"{self.node} was resumed."

    async def present(self) -> bool:
        """Whether it is frozen."""
        return self.world.process(self.node).state == "frozen"


class RedisDown(Fault):
    """Redis is gone."""

    name = "redis_down"
    mechanism = "Redis is killed (SIGKILL)."
    remedy = "Start Redis; it comes back with its data."

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """Every node is without Redis."""
        return tuple(f"redis_disconnected:{name}" for name in limiters)

    async def inject(self) -> str:
        """Kill it, and see every running node notice."""
        await self.world.process("redis").kill()
        await self._nodes_see(connected=False)
        return "Redis was killed."

    async def cure(self) -> str:
        """Start it, and see every running node connected."""
        await self.world.process("redis").start()
        await self._nodes_see(connected=True)
        return "Redis was started."

    async def present(self) -> bool:
        """Whether it is gone."""
        return self.world.process("redis").state == "dead"

    async def _nodes_see(self, *, connected: bool) -> None:
        word = "connected" if connected else "disconnected"
        for name in self.world.limiters:
            # A node that is down or that looks elsewhere is another fault's matter.
            elsewhere = configured_redis_url(self.world.layout, name) != self.world.redis_url
            if elsewhere or self.world.process(name).state != "running":
                continue
            await until(
                lambda name=name: self._sees(name, connected=connected),  # type: ignore[misc]
                within_s=TAKES_WITHIN_S,
                what=f"{name} does not say that Redis is {word}",
            )

    async def _sees(self, name: str, *, connected: bool) -> bool:
        return (await self.world.api(name).status()).redis.connected == connected


class RedisCut(Fault):
    """One node looks for Redis where there is none."""

    name = "redis_cut"
    mechanism = "One node's redis_url is changed through its API to a closed port; it is kept in its file."
    remedy = "PATCH the right redis_url into the node's config; a restart keeps the wrong one."
    on_node = True

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """That node is without Redis."""
        return (f"redis_disconnected:{node}",)

    async def inject(self) -> str:
        """Change the address, and see the node lose Redis."""
        wrong = self.world.closed_redis_url
        await self.world.api(self.node).set_redis_url(wrong)
        await self._sees(connected=False)
        return f"{self.node} now looks for Redis at {wrong}, where nothing listens."

    async def cure(self) -> str:
        """Change the address back, and see the node connected."""
        await self.world.api(self.node).set_redis_url(self.world.redis_url)
        await self._sees(connected=True)
        return f"{self.node} looks for Redis at {self.world.redis_url} again."

    async def present(self) -> bool:
        """Whether the node's configuration names another Redis."""
        return configured_redis_url(self.world.layout, self.node) != self.world.redis_url

    async def _sees(self, *, connected: bool) -> None:
        async def seen() -> bool:
            return (await self.world.api(self.node).status()).redis.connected == connected

        word = "connected" if connected else "disconnected"
        await until(seen, within_s=TAKES_WITHIN_S, what=f"{self.node} does not say that Redis is {word}")


class HighLatency(Fault):
    """A batch job keeps Redis busy."""

    name = "high_latency"
    mechanism = "The batch client runs its rebuild job: Lua chunks that keep Redis busy about 0.4 s each."
    remedy = "Stop the batch client; a restart of it goes on with the job."

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """Every node answers late."""
        return tuple(f"high_latency:{name}" for name in limiters)

    async def inject(self) -> str:
        """Start the batch client with the job, and see a chunk take its time."""
        process = self.world.process("batch")
        if process.state != "dead":
            await process.stop()
        set_batch_job(self.world.layout, "rebuild")
        await process.start()

        async def busy() -> bool:
            status = await self.world.api("batch").batch_status()
            return status.job == "rebuild" and status.last_s >= 0.25

        await until(busy, within_s=TAKES_WITHIN_S, what="no chunk of the rebuild took 0.25 s")
        return "The batch client was restarted with its rebuild job."

    async def cure(self) -> str:
        """Stop the batch client; when somebody starts it again, it has its everyday job."""
        process = self.world.process("batch")
        if not await self.present():
            raise ConflictError("the batch client does not run a rebuild")
        await process.stop()
        self.tidy()
        return "The batch client was stopped."

    def tidy(self) -> None:
        """Give the batch client its everyday job back, for its next start."""
        set_batch_job(self.world.layout, "aggregate")

    async def present(self) -> bool:
        """Whether the batch client runs with that job."""
        return self.world.process("batch").state == "running" and batch_job(self.world.layout) == "rebuild"
