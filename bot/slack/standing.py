"""What the store says about an owner of messages; plain functions for the store's thread, frozen records out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.events import SubjectBlind, SubjectSeen, TicketVerifying
from bot.store import audit, messages, tickets
from bot.store.errors import NotFound
from bot.store.records import Blindness, Entry, Message, Ticket, TicketState

TICKET: Final = "ticket:"
BLIND: Final = "blind:"
CARD: Final = "card"
"""The slot of a thread's root."""

# Our own notes about messages; they change nothing that is shown.
_NOTES: Final = frozenset({"ThreadOpened", "SlackRefused", "DuplicateMarked"})


@dataclass(frozen=True, slots=True)
class Standing:
    """A ticket, its story, and its messages by slot."""

    ticket: Ticket
    entries: tuple[Entry, ...]
    rows: Mapping[str, Message]
    blind: Blindness | None
    hold_s: float | None

    @property
    def actors(self) -> frozenset[str]:
        """Everyone who did something."""
        return frozenset(entry.actor for entry in self.entries)

    @property
    def stage(self) -> tuple[object, ...]:
        """What people must see at once when it changes; all else on the card may wait its turn."""
        ticket = self.ticket
        people = (ticket.acknowledged_by, ticket.taken_by, ticket.muted_until)
        return (ticket.state, ticket.severity, ticket.began_at, people, self.blind)


@dataclass(frozen=True, slots=True)
class Blind:
    """A blindness without a ticket, how it ended if it did, and its message."""

    at: datetime
    event: SubjectBlind
    seen: SubjectSeen | None
    seen_at: datetime | None
    muted: bool
    row: Message | None


def standing_of(number: int, known: tuple[Entry, ...] = ()) -> Standing:
    """All about a ticket; ``known`` are its first entries, which are not read again. Raises ``NotFound``."""
    ticket = tickets.get(number)
    entries = (*known, *audit.entries(ticket=number, after=known[-1].seq if known else 0))
    hold_s: float | None = None
    if ticket.state is TicketState.VERIFYING:
        event = next((entry.event for entry in reversed(entries) if entry.kind == "TicketVerifying"), None)
        hold_s = event.hold_s if isinstance(event, TicketVerifying) else None
    rows = {row.slot: row for row in messages.of(f"{TICKET}{number}")}
    return Standing(ticket, entries, rows, tickets.blindness_of(ticket.subject), hold_s)


def blind_of(seq: int, now: datetime) -> Blind:
    """All about a blindness, by the entry that said it. Raises ``NotFound``."""
    entry = audit.entry(seq)
    event = entry.event if entry is not None else None
    if entry is None or not isinstance(event, SubjectBlind):
        raise NotFound(f"entry {seq} does not say that a subject is blind")
    seen, seen_at = None, None
    for later in audit.entries(after=seq, kind="SubjectSeen"):
        over = later.event
        if isinstance(over, SubjectSeen) and over.blind_seq == seq:
            seen, seen_at = over, later.at
            break
    until = tickets.muted_until(0, event.subject)  # there is no ticket 0: of the subject alone
    rows = messages.of(f"{BLIND}{seq}")
    return Blind(entry.at, event, seen, seen_at, until is not None and until > now, rows[0] if rows else None)


def owners_in(entries: Iterable[Entry]) -> list[tuple[str, int]]:
    """Whose messages these entries may change, each with its first entry's seq."""
    found: dict[str, int] = {}
    for entry in entries:
        for owner in _owners_of(entry):
            found.setdefault(owner, entry.seq)
    return list(found.items())


def _owners_of(entry: Entry) -> list[str]:
    if entry.kind in _NOTES:
        return []
    owners = [f"{TICKET}{entry.ticket}"] if entry.ticket is not None else []
    if entry.kind in {"SubjectBlind", "SubjectSeen"}:
        event = entry.event
        if isinstance(event, SubjectBlind) and entry.ticket is None:
            owners.append(f"{BLIND}{entry.seq}")
        if isinstance(event, SubjectSeen) and entry.ticket is None:
            owners.append(f"{BLIND}{event.blind_seq}")
        if isinstance(event, SubjectBlind | SubjectSeen) and (live := tickets.live_on(event.subject)) is not None:
            owners.append(f"{TICKET}{live.id}")  # a ticket that opened since then shows it too
    return owners


def unfinished() -> list[str]:
    """Owners to look at after a start, whatever the cursor says: what is live, and what was left half done."""
    owners = [f"{TICKET}{ticket.id}" for ticket in reversed(tickets.listing(live_only=True))]
    owners += [f"{BLIND}{blindness.seq}" for blindness in tickets.blindness() if blindness.ticket is None]
    owners += [row.owner for row in messages.unfinished()]
    return list(dict.fromkeys(owners))
