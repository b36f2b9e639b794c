"""What ``/operator`` answers: pure, from the records that the CLI shows too. Only the asker sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from bot.events import (
    HoldInterrupted,
    InvariantBroken,
    InvariantHolds,
    Muted,
    PeopleCalled,
    SubjectBlind,
    kinds,
)
from bot.reports import Status, Story
from bot.slack import escape
from bot.slack.cards import SIGN, WORD, Content, SubjectCard, amount, packed, section, shown, who
from bot.store.records import Entry, Ticket, Violation, Watch
from bot.words import duration

MOST_TICKETS: Final = 15
MOST_VIOLATIONS: Final = 60
MOST_STEPS: Final = 12
AT_ONCE: Final = 3
ROOM: Final = 10_000
"""Units that one answer may have; Slack takes about 12,000."""

HELP: Final = (
    ("status", "how everything is: what is watched, what is broken, what can't be seen"),
    ("tickets", "the last tickets, the live ones first"),
    ("show N", "all about ticket N"),
    ("mute N|SUBJECT [TIME|off]", "call nobody for a ticket or a subject; 1h if no time is given"),
    ("help", "this"),
)


@dataclass(frozen=True, slots=True)
class SlackState:
    """How it stands between us and Slack."""

    connected: bool
    why: str
    behind: int
    refused: int


def content(paragraphs: Iterable[str]) -> Content:
    """An answer from safe paragraphs; what does not fit is counted, not cut in the middle."""
    parts = list(paragraphs)
    kept: list[str] = []
    length = 0
    for part in parts:
        length += escape.units(part) + 1
        if length > ROOM:
            kept.append(f"… and {len(parts) - len(kept)} more that do not fit here; the command line shows everything.")
            break
        kept.append(part)
    blocks = tuple(section(text) for text in packed(kept))
    return Content(escape.bare(escape.joined(kept, 2900)), blocks)


def said(text: str) -> Content:
    """An answer of one sentence."""
    return content([text])


def help_text(before: str = "") -> Content:
    """The commands, one line each."""
    lines = [f"{escape.code(f'/operator {usage}')}  {escape.prose(what)}" for usage, what in HELP]
    return content([*([before] if before else []), *lines])


def status(state: Status, slack: SlackState, subjects: Mapping[str, SubjectCard], link: Mapping[int, str]) -> Content:
    """How everything is."""
    return content(
        [
            _running(state),
            *(_watch(watch, state, subjects) for watch in state.watches),
            *(["*Nothing is broken.*"] if not state.live else []),
            *(_row(ticket, subjects, link) for ticket in state.live),
            _slack(slack),
        ]
    )


def _running(state: Status) -> str:
    if not state.running or state.lease is None:
        return "⚠️ *Operator is not running.*"
    words = f"*Running* since {escape.date(state.lease.taken_at)} on {escape.code(state.lease.host, 80)}"
    return f"⚠️ {words}, *but stuck*: no sign of life since {escape.date(state.lease.beat_at)}" if state.stuck else words


def _watch(watch: Watch, state: Status, subjects: Mapping[str, SubjectCard]) -> str:
    title = escape.prose(subjects[watch.subject].title if watch.subject in subjects else watch.title, 120)
    holding = watch.keys - watch.broken - watch.unknown
    sign = "🔴" if watch.broken else "❔" if watch.unknown else "🟢"
    last = f"last look {escape.date(watch.ticked_at)}" if watch.ticked_at else "not looked at yet"
    words = (
        f"{sign} *{title}* {escape.code(watch.subject, 60)}: {holding} hold, {watch.broken} broken, "
        f"{watch.unknown} unknown; every {duration(watch.interval_s)}, {last}"
    )
    if watch.missed or watch.overlong:
        words += f"; {watch.missed} looks missed, {watch.overlong} too slow"
    for blind in state.blind:
        if blind.subject == watch.subject:
            words += f"\n🚫 *Blind since* {escape.date(blind.since)}: {escape.code(blind.why, 300)}"
    return words


def _slack(slack: SlackState) -> str:
    words = "Slack: connected" if slack.connected else f"⚠️ Slack: {escape.prose(slack.why, 400)}"
    if slack.behind:
        words += f"; {slack.behind} entries of the log are not shown yet"
    return words + (f"; {slack.refused} messages were refused" if slack.refused else "")


def tickets(listing: Sequence[Ticket], subjects: Mapping[str, SubjectCard], link: Mapping[int, str]) -> Content:
    """The last tickets."""
    if not listing:
        return said("There is no ticket yet. That is good.")
    ordered = sorted(listing, key=lambda ticket: not ticket.live)
    rows = [_row(ticket, subjects, link) for ticket in ordered[:MOST_TICKETS]]
    if len(ordered) > MOST_TICKETS:
        rows.append(f"Older ones: {escape.code('operator tickets list')} on the command line.")
    return content(rows)


def _row(ticket: Ticket, subjects: Mapping[str, SubjectCard], link: Mapping[int, str]) -> str:
    title = escape.prose(_title(ticket, subjects), 120)
    url = link.get(ticket.id)
    number = f"*{escape.link(url, f'Ticket {ticket.id}')}*" if url else f"*Ticket {ticket.id}*"
    if not ticket.live and ticket.resolved_at is not None:
        took = duration(max(0.0, (ticket.resolved_at - ticket.began_at).total_seconds()))
        return f"✅ {number} · {title}: resolved {escape.date(ticket.resolved_at)} after {took}"
    broken = sum(one.holds_since is None for one in shown(ticket))
    seen = "acknowledged" if ticket.acknowledged_by else "nobody has acknowledged it"
    return (
        f"{SIGN[ticket.severity]} {number} · {title}: {WORD[ticket.severity].lower()}, {ticket.state.value}, {broken} "
        f"broken, since {escape.date(ticket.began_at)}, {seen}"
    )


def story(told: Story, subjects: Mapping[str, SubjectCard], names: Mapping[str, str], link: str | None) -> Content:
    """All about a ticket."""
    ticket, violations = told.ticket, shown(told.ticket)
    subject = subjects.get(ticket.subject) or SubjectCard(ticket.subject)
    head = _row(ticket, subjects, {ticket.id: link} if link else {})
    people = []
    if ticket.acknowledged_by is not None:
        people.append(f"Acknowledged by {who(ticket.acknowledged_by, names)}.")
    if ticket.taken_by is not None:
        people.append(f"{who(ticket.taken_by, names)} works on it.")
    if subject.runbook:
        people.append(escape.link(subject.runbook, "Runbook"))
    listed = [_violation(one) for one in violations[:MOST_VIOLATIONS]]
    if len(violations) > MOST_VIOLATIONS:
        listed.append(f"… and {len(violations) - MOST_VIOLATIONS} more: {_cli(ticket)}")
    steps = _steps(told.entries, names)
    lately = [f"*Lately* (all {len(steps)}: {_cli(ticket)})"] if len(steps) > MOST_STEPS else ["*What happened*"]
    return content([head, *([" ".join(people)] if people else []), *listed, *lately, *steps[-MOST_STEPS:]])


def _cli(ticket: Ticket) -> str:
    return f"{escape.code(f'operator tickets show {ticket.id}')} on the command line"


def _violation(violation: Violation) -> str:
    state = "🟢" if violation.holds_since is not None or violation.cleared_at is not None else "🔴"
    name = escape.code(f"{violation.fingerprint}", 120)
    against = f"{amount(violation.value, violation.unit)}, threshold {amount(violation.threshold, '')}"
    return f"{state} {name} {against}, since {escape.date(violation.since)}"


def _steps(entries: Iterable[Entry], names: Mapping[str, str]) -> list[str]:
    """What happened, a line each; many of a kind at once are one."""
    steps = []
    for _, group in groupby(entries, key=lambda entry: (entry.at, entry.kind)):
        found = [step for entry in group if (step := _step(entry, names)) is not None]
        steps += found if len(found) <= AT_ONCE else [f"{found[0]}, and {len(found) - 1} more at once"]
    return steps


_STEPS: Final = {
    "TicketOpened": "opened",
    "TicketReopened": "reopened",
    "TicketVerifying": "everything holds; the hold time runs",
    "TicketUnverified": "not everything holds any more",
    "TicketResolved": "resolved",
    "TicketAcknowledged": "acknowledged by {actor}",
    "TicketTaken": "taken over by {actor}",
    "SubjectSeen": "seen again",
}


def _step(entry: Entry, names: Mapping[str, str]) -> str | None:
    """One thing that happened, in a line; None for our own notes."""
    actor = who(entry.actor, names)
    match entry.event if entry.kind in kinds() else None:
        case InvariantBroken(invariant=invariant, key=key, how=how):
            words = f"{escape.code(f'{invariant}:{key}', 120)} {'broke again' if how == 'returned' else 'broke'}"
        case InvariantHolds(invariant=invariant, key=key, broken_s=broken_s):
            words = f"{escape.code(f'{invariant}:{key}', 120)} holds again after {duration(broken_s)}"
        case HoldInterrupted(invariant=invariant, key=key):
            words = f"{escape.code(f'{invariant}:{key}', 120)} does not hold for sure any more"
        case PeopleCalled(severity=severity, nth=nth):
            words = f"people were called ({severity.value}, {nth})"
        case Muted(until=until):
            words = f"{actor} ended the mute" if until <= entry.at else f"{actor} muted it until {escape.date(until)}"
        case SubjectBlind(why=why):
            words = f"blind: {escape.code(why, 120)}"
        case _ if entry.kind in _STEPS:
            words = _STEPS[entry.kind].format(actor=actor)
        case _:
            return None
    return f"{escape.date(entry.at)}  {words}"


def muted(what: str, until: datetime | None) -> Content:
    """What came of a mute; ``what`` is safe."""
    if until is None:
        return said(f"🔔 {what} is not muted any more; people are called again.")
    return said(f"🔕 {what} is muted: nobody is called until {escape.date(until)}. The checks go on.")


def _title(ticket: Ticket, subjects: Mapping[str, SubjectCard]) -> str:
    return subjects[ticket.subject].title if ticket.subject in subjects else ticket.subject
