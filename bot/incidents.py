"""A ticket's life: what a report of the checks, and what people, do to it.

The first violation on a subject opens a ticket, or reopens the one that was resolved within the flap window. What
breaks while it lives joins it. When all its violations hold it is ``verifying``, and when they have held for the
hold time without a break it is ``resolved``. Nothing else resolves it: no person, no model, no missing data.

Hold times are measured on the monotonic clock and therefore begin anew after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bot.events import (
    HoldInterrupted,
    InvariantBroken,
    InvariantHolds,
    Muted,
    PeopleCalled,
    SubjectBlind,
    SubjectSeen,
    TicketAcknowledged,
    TicketOpened,
    TicketReopened,
    TicketResolved,
    TicketTaken,
    TicketUnverified,
    TicketVerifying,
)
from bot.store import tickets
from bot.store.database import Store, Unit
from bot.store.records import Blindness, Ticket, TicketState, Violation
from scheduler.debounce import Finding, Report
from subjects.protocols import Severity


@dataclass(frozen=True, slots=True)
class Rules:
    """Times of a ticket's life, seconds.

    ``hold_s``: so long must everything hold before it is resolved. ``flap_window_s``: what returns within this time
    of the resolution reopens the ticket. ``call_again_s``: people are called again until someone acknowledges.
    """

    hold_s: float
    flap_window_s: float
    call_again_s: float


class Incidents:
    """Takes in the reports of the checks, one at a time, and writes what follows from them."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules
        self._quiet: set[str] = set()
        self._held_since: dict[int, float] = {}
        self._called_at: dict[int, float] = {}

    async def take_in(self, report: Report) -> None:
        """Write what follows from one report; nothing where all is well and was so before."""
        nothing = not report.broken and report.blind is None
        if nothing and report.subject in self._quiet:
            return
        self._quiet.discard(report.subject)
        if await self._store.run(self._apply, report) and nothing:
            self._quiet.add(report.subject)

    def _apply(self, report: Report) -> bool:
        """Whether nothing is live on the subject afterwards."""
        with self._store.unit() as unit:
            ticket = tickets.live_on(report.subject)
            if ticket is None and report.broken:
                self._open(unit, report)
            elif ticket is not None:
                self._go_on(unit, report, ticket)
            ticket = tickets.live_on(report.subject)
            called = ticket is not None and self._call(unit, report, ticket)
            blind = self._look(unit, report, ticket)
        if ticket is not None and called:  # only once it is committed
            self._called_at[ticket.id] = report.monotonic
        return ticket is None and not blind

    def _open(self, unit: Unit, report: Report) -> None:
        severity = _worst(report.broken)
        window = unit.at - timedelta(seconds=self._rules.flap_window_s)
        before = tickets.last_resolved(report.subject, [finding.fingerprint for finding in report.broken], window)
        if before is not None and before.resolved_at is not None:
            number = before.id
            tickets.reopen(number, severity, unit.at)
            unit.append(TicketReopened(report.subject, severity, before.resolved_at), ticket=number)
        else:
            number = tickets.insert(report.subject, severity, unit.at)
            unit.append(TicketOpened(report.subject, severity), ticket=number)
        for finding in report.broken:
            _add(unit, number, finding, opened=True)

    def _go_on(self, unit: Unit, report: Report, ticket: Ticket) -> None:
        live = {violation.fingerprint: violation for violation in ticket.violations if violation.cleared_at is None}
        broken = {finding.fingerprint: finding for finding in report.broken}
        if report.gap:
            for violation in live.values():  # nobody saw whether it held meanwhile: the hold time begins anew
                self._held_since.pop(violation.id, None)
        for fingerprint, violation in live.items():
            if fingerprint in broken:
                self._break_again(unit, ticket, violation, broken[fingerprint])
            elif fingerprint in report.holding:
                self._hold(unit, report, ticket, violation)
            else:
                why = report.unclear.get(fingerprint, "it is no longer among the configured keys")
                self._interrupt(unit, ticket, violation, why)
        joining = [finding for fingerprint, finding in broken.items() if fingerprint not in live]
        for finding in joining:
            _add(unit, ticket.id, finding, opened=False)
        if joining and (worst := _worst(joining)).rank < ticket.severity.rank:
            tickets.raise_severity(ticket.id, worst)
        self._verify(unit, report, ticket, held=report.holding.issuperset(live) and not joining)

    def _break_again(self, unit: Unit, ticket: Ticket, violation: Violation, finding: Finding) -> None:
        self._held_since.pop(violation.id, None)
        if violation.holds_since is None and not violation.interrupted:
            return
        tickets.return_violation(violation.id, finding.value, finding.detail)
        unit.append(_broken(finding, "returned"), ticket=ticket.id)

    def _hold(self, unit: Unit, report: Report, ticket: Ticket, violation: Violation) -> None:
        self._held_since.setdefault(violation.id, report.monotonic)
        if violation.holds_since is not None:
            return
        tickets.hold_violation(violation.id, unit.at)
        fingerprint = violation.fingerprint
        broken_s = _seconds(violation.since, unit.at)
        unit.append(
            InvariantHolds(fingerprint.subject, fingerprint.invariant, fingerprint.key, broken_s), ticket=ticket.id
        )

    def _interrupt(self, unit: Unit, ticket: Ticket, violation: Violation, why: str) -> None:
        self._held_since.pop(violation.id, None)
        if violation.holds_since is None:
            return
        tickets.interrupt_violation(violation.id)
        fingerprint = violation.fingerprint
        unit.append(HoldInterrupted(fingerprint.subject, fingerprint.invariant, fingerprint.key, why), ticket=ticket.id)

    def _verify(self, unit: Unit, report: Report, ticket: Ticket, *, held: bool) -> None:
        if not held:
            if ticket.state is TicketState.VERIFYING:
                tickets.move(ticket.id, TicketState.OPEN, held_since=None)
                unit.append(TicketUnverified(), ticket=ticket.id)
            return
        held_since = ticket.held_since or unit.at
        if ticket.state is not TicketState.VERIFYING:
            tickets.move(ticket.id, TicketState.VERIFYING, held_since=held_since)
            unit.append(TicketVerifying(self._rules.hold_s), ticket=ticket.id)
        live = [violation for violation in ticket.violations if violation.cleared_at is None]
        if report.monotonic - max(self._held_since[violation.id] for violation in live) < self._rules.hold_s:
            return
        tickets.resolve(ticket.id, unit.at)
        for violation in live:
            del self._held_since[violation.id]
        self._called_at.pop(ticket.id, None)
        unit.append(
            TicketResolved(
                open_s=_seconds(ticket.began_at, unit.at),
                broken_s=_seconds(min(violation.since for violation in live), held_since),
                violations=len(live),
            ),
            ticket=ticket.id,
        )

    def _call(self, unit: Unit, report: Report, ticket: Ticket) -> bool:
        """Whether people are called now."""
        if ticket.state is TicketState.VERIFYING or (ticket.muted_until and ticket.muted_until > unit.at):
            return False
        if not self._due(unit.at, report.monotonic, ticket):
            return False
        unit.append(PeopleCalled(ticket.severity, tickets.called(ticket.id, unit.at)), ticket=ticket.id)
        return True

    def _due(self, now: datetime, monotonic: float, ticket: Ticket) -> bool:
        if ticket.calls and ticket.called_at is None:
            return True  # it has become more severe since
        if ticket.acknowledged_by is not None:
            return not ticket.calls and _worsened(ticket)
        if ticket.called_at is None:
            return True
        if (called := self._called_at.get(ticket.id)) is not None:
            return monotonic - called >= self._rules.call_again_s
        # After a restart the wall clock is all there is; where it has stepped back, calling once more is the safe side.
        return not 0 <= (now - ticket.called_at).total_seconds() < self._rules.call_again_s

    def _look(self, unit: Unit, report: Report, ticket: Ticket | None) -> bool:
        """Whether the subject is blind now."""
        known = tickets.blindness_of(report.subject)
        if report.blind is not None and known is None:
            number = ticket.id if ticket else None
            blind = report.blind
            entry = unit.append(SubjectBlind(report.subject, blind.since, blind.why, blind.unseen), ticket=number)
            tickets.set_blind(Blindness(report.subject, blind.since, blind.why, number, entry.seq))
        elif report.blind is None and known is not None:
            tickets.set_seen(report.subject)
            unit.append(SubjectSeen(report.subject, _seconds(known.since, unit.at), known.seq), ticket=known.ticket)
        return report.blind is not None


def acknowledge(store: Store, number: int, actor: str) -> bool:
    """The actor has seen the ticket, on the store's thread; False where someone had before, or it is resolved.

    Raises ``NotFound``.
    """
    tickets.get(number)
    with store.unit(actor) as unit:
        if changed := tickets.acknowledge(number, actor, unit.at):
            unit.append(TicketAcknowledged(), ticket=number)
    return changed


def take_over(store: Store, number: int, actor: str) -> bool:
    """The actor works on the ticket, which acknowledges it too; False where that is so already, or it is resolved.

    Raises ``NotFound``.
    """
    tickets.get(number)
    with store.unit(actor) as unit:
        if tickets.acknowledge(number, actor, unit.at):
            unit.append(TicketAcknowledged(), ticket=number)
        if changed := tickets.take(number, actor):
            unit.append(TicketTaken(), ticket=number)
    return changed


def mute(store: Store, target: int | str, duration_s: float, actor: str) -> datetime:
    """Call nobody for a ticket (a number) or a subject (its name) for that long; returns until when.

    Raises ``NotFound`` for a ticket that does not exist. 0 seconds ends a mute.
    """
    number = target if isinstance(target, int) else None
    subject = target if isinstance(target, str) else None
    if number is not None:
        tickets.get(number)
    with store.unit(actor) as unit:
        until = unit.at + timedelta(seconds=duration_s)
        tickets.add_mute(ticket=number, subject=subject, until=until, actor=actor, at=unit.at)
        if subject is not None and (live := tickets.live_on(subject)) is not None:
            number = live.id
        unit.append(Muted(subject, until), ticket=number)
    return until


def _worsened(ticket: Ticket) -> bool:
    """Whether it is more severe than what was there when someone acknowledged it."""
    seen = [
        violation.severity.rank
        for violation in ticket.violations
        if violation.cleared_at is None and ticket.acknowledged_at and violation.added_at <= ticket.acknowledged_at
    ]
    return bool(seen) and ticket.severity.rank < min(seen)


def _worst(findings: list[Finding] | tuple[Finding, ...]) -> Severity:
    return min((finding.severity for finding in findings), key=lambda severity: severity.rank)


def _add(unit: Unit, number: int, finding: Finding, *, opened: bool) -> None:
    tickets.add_violation(
        number,
        finding.fingerprint,
        severity=finding.severity,
        value=finding.value,
        threshold=finding.threshold,
        unit=finding.unit,
        detail=finding.detail,
        since=finding.since,
        at=unit.at,
    )
    unit.append(_broken(finding, "opened" if opened else "joined"), ticket=number)


def _broken(finding: Finding, how: Literal["opened", "joined", "returned"]) -> InvariantBroken:
    fingerprint = finding.fingerprint
    return InvariantBroken(
        subject=fingerprint.subject,
        invariant=fingerprint.invariant,
        key=fingerprint.key,
        severity=finding.severity,
        value=finding.value,
        threshold=finding.threshold,
        unit=finding.unit,
        detail=finding.detail,
        since=finding.since,
        how=how,
    )


def _seconds(start: datetime, end: datetime) -> float:
    """Never negative, whatever the wall clock did in between."""
    return max(0.0, round((end - start).total_seconds(), 3))
