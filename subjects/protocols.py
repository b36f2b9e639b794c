"""What a subject is, in plain data and pure functions. The standard library alone.

A **subject** is a system under watch. Once per tick it takes a **snapshot** of itself. An **invariant** is a
pure function from an **observation** (that snapshot and its predecessor) to one **verdict** per expected key:

    Holds      it was seen to hold
    Broken     it was seen broken: the value, the threshold, the unit
    Unknown    it could not be seen, and why

Nothing but ``Holds`` ever counts as well. The expected keys come from configuration, so that a node that has
vanished is judged like any other instead of being left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

SnapshotT = TypeVar("SnapshotT")
"""What a subject's ``observe`` returns: a frozen record of its own, unknown to everybody else."""


class Severity(StrEnum):
    """How bad it is when an invariant is broken; decides who is called."""

    CRITICAL = "critical"
    WARNING = "warning"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, order=True)
class Fingerprint:
    """What makes two sightings the same violation: never a volatile value."""

    subject: str
    invariant: str
    key: str

    def __str__(self) -> str:
        """The short form, within a subject: ``node_down:rl-2``."""
        return f"{self.invariant}:{self.key}"


@dataclass(frozen=True, slots=True)
class Holds:
    """Seen to hold, with the value that was seen where there is one (in the invariant's unit)."""

    value: float | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """Seen broken.

    ``value`` is in the invariant's unit and stands against its threshold: it measures how bad it is, so that it is
    broken at or above the threshold ("replicas missing" rather than "replicas there"). ``detail`` is one sentence of
    facts for people: what was seen, never a diagnosis.
    """

    value: float
    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not seen.

    ``because`` names another invariant and key of the same subject (``("node_down", "rl-2")``) that, when it
    is broken, already says why nothing can be seen here; such an unknown does not make the subject blind.
    """

    why: str
    because: tuple[str, str] | None = None


Verdict: TypeAlias = Holds | Broken | Unknown


@dataclass(frozen=True, slots=True)
class Observation(Generic[SnapshotT]):
    """One snapshot and its predecessor, if there is one.

    ``elapsed_s`` is the monotonic time between the two, for rates; None without a predecessor.
    """

    at: datetime
    snapshot: SnapshotT
    previous: SnapshotT | None = None
    elapsed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Invariant(Generic[SnapshotT]):
    """A coded statement about a subject that ought to be true, and what it means when it is not.

    ``evaluate`` is pure and total over ``expected``: it returns a verdict for each expected key and for no
    other. ``grace_s``: so long must a key be broken before it counts. ``blind_grace_s``: so long must it be
    unknown before the subject counts as blind. ``threshold`` and ``unit`` say what a ``Broken.value`` is
    compared with.
    """

    name: str
    sentence: str
    severity: Severity
    threshold: float
    unit: str
    grace_s: float
    expected: tuple[str, ...]
    evaluate: Callable[[Observation[SnapshotT]], Mapping[str, Verdict]]
    blind_grace_s: float = 30.0
    runbook: str | None = None


class Subject(Protocol[SnapshotT]):
    """A system under watch."""

    @property
    def name(self) -> str:
        """Short and unique among the configured subjects: ``ratelimiter``."""

    @property
    def title(self) -> str:
        """One line for people: ``Rate limiter, 3 nodes``."""

    @property
    def runbook(self) -> str | None:
        """Where people read what to do, a URL; an invariant's own comes first."""

    @property
    def invariants(self) -> Sequence[Invariant[SnapshotT]]:
        """All of them, the same on every call, names unique."""

    async def observe(self) -> SnapshotT:
        """Take one snapshot.

        A part that cannot be read stands in the snapshot as unreadable, with why; parts are read in parallel
        with timeouts below the interval. Raises ``Unobservable`` only when nothing can be said at all.
        """

    async def aclose(self) -> None:
        """Let go of connections. Idempotent."""


AnySubject: TypeAlias = Subject[Any]
"""A subject whose snapshot type is its own business; nobody but itself looks inside."""


class SubjectError(Exception):
    """Base of what a subject may raise.

    SubjectError
    ├── Unobservable           nothing at all could be seen this time
    └── SubjectConfigError     its configuration is wrong; the words name the key and how to mend it
    """


class Unobservable(SubjectError):  # noqa: N818  a state of affairs rather than a fault of the program
    """Nothing at all could be seen this time; the words say why."""


class SubjectConfigError(SubjectError):
    """A subject's configuration is wrong; the words name the key and how to mend it."""
