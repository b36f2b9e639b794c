"""What people ask for, as records: the state of things, a ticket with its story. Slack and the CLI both show these.

All functions run on the store's thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bot.store import audit, control, tickets
from bot.store.records import Blindness, Entry, Lease, Ticket, Watch

if TYPE_CHECKING:
    from bot.store.database import Store

STALE_S = 15.0
"""A process that has not noted its beat for so long is running, but stuck. It beats every 5 s."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of things at ``at``.

    ``running`` is asked of the operating system; ``lease`` tells who runs or ran last. ``stuck``: it runs but has not
    noted its beat for too long. ``watches`` are as of the last beat.
    """

    at: datetime
    running: bool
    stuck: bool
    lease: Lease | None
    watches: tuple[Watch, ...]
    live: tuple[Ticket, ...]
    blind: tuple[Blindness, ...]
    tickets: int
    log_head: int

    @property
    def healthy(self) -> bool:
        """Running, seeing everything, and nothing broken."""
        return self.running and not self.stuck and not self.live and not self.blind


@dataclass(frozen=True, slots=True)
class Thread:
    """A ticket's one authoritative thread in Slack."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class Story:
    """A ticket, its events oldest first, and its thread if it has one yet."""

    ticket: Ticket
    entries: tuple[Entry, ...]
    thread: Thread | None


def status(store: Store) -> Status:
    """How everything is."""
    at = store.clock.now()
    running = control.running(store.path)
    lease = control.lease()
    stuck = running and lease is not None and (at - lease.beat_at).total_seconds() > STALE_S
    head = audit.head()
    return Status(
        at=at,
        running=running,
        stuck=stuck,
        lease=lease,
        watches=tuple(control.watches()),
        live=tuple(tickets.listing(live_only=True)),
        blind=tuple(tickets.blindness()),
        tickets=tickets.count(),
        log_head=head.seq if head else 0,
    )


def story(number: int) -> Story:
    """One ticket and all that happened to it. Raises ``NotFound``."""
    ticket = tickets.get(number)
    entries = audit.entries(ticket=number)
    thread: Thread | None = None
    for entry in entries:
        if entry.kind == "ThreadOpened":
            thread = _thread(entry)
    return Story(ticket, tuple(entries), thread)


def _thread(entry: Entry) -> Thread | None:
    from bot.events import ThreadOpened  # noqa: PLC0415  the codec is slow to import and rarely needed here

    event = entry.event
    return Thread(event.channel, event.ts) if isinstance(event, ThreadOpened) else None
