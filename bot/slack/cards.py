"""The incident card: pure, from a ticket to what Slack is sent. The words are for someone who was just woken up.

Facts only: what is broken, how far, since when, who is on it. Classic blocks, within Slack's limits for any ticket:
50 blocks, 3,000 characters a section, 12,000 in all.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from bot.events import SYSTEM, SubjectBlind, SubjectSeen
from bot.slack import escape
from bot.store.records import Blindness, Ticket, TicketState, Violation
from bot.words import duration, quantity
from subjects.protocols import Severity

LISTED: Final = 10
SECTION: Final = 2900
VIOLATIONS: Final = 7000
"""So many units may all of a card's violations take."""
ACK: Final = "operator_acknowledge"
TAKE: Final = "operator_take_over"
MUTE: Final = "operator_mute"
MUTE_S: Final = 3600

SIGN: Final = {Severity.CRITICAL: "🔴", Severity.WARNING: "⚠️"}
WORD: Final = {Severity.CRITICAL: "Critical", Severity.WARNING: "Warning"}
_STATE: Final = {
    TicketState.OPEN: "open",
    TicketState.INVESTIGATING: "under investigation",
    TicketState.WAITING: "waiting for people",
    TicketState.VERIFYING: "verifying",
    TicketState.ESCALATED: "escalated, people must act",
    TicketState.RESOLVED: "resolved",
}


@dataclass(frozen=True, slots=True)
class SubjectCard:
    """What the configuration says about a subject, in words: its title, and its invariants' by their names."""

    title: str
    runbook: str | None = None
    sentences: Mapping[str, str] = field(default_factory=dict)
    runbooks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """A message: its blocks, and the text for notifications and for where blocks can't be shown."""

    text: str
    blocks: tuple[Block, ...] = ()

    def wire(self) -> list[dict[str, object]]:
        """The blocks as they are sent."""
        return [block.to_dict() for block in self.blocks]

    @property
    def digest(self) -> str:
        """The same for the same content."""
        content = json.dumps([self.text, self.wire()], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def plainer(self) -> Content:
        """For when Slack refuses it: the text alone, shorter."""
        return Content(escape.joined(self.text.split("\n"), 1000) or "(this message could not be shown)")


@dataclass(frozen=True, slots=True)
class Incident:
    """All that a card shows.

    ``names`` has the display name of everyone in it by actor, ``hold_s`` the hold time that is running, if one is.
    """

    ticket: Ticket
    subject: SubjectCard
    names: Mapping[str, str]
    now: datetime
    blind: Blindness | None = None
    hold_s: float | None = None


def said(text: str, fallback: str | None = None) -> Content:
    """A message of one section; the text is safe mrkdwn of at most 3,000 units."""
    return Content(escape.bare(fallback if fallback is not None else text), (section(text),))


def section(text: str) -> SectionBlock:
    """A section of safe mrkdwn in which Slack links nothing by itself."""
    return SectionBlock(text=MarkdownTextObject(text=text, verbatim=True))


def who(actor: str, names: Mapping[str, str]) -> str:
    """An actor in words.

    Never a mention: in a line it would call someone who has just acted, and in an edited card it calls nobody anyway.
    """
    kind, _, rest = actor.partition(":")
    if actor == SYSTEM:
        return "Operator"
    if kind == "os":
        return f"{escape.code(rest, 80)} on the command line"
    return escape.prose(names.get(actor, ""), 80) or escape.prose(rest, 80)


def amount(value: float, unit: str) -> str:
    """A value in its unit, whatever the value is."""
    return escape.prose(quantity(value, unit) if math.isfinite(value) else f"{value} {unit}".strip(), 80)


def shown(ticket: Ticket) -> tuple[Violation, ...]:
    """The violations of the time since the ticket was last opened, the broken ones first."""
    current = [one for one in ticket.violations if one.cleared_at is None or one.cleared_at == ticket.resolved_at]
    return tuple(sorted(current, key=lambda one: (one.holds_since is not None, one.severity.rank)))


def card(incident: Incident) -> Content:
    """The incident card."""
    ticket = incident.ticket
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=_header(incident), emoji=True)),
        section(_headline(incident)),
        SectionBlock(fields=[MarkdownTextObject(text=text, verbatim=True) for text in _fields(incident)]),
        *(section(text) for text in _violations(incident)),
    ]
    if incident.blind is not None and ticket.live:
        blocks.append(section(_blind_words(incident.blind)))
    if ticket.live:
        blocks.append(ActionsBlock(block_id=f"ticket-{ticket.id}", elements=_buttons(ticket)))
    blocks.append(ContextBlock(elements=[MarkdownTextObject(text=_small_print(ticket), verbatim=True)]))
    return Content(escape.bare(_fallback(incident)), tuple(blocks))


def duplicate(permalink: str) -> Content:
    """What a second copy of a message is turned into."""
    return said(f"Duplicate, ignore this: {escape.link(permalink, 'the real one is here')}.")


def blind(
    event: SubjectBlind, subject: SubjectCard, mention: str | None, seen: SubjectSeen | None, seen_at: datetime | None
) -> Content:
    """The message about a subject that can't be seen and has no ticket; edited once it can be seen again."""
    title = escape.prose(subject.title, 120)
    if seen is not None and seen_at is not None:
        return said(
            f"👁 *{title}* can be seen again since {escape.date(seen_at)}. "
            f"It could not for {duration(seen.blind_s)}, from {escape.date(event.since)}: {escape.code(event.why, 300)}"
        )
    what = "can't be seen" if not event.unseen else f"can't be seen in full ({_names(event.unseen)})"
    call = f"{mention} " if mention else ""
    return said(
        f"🚫 {call}*Blind:* {title} {what} since {escape.date(event.since)}.\n{escape.code(event.why, 300)}\n"
        "Whether anything is broken there, nobody can say now. No ticket is open on it."
    )


def _header(incident: Incident) -> str:
    sign = SIGN[incident.ticket.severity] if incident.ticket.live else "✅"
    return f"{sign} Ticket {incident.ticket.id} · {escape.plain(incident.subject.title, 110)}"


def _headline(incident: Incident) -> str:
    ticket = incident.ticket
    of = shown(ticket)
    if ticket.resolved_at is not None and not ticket.live:
        took = duration(max(0.0, (ticket.resolved_at - ticket.began_at).total_seconds()))
        return f"*Resolved* {escape.date(ticket.resolved_at)}, after {took}: {_count(len(of))} held for the hold time."
    broken = sum(one.holds_since is None for one in of)
    word = f"*{WORD[ticket.severity]} · {_STATE[ticket.state]}*"
    if ticket.state is TicketState.VERIFYING:
        hold = f" for {duration(incident.hold_s)}" if incident.hold_s is not None else ""
        since = f" since {escape.date(ticket.held_since)}" if ticket.held_since is not None else ""
        return f"⏳ {word}: everything holds{since}. If it stays so{hold}, this is resolved."
    if broken < len(of):
        return f"{word}: {broken} of {len(of)} still broken."
    return f"{word}: {_count(broken)} broken."


def _count(number: int) -> str:
    return "1 thing" if number == 1 else f"{number} things"


def _fields(incident: Incident) -> list[str]:
    ticket = incident.ticket
    since = min((one.since for one in shown(ticket)), default=ticket.began_at)
    fields = [f"*Broken since*\n{escape.date(since)}"]
    runbook = incident.subject.runbook
    fields.append(f"*Runbook*\n{escape.link(runbook, 'Open the runbook') if runbook else 'none is configured'}")
    fields.append(f"*Acknowledged*\n{_acknowledged(incident)}")
    fields.append(f"*Works on it*\n{who(ticket.taken_by, incident.names) if ticket.taken_by else 'nobody yet'}")
    if ticket.live and ticket.muted_until is not None and ticket.muted_until > incident.now:
        fields.append(f"*Muted*\n🔕 nobody is called until {escape.date(ticket.muted_until)}")
    if ticket.reopened_at is not None:
        fields.append(f"*Reopened*\n🔁 {escape.date(ticket.reopened_at)}, it had been resolved")
    return fields


def _acknowledged(incident: Incident) -> str:
    ticket = incident.ticket
    if ticket.acknowledged_by is None or ticket.acknowledged_at is None:
        return "nobody yet" if ticket.live else "by nobody"
    return f"👀 {who(ticket.acknowledged_by, incident.names)}, {escape.date(ticket.acknowledged_at)}"


def _violations(incident: Incident) -> list[str]:
    """Sections of whole violations, under the sentence of their invariant: the first ten, fewer where they are long."""
    ticket = incident.ticket
    all_of = shown(ticket)
    groups: list[list[str]] = []
    invariant, listed, length = "", 0, 0
    for one in all_of[:LISTED]:
        new = [_violation(one, live=ticket.live)]
        begins = one.fingerprint.invariant != invariant
        if begins:
            invariant = one.fingerprint.invariant
            new.insert(0, _sentence(incident.subject, invariant))
        length += sum(map(escape.units, new))
        if length > VIOLATIONS:
            break
        if begins:
            groups.append([])
        groups[-1] += new
        listed += 1
    if rest := len(all_of) - listed:
        groups.append([f"… and {rest} more: {escape.code(f'/operator show {ticket.id}')}"])
    return [section for group in groups for section in packed(group)]


def packed(paragraphs: Iterable[str], limit: int = SECTION) -> list[str]:
    """Whole paragraphs, put together into as few sections as will hold them."""
    sections: list[str] = []
    for paragraph in paragraphs:
        if sections and escape.units(sections[-1]) + escape.units(paragraph) + 1 <= limit:
            sections[-1] += f"\n{paragraph}"
        else:
            sections.append(paragraph)
    return sections


def _sentence(subject: SubjectCard, invariant: str) -> str:
    sentence = subject.sentences.get(invariant)
    words = f"{escape.code(invariant, 80)} *must hold:* {escape.prose(sentence or 'it has no words of its own.', 250)}"
    runbook = subject.runbooks.get(invariant)
    if runbook and runbook != subject.runbook:
        words += f" {escape.link(runbook, 'runbook', 400)}"
    return words


def _violation(violation: Violation, *, live: bool) -> str:
    key = escape.code(violation.fingerprint.key, 100)
    against = f"{amount(violation.value, violation.unit)}, threshold {amount(violation.threshold, '')}"
    if not live:
        return f"✅ {key} · was {against}"
    if violation.holds_since is not None:
        return f"🟢 {key} · holds since {escape.date(violation.holds_since)} (was {against})"
    unclear = " · _not seen clearly now_" if violation.interrupted else ""
    return (
        f"{'❔' if violation.interrupted else SIGN[violation.severity]} {key} · *{against}* · "
        f"since {escape.date(violation.since)}{unclear}\n{escape.code(violation.detail, 300)}"
    )


def _blind_words(blindness: Blindness) -> str:
    return (
        f"🚫 *Blind since* {escape.date(blindness.since)}: {escape.code(blindness.why, 300)}\n"
        "What can't be seen is never taken for healthy."
    )


def _buttons(ticket: Ticket) -> list[ButtonElement]:
    value = str(ticket.id)
    buttons = []
    if ticket.acknowledged_by is None:
        buttons.append(
            ButtonElement(text=PlainTextObject(text="Acknowledge"), action_id=ACK, value=value, style="primary")
        )
    buttons.append(ButtonElement(text=PlainTextObject(text="Take over"), action_id=TAKE, value=value))
    buttons.append(ButtonElement(text=PlainTextObject(text="Mute 1 h"), action_id=MUTE, value=value))
    return buttons


def _small_print(ticket: Ticket) -> str:
    name = escape.code(ticket.subject, 60)
    opened = escape.date(ticket.opened_at)
    if not ticket.live:
        return f"{name} · opened {opened}"
    return f"{name} · opened {opened} · it is resolved by the checks alone, once everything has held"


def _fallback(incident: Incident) -> str:
    """One line, as a phone shows it."""
    ticket, title = incident.ticket, escape.prose(incident.subject.title, 120)
    if not ticket.live:
        return f"✅ Ticket {ticket.id} · {title}: resolved"
    of = shown(ticket)
    words = [f"{one.fingerprint} {quantity_words(one)}" for one in of[:3]]
    more = f" and {len(of) - 3} more" if len(of) > 3 else ""
    listed = ", ".join(escape.prose(word, 160) for word in words) + more
    sign = SIGN[ticket.severity]
    return f"{sign} Ticket {ticket.id} · {title}: {WORD[ticket.severity].lower()}, {_STATE[ticket.state]}: {listed}"


def quantity_words(violation: Violation) -> str:
    """Its value, unescaped."""
    value = violation.value
    return f"({quantity(value, violation.unit) if math.isfinite(value) else value})"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(escape.code(name, 100) for name in names[:LISTED]) + more
