"""What a fault is: a mechanism that really breaks something, and the one thing that mends it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from compose.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compose.world import World


class Fault(ABC):
    """One fault at one node.

    Attributes:
        name: What people call it.
        mechanism: What is done, in a sentence.
        remedy: The only thing that mends it, in a sentence.
        on_node: Whether it is done to one rate limiter node that can be chosen.
    """

    name: ClassVar[str]
    mechanism: ClassVar[str]
    remedy: ClassVar[str]
    on_node: ClassVar[bool] = False

    def __init__(self, world: World, node: str) -> None:
        self.world = world
        self.node = node

    @classmethod
    @abstractmethod
    def breaks(cls, node: str, limiters: Sequence[str]) -> tuple[str, ...]:
        """The invariants that it breaks, as `invariant:key`, when done to that node."""

    @abstractmethod
    async def inject(self) -> str:
        """Break it, and return once the mechanism has been seen to have taken.

        Returns:
            What was done, in a sentence.

        Raises:
            ConflictError: Not possible now, or it did not take.
        """

    @abstractmethod
    async def cure(self) -> str:
        """Mend it as a person would, and return once it is seen to be mended.

        Returns:
            What was done, in a sentence.

        Raises:
            ConflictError: There is nothing to mend, or it did not take.
        """

    @abstractmethod
    async def present(self) -> bool:
        """Whether the mechanism is still in place.

        Raises:
            ConflictError: That can't be told now.
        """

    def tidy(self) -> None:  # noqa: B027 - most faults leave nothing besides
        """Put back what `cure` would have put back besides, after somebody else has mended it."""

    def others(self) -> list[str]:
        """The rate limiter nodes beside this fault's.

        Raises:
            ConflictError: There are none.
        """
        others = [name for name in self.world.limiters if name != self.node]
        if not others:
            raise ConflictError(f"{self.name} needs a second node; this world has only {self.node}")
        return others
