"""Everything that happens, one frozen dataclass each.

An event is appended to the audit log in the transaction that changes the state it tells of, then published.
The class's name is the entry's ``kind``, its fields are the payload. Entries are kept for ever and are hashed,
so a field is never renamed or given another meaning: a new meaning is a new event or a new field with a default.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from subjects.protocols import Severity

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SYSTEM: Final = "operator"
"""The actor of what happens by itself. People are ``slack:<user id>`` or ``os:<login>``."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    @property
    def kind(self) -> str:
        """What the audit log calls it."""
        return type(self).__name__


@dataclass(frozen=True, slots=True)
class OperatorStarted(Event):
    """A process took the lease; ``epoch`` counts the takers."""

    version: str
    host: str
    pid: int
    epoch: int


@dataclass(frozen=True, slots=True)
class OperatorStopped(Event):
    """It gave the lease back. A process that was killed leaves no such entry."""

    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class TicketOpened(Event):
    """The first violation on a subject without a live ticket."""

    subject: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class TicketReopened(Event):
    """A violation returned within the flap window of a resolved ticket."""

    subject: str
    severity: Severity
    resolved_at: datetime


@dataclass(frozen=True, slots=True)
class InvariantBroken(Event):
    """A violation was added to a ticket, or broke again before the ticket was resolved.

    ``how``: it ``opened`` the ticket, ``joined`` a live one, or ``returned`` after it had held. ``since`` is when
    it was first seen broken, before its grace.
    """

    subject: str
    invariant: str
    key: str
    severity: Severity
    value: float
    threshold: float
    unit: str
    detail: str
    since: datetime
    how: Literal["opened", "joined", "returned"]


@dataclass(frozen=True, slots=True)
class InvariantHolds(Event):
    """A violated invariant was seen to hold again at its key; its hold time begins."""

    subject: str
    invariant: str
    key: str
    broken_s: float


@dataclass(frozen=True, slots=True)
class HoldInterrupted(Event):
    """A hold time that had begun counts for nothing: the key could not be seen, or seems broken again."""

    subject: str
    invariant: str
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class TicketVerifying(Event):
    """All violations of the ticket hold; it resolves when they have for ``hold_s`` seconds."""

    hold_s: float


@dataclass(frozen=True, slots=True)
class TicketUnverified(Event):
    """Not all of them hold any more; the ticket is open again."""


@dataclass(frozen=True, slots=True)
class TicketResolved(Event):
    """Every violation of the ticket has held for the hold time.

    ``open_s`` is the time since it was opened or last reopened, ``broken_s`` the time until everything held.
    """

    open_s: float
    broken_s: float
    violations: int


@dataclass(frozen=True, slots=True)
class PeopleCalled(Event):
    """Someone is to be mentioned in the thread: the ``nth`` time for this ticket; who, the Slack view decides."""

    severity: Severity
    nth: int


@dataclass(frozen=True, slots=True)
class TicketAcknowledged(Event):
    """The actor has seen it; nobody is called again."""


@dataclass(frozen=True, slots=True)
class TicketTaken(Event):
    """The actor works on it."""


@dataclass(frozen=True, slots=True)
class Muted(Event):
    """Nobody is called for a ticket (``subject`` is None) or for a whole subject, until then."""

    subject: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class SubjectBlind(Event):
    """A subject, or some of its invariants, can't be seen for longer than their grace.

    ``unseen`` names them (``node_down:rl-2``); empty means the whole subject.
    """

    subject: str
    since: datetime
    why: str
    unseen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubjectSeen(Event):
    """It can be seen again; ``blind_seq`` is the entry that said that it could not."""

    subject: str
    blind_s: float
    blind_seq: int


@dataclass(frozen=True, slots=True)
class ThreadOpened(Event):
    """The ticket's one authoritative thread."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class SlackRefused(Event):
    """Slack refused one message for good; ``slot`` is its place in the thread. The rest goes on."""

    slot: str
    error: str


@dataclass(frozen=True, slots=True)
class DuplicateMarked(Event):
    """A second copy of a message was found in Slack, marked as such, and is never used."""

    slot: str
    channel: str
    ts: str


@cache
def kinds() -> dict[str, type[Event]]:
    """All events by the name that the audit log has for them."""
    return {kind.__name__: kind for kind in Event.__subclasses__()}


_adapters: dict[type[Event], TypeAdapter[Event]] = {}


def _adapter(kind: type[Event]) -> TypeAdapter[Event]:
    # Built at first use: a command that lists tickets needs none.
    if kind not in _adapters:
        from pydantic import TypeAdapter  # noqa: PLC0415  the same reason

        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def encode(event: Event) -> str:
    """An event's payload as canonical JSON: keys sorted, no spaces, as it is hashed."""
    fields = _adapter(type(event)).dump_python(event, mode="json")
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def decode(kind: str, payload: str) -> Event:
    """The event back from its entry. Raises KeyError for a kind that this version does not know."""
    return _adapter(kinds()[kind]).validate_json(payload)
