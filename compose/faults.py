"""Every fault that the world can have, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compose.data_faults import CounterDrift, GhostAllowing, StuckKey
from compose.errors import ConflictError, NotFoundError
from compose.fault_kind import Fault
from compose.process_faults import HighLatency, NodeDown, NodeFrozen, RedisCut, RedisDown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compose.world import World

DEFAULT_NODE = "rl-2"


class NoFault(Fault):
    """Nothing is broken: what a quiet world looks like."""

    name = "none"
    mechanism = "Nothing is done."
    remedy = "Nothing to mend."

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """Nothing."""
        return ()

    async def inject(self) -> str:
        """Do nothing."""
        return "Nothing was done."

    async def cure(self) -> str:
        """Do nothing."""
        return "Nothing was done."

    async def present(self) -> bool:
        """Never."""
        return False


class Two(Fault):
    """Two independent faults at once."""

    name = "two"
    mechanism = "node_down at rl-3 and ghost_allowing at rl-2, at once."
    remedy = "Both: start rl-3, and publish the per-user limit again."

    def __init__(self, world: World, node: str) -> None:
        super().__init__(world, node)
        self._parts: tuple[Fault, ...] = (GhostAllowing(world, "rl-2"), NodeDown(world, "rl-3"))

    @classmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003 - one shape for all
        """What both of them break."""
        return (*NodeDown.breaks("rl-3", limiters), *GhostAllowing.breaks("rl-2", limiters))

    async def inject(self) -> str:
        """Break both."""
        if "rl-3" not in self.world.limiters:
            raise ConflictError("two needs three nodes")
        return " ".join([await part.inject() for part in self._parts])

    async def cure(self) -> str:
        """Mend what is still broken."""
        done = [await part.cure() for part in self._parts if await part.present()]
        if not done:
            raise ConflictError("neither of the two is there")
        return " ".join(done)

    async def present(self) -> bool:
        """Whether one of them is still there."""
        return any([await part.present() for part in self._parts])


FAULTS: dict[str, type[Fault]] = {
    kind.name: kind
    for kind in (
        NodeDown,
        NodeFrozen,
        RedisDown,
        RedisCut,
        HighLatency,
        CounterDrift,
        GhostAllowing,
        StuckKey,
        Two,
        NoFault,
    )
}


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """A fault as it is shown.

    Attributes:
        breaks: The invariants that it breaks at its usual node, as `invariant:key`.
        cure: The only thing that mends it.
    """

    name: str
    mechanism: str
    breaks: tuple[str, ...]
    cure: str


def usual_node(limiters: Sequence[str]) -> str:
    """The node that a fault is done to when none is named."""
    return DEFAULT_NODE if DEFAULT_NODE in limiters else limiters[0]


def describe(limiters: Sequence[str]) -> tuple[FaultInfo, ...]:
    """All faults as they would be done in a world of these nodes."""
    node = usual_node(limiters)
    return tuple(
        FaultInfo(kind.name, kind.mechanism, kind.breaks(node, limiters), kind.remedy) for kind in FAULTS.values()
    )


def make_fault(world: World, name: str, node: str | None) -> Fault:
    """A fault by its name.

    Raises:
        NotFoundError: There is no such fault, or no such node.
        ConflictError: The fault is not done to a node of one's choice.
    """
    kind = FAULTS.get(name)
    if kind is None:
        raise NotFoundError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
    if node is not None and not kind.on_node:
        raise ConflictError(f"{name} is not done to a node; leave the node out")
    if node is not None and node not in world.limiters:
        raise NotFoundError(f"there is no node {node!r}; there are {', '.join(world.limiters)}")
    return kind(world, node or usual_node(world.limiters))
