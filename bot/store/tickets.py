"""Rows of tickets, violations, mutes and blindness: reading them, and the single writes that a ticket's life needs.

The writes here are without judgement; ``bot.incidents`` decides, and appends the event beside each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from bot.store.errors import NotFound
from bot.store.models import BlindnessRow, MuteRow, TicketRow, ViolationRow
from bot.store.records import Blindness, Ticket, TicketState, Violation
from subjects.protocols import Fingerprint, Severity

LIVE: Final = TicketRow.state != TicketState.RESOLVED.value


def get(number: int) -> Ticket:
    """One ticket. Raises ``NotFound``."""
    row = TicketRow.get_or_none(TicketRow.id == number)
    if row is None:
        raise NotFound(f"there is no ticket {number}; `operator tickets list` has them all")
    return _tickets([row])[0]


def live_on(subject: str) -> Ticket | None:
    """The subject's live ticket, if it has one."""
    found = _tickets(list(TicketRow.select().where(LIVE, TicketRow.subject == subject)))
    return found[0] if found else None


def listing(*, live_only: bool = False, limit: int | None = None) -> list[Ticket]:
    """Tickets, newest first."""
    query = TicketRow.select().order_by(TicketRow.id.desc())
    if live_only:
        query = query.where(LIVE)
    if limit is not None:
        query = query.limit(limit)
    return _tickets(list(query))


def count() -> int:
    """How many tickets there ever were."""
    return TicketRow.select().count()


def last_resolved(subject: str, fingerprints: Iterable[Fingerprint], since: datetime) -> Ticket | None:
    """The subject's newest ticket that was resolved at ``since`` or later and had one of these violations."""
    rows = (
        TicketRow.select()
        .where(TicketRow.subject == subject, ~LIVE, TicketRow.resolved_at >= since)
        .order_by(TicketRow.resolved_at.desc(), TicketRow.id.desc())
    )
    wanted = set(fingerprints)
    return next(
        (ticket for ticket in _tickets(list(rows)) if wanted & {one.fingerprint for one in ticket.violations}), None
    )


def insert(subject: str, severity: Severity, at: datetime) -> int:
    """A new open ticket; returns its number."""
    row = TicketRow.create(subject=subject, state=TicketState.OPEN.value, severity=severity.value, opened_at=at)
    return int(row.id)


def reopen(number: int, severity: Severity, at: datetime) -> None:
    """Open a resolved ticket again: nobody has acknowledged or taken it now."""
    TicketRow.update(
        state=TicketState.OPEN.value,
        severity=severity.value,
        reopened_at=at,
        resolved_at=None,
        held_since=None,
        acknowledged_by=None,
        acknowledged_at=None,
        taken_by=None,
        called_at=None,
        calls=0,
    ).where(TicketRow.id == number).execute()


def move(number: int, state: TicketState, *, held_since: datetime | None) -> None:
    """To another live state."""
    TicketRow.update(state=state.value, held_since=held_since).where(TicketRow.id == number, LIVE).execute()


def resolve(number: int, at: datetime) -> None:
    """Resolve a ticket and clear its violations."""
    TicketRow.update(state=TicketState.RESOLVED.value, resolved_at=at).where(TicketRow.id == number).execute()
    ViolationRow.update(cleared_at=at).where(ViolationRow.ticket == number, ViolationRow.cleared_at.is_null()).execute()


def raise_severity(number: int, severity: Severity) -> None:
    """The ticket counts as worse from now on, and people are to be called anew."""
    TicketRow.update(severity=severity.value, called_at=None).where(TicketRow.id == number).execute()


def acknowledge(number: int, actor: str, at: datetime) -> bool:
    """Note who has seen it; False where someone had before, or it is resolved."""
    changed: int = (
        TicketRow.update(acknowledged_by=actor, acknowledged_at=at)
        .where(TicketRow.id == number, TicketRow.acknowledged_by.is_null(), LIVE)
        .execute()
    )
    return changed == 1


def take(number: int, actor: str) -> bool:
    """Note who works on it; False where that is so already, or it is resolved."""
    changed: int = (
        TicketRow.update(taken_by=actor)
        .where(TicketRow.id == number, TicketRow.taken_by.is_null() | (TicketRow.taken_by != actor), LIVE)
        .execute()
    )
    return changed == 1


def called(number: int, at: datetime) -> int:
    """Note that people are called now; returns the how manieth time."""
    TicketRow.update(called_at=at, calls=TicketRow.calls + 1).where(TicketRow.id == number).execute()
    return int(TicketRow.get_by_id(number).calls)


def add_violation(
    ticket: int,
    fingerprint: Fingerprint,
    *,
    severity: Severity,
    value: float,
    threshold: float,
    unit: str,
    detail: str,
    since: datetime,
    at: datetime,
) -> None:
    """A new live violation of the ticket. The unique index refuses a second one."""
    ViolationRow.create(
        ticket=ticket,
        subject=fingerprint.subject,
        invariant=fingerprint.invariant,
        key=fingerprint.key,
        severity=severity.value,
        value=value,
        threshold=threshold,
        unit=unit,
        detail=detail,
        since=since,
        added_at=at,
    )


def hold_violation(violation: int, at: datetime) -> None:
    """It holds since then."""
    ViolationRow.update(holds_since=at, interrupted=0).where(ViolationRow.id == violation).execute()


def interrupt_violation(violation: int) -> None:
    """It had held, but not without a break."""
    ViolationRow.update(holds_since=None, interrupted=1).where(ViolationRow.id == violation).execute()


def return_violation(violation: int, value: float, detail: str) -> None:
    """It broke again before its ticket was resolved."""
    ViolationRow.update(
        holds_since=None, interrupted=0, value=value, detail=detail, returns=ViolationRow.returns + 1
    ).where(ViolationRow.id == violation).execute()


def add_mute(*, ticket: int | None, subject: str | None, until: datetime, actor: str, at: datetime) -> None:
    """Nobody is called for it until then; the newest mute counts."""
    MuteRow.create(ticket=ticket, subject=subject, until=until, actor=actor, at=at)


def muted_until(ticket: int, subject: str) -> datetime | None:
    """The later of the newest mute of the ticket and the newest of its subject."""
    untils = [
        row.until
        for where in (MuteRow.ticket == ticket, MuteRow.subject == subject)
        if (row := MuteRow.select().where(where).order_by(MuteRow.id.desc()).first()) is not None
    ]
    return max(untils, default=None)


def blindness() -> list[Blindness]:
    """All subjects that can't be seen at present."""
    return [_blindness(row) for row in BlindnessRow.select().order_by(BlindnessRow.subject)]


def blindness_of(subject: str) -> Blindness | None:
    """Whether the subject can't be seen at present."""
    row = BlindnessRow.get_or_none(BlindnessRow.subject == subject)
    return _blindness(row) if row else None


def set_blind(blind: Blindness) -> None:
    """Note that it can't be seen."""
    BlindnessRow.create(subject=blind.subject, since=blind.since, why=blind.why, ticket=blind.ticket, seq=blind.seq)


def set_seen(subject: str) -> None:
    """Note that it can be seen again."""
    BlindnessRow.delete().where(BlindnessRow.subject == subject).execute()


def _blindness(row: BlindnessRow) -> Blindness:
    return Blindness(row.subject, row.since, row.why, row.ticket, row.seq)


def _tickets(rows: Sequence[TicketRow]) -> list[Ticket]:
    violations: dict[int, list[Violation]] = {row.id: [] for row in rows}
    for row in (
        ViolationRow.select().where(ViolationRow.ticket.in_(list(violations))).order_by(ViolationRow.id) if rows else ()
    ):
        violations[row.ticket.id].append(_violation(row))
    return [_ticket(row, tuple(violations[row.id])) for row in rows]


def _ticket(row: TicketRow, violations: tuple[Violation, ...]) -> Ticket:
    return Ticket(
        id=row.id,
        subject=row.subject,
        state=TicketState(row.state),
        severity=Severity(row.severity),
        opened_at=row.opened_at,
        reopened_at=row.reopened_at,
        resolved_at=row.resolved_at,
        held_since=row.held_since,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        taken_by=row.taken_by,
        called_at=row.called_at,
        calls=row.calls,
        muted_until=muted_until(row.id, row.subject),
        violations=violations,
    )


def _violation(row: ViolationRow) -> Violation:
    return Violation(
        id=row.id,
        fingerprint=Fingerprint(row.subject, row.invariant, row.key),
        severity=Severity(row.severity),
        value=row.value,
        threshold=row.threshold,
        unit=row.unit,
        detail=row.detail,
        since=row.since,
        added_at=row.added_at,
        holds_since=row.holds_since,
        interrupted=bool(row.interrupted),
        cleared_at=row.cleared_at,
        returns=row.returns,
    )
