"""What the store gives out: frozen records, no models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bot.events import Event
from subjects.protocols import Fingerprint, Severity


class TicketState(StrEnum):
    """A ticket's states. All but ``resolved`` are live; ``escalated`` means that people must act."""

    OPEN = "open"
    INVESTIGATING = "investigating"
    WAITING = "waiting"
    VERIFYING = "verifying"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant broken at a key of a ticket's subject.

    ``since`` is when it was first seen broken, ``holds_since`` when it was seen to hold again without a break,
    ``interrupted`` says that it had held but now can't be seen or seems broken again, ``cleared_at`` when its ticket
    resolved. ``returns`` counts how often it broke again in between.
    """

    id: int
    fingerprint: Fingerprint
    severity: Severity
    value: float
    threshold: float
    unit: str
    detail: str
    since: datetime
    added_at: datetime
    holds_since: datetime | None
    interrupted: bool
    cleared_at: datetime | None
    returns: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """One incident on one subject, with all its violations in the order in which they came.

    ``reopened_at`` is set when it came back within the flap window. ``muted_until`` covers a mute of the ticket
    or of its subject; it may lie in the past. ``calls`` counts how often people were called since it was last opened.
    """

    id: int
    subject: str
    state: TicketState
    severity: Severity
    opened_at: datetime
    reopened_at: datetime | None
    resolved_at: datetime | None
    held_since: datetime | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    taken_by: str | None
    called_at: datetime | None
    calls: int
    muted_until: datetime | None
    violations: tuple[Violation, ...]

    @property
    def live(self) -> bool:
        """Whether it is not resolved."""
        return self.state is not TicketState.RESOLVED

    @property
    def began_at(self) -> datetime:
        """When it was opened or last reopened."""
        return self.reopened_at or self.opened_at


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the audit log. ``hash`` covers everything else in it and, by ``prev_hash``, all before it."""

    seq: int
    at: datetime
    actor: str
    ticket: int | None
    kind: str
    payload: str
    prev_hash: str
    hash: str

    @property
    def event(self) -> Event:
        """The event itself. Raises KeyError for a kind that this version does not know."""
        from bot.events import decode  # noqa: PLC0415  pydantic is not needed to list entries

        return decode(self.kind, self.payload)


@dataclass(frozen=True, slots=True)
class Blindness:
    """A subject that can't be seen, since when and why; ``seq`` is the entry that said it."""

    subject: str
    since: datetime
    why: str
    ticket: int | None
    seq: int


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds, or last held, the right to run."""

    epoch: int
    host: str
    pid: int
    taken_at: datetime
    beat_at: datetime


@dataclass(frozen=True, slots=True)
class Watch:
    """How the checks of a subject are going."""

    subject: str
    title: str
    interval_s: float
    invariants: int
    keys: int
    broken: int
    unknown: int
    ticked_at: datetime | None
    tick_s: float | None
    ticks: int
    missed: int
    overlong: int


class MessageState(StrEnum):
    """Of a row of ``slack_messages``: meant to be posted, posted, refused for good, or a second copy."""

    INTENT = "intent"
    POSTED = "posted"
    REFUSED = "refused"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Message:
    """A message of ours in Slack, or one that was about to be posted.

    ``owner`` is whose it is (``ticket:7``, ``blind:12``), ``slot`` its place there, ``nonce`` what its metadata
    carries, ``digest`` that of the content which Slack last accepted. ``suspect`` is set after an answer that
    left open whether it was posted: a second copy may still turn up.
    """

    id: int
    owner: str
    slot: str
    nonce: str
    channel: str
    state: MessageState
    ts: str | None
    digest: str
    error: str | None
    intent_at: datetime
    suspect: bool


GENESIS: Final = "0" * 64
"""What the first entry of a chain has as the hash before it."""
