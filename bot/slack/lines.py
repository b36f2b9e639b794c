"""The lines of a ticket's thread: pure, from its entries to what is said, in order.

The entries of one transaction are one line: 500 violations that join at once are one message. A line is posted once
and never edited, and named by its first entry's seq. What is only worth saying at the time is left out when it is
overtaken before it could be posted: a call for people after the next call, an acknowledgement or the resolution.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from bot.events import (
    Event,
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
    decode,
)
from bot.slack import escape
from bot.slack.cards import LISTED, SECTION, SIGN, WORD, Content, SubjectCard, amount, packed, section, who
from bot.store.records import Entry
from bot.words import duration
from subjects.protocols import Severity

FLAPS_TOLD: Final = 5
FLAPS_STEP: Final = 10
"""Of what breaks and holds in turns the first five times are told, then every tenth."""

_ENDS_A_CALL: Final = frozenset({"PeopleCalled", "TicketAcknowledged", "TicketResolved", "TicketReopened"})
_BEGINS: Final = frozenset({"TicketOpened", "TicketReopened", "TicketAcknowledged", "Muted"})
_TELLING: Final = frozenset(
    {
        "TicketOpened",
        "TicketReopened",
        "InvariantBroken",
        "InvariantHolds",
        "HoldInterrupted",
        "TicketVerifying",
        "TicketUnverified",
        "TicketResolved",
        "PeopleCalled",
        "TicketAcknowledged",
        "TicketTaken",
        "Muted",
        "SubjectBlind",
        "SubjectSeen",
    }
)


@dataclass(frozen=True, slots=True)
class Thread:
    """What the lines are made from, besides the entries: names by actor, whom to call by severity."""

    number: int
    subject: SubjectCard
    names: Mapping[str, str]
    call: Mapping[Severity, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``first``: people wait for it (a call, a reopening, a resolution), so it goes before chatter.

    ``broadcast``: the channel shows it too, as its thread may stand far up by now.
    """

    slot: str
    content: Content
    first: bool
    broadcast: bool = False

    def alone(self, ticket: int, *, acknowledge: bool) -> Line:
        """The same for the channel, where the ticket's thread can't be used; it says so, and how to act without it."""
        words = f"🧵 The thread of ticket {ticket} was deleted or locked, so this stands here."
        if acknowledge:
            words += f" To acknowledge it: {escape.code(f'operator ack {ticket}')} on the command line."
        content = Content(f"{words}\n{self.content.text}", (section(words), *self.content.blocks))
        return Line(self.slot, content, self.first)


@dataclass(frozen=True, slots=True)
class _Told:
    entry: Entry
    event: Event


@dataclass(slots=True)
class _Story:
    """What the entries so far amount to."""

    thread: Thread
    began_at: datetime | None = None
    acknowledged: bool = False
    broken: dict[tuple[str, str], InvariantBroken] = field(default_factory=dict)
    flaps: int = 0

    def take(self, told: _Told) -> None:
        match told.event:
            case TicketOpened() | TicketReopened():
                self.began_at, self.acknowledged, self.flaps = told.entry.at, False, 0
            case TicketAcknowledged():
                self.acknowledged = True
            case InvariantBroken() as event:
                self.broken[event.invariant, event.key] = event
                self.flaps += event.how == "returned"
            case InvariantHolds() as event:
                self.broken.pop((event.invariant, event.key), None)
            case TicketResolved():
                self.broken.clear()
            case _:
                pass

    @property
    def telling_flaps(self) -> bool:
        return self.flaps <= FLAPS_TOLD or self.flaps % FLAPS_STEP == 0


@lru_cache(maxsize=50_000)
def _decoded(kind: str, payload: str) -> Event:
    return decode(kind, payload)


def lines(entries: Sequence[Entry], thread: Thread, done: Container[str] = ()) -> list[Line]:
    """The lines of a ticket's thread, from all its entries oldest first; those whose slot is ``done`` are left out."""
    telling = [entry for entry in entries if entry.kind in _TELLING]
    last_end = max((entry.seq for entry in telling if entry.kind in _ENDS_A_CALL), default=0)
    story = _Story(thread)
    found = []
    for group in _transactions(telling):
        told = [_Told(entry, _decoded(entry.kind, entry.payload)) for entry in group]
        for one in told:
            story.take(one)
        if _slot(told) not in done and (line := _line(told, story, last_end)) is not None:
            found.append(line)
    return found


def _transactions(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries of each transaction: one instant, one actor, no gap. What begins one of its own does so here too."""
    group: list[Entry] = []
    for entry in entries:
        last = group[-1] if group else None
        if last is not None and (
            (last.at, last.actor, last.seq + 1) != (entry.at, entry.actor, entry.seq) or entry.kind in _BEGINS
        ):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _slot(told: Sequence[_Told]) -> str:
    return f"line:{told[0].entry.seq}"


def _line(told: list[_Told], story: _Story, last_end: int) -> Line | None:
    parts = [part for one in told for part in _call(one, story, last_end)]
    first = bool(parts)
    parts += _happened([one for one in told if not isinstance(one.event, PeopleCalled)], story)
    if not parts:
        return None
    reopened = any(isinstance(one.event, TicketReopened) for one in told)
    first = first or reopened or any(isinstance(one.event, TicketResolved) for one in told)
    # A transaction has one of most kinds, so that this cuts nothing; whatever it has, Slack must take it.
    blocks = tuple(section(text) for text in packed(parts)[:4])
    return Line(_slot(told), Content(escape.bare(escape.joined(parts, SECTION)), blocks), first, reopened)


def _happened(told: list[_Told], story: _Story) -> Iterator[str]:
    kinds = {type(one.event) for one in told}
    if TicketOpened not in kinds:
        yield from _breaking([one.event for one in told if isinstance(one.event, InvariantBroken)], kinds, story)
    yield from _holding(told, kinds, story)
    for one in told:
        yield from _single(one, kinds, story)


def _breaking(events: list[InvariantBroken], kinds: set[type[Event]], story: _Story) -> Iterator[str]:
    joined = [event for event in events if event.how != "returned"]
    returned = [event for event in events if event.how == "returned"]
    if joined:
        head = "These broke" if TicketReopened in kinds else "Broken as well"
        yield _listed(joined, f"{SIGN[_worst(joined)]} *{head}:*", story)
    if returned and story.telling_flaps:
        times = f", {_nth(story.flaps)} return in all" if story.flaps > FLAPS_TOLD else ""
        yield _listed(returned, f"🔁 *Broken again*{times}:", story)


def _listed(events: Sequence[InvariantBroken], head: str, story: _Story) -> str:
    if len(events) == 1:
        return f"{head} {_what(events[0], story)}\n{escape.code(events[0].detail, 400)}"
    listed = [
        f"• {escape.code(f'{event.invariant}:{event.key}', 120)} {amount(event.value, event.unit)}"
        for event in events[:LISTED]
    ]
    if len(events) > LISTED:
        listed.append(f"… and {len(events) - LISTED} more: {escape.code(f'/operator show {story.thread.number}')}")
    return "\n".join([f"{head} {len(events)} at once", *listed])


def _what(event: InvariantBroken, story: _Story) -> str:
    sentence = story.thread.subject.sentences.get(event.invariant)
    words = f" Must hold: {escape.prose(sentence, 250)}" if sentence else ""
    against = f"{amount(event.value, event.unit)}, threshold {amount(event.threshold, '')}"
    return f"{escape.code(f'{event.invariant}:{event.key}', 150)} {against}.{words}"


def _holding(told: list[_Told], kinds: set[type[Event]], story: _Story) -> Iterator[str]:
    if not story.telling_flaps or TicketResolved in kinds:
        return
    holds = [one.event for one in told if isinstance(one.event, InvariantHolds)]
    if holds:
        names = _names([f"{event.invariant}:{event.key}" for event in holds])
        after = f" after {duration(holds[0].broken_s)}" if len(holds) == 1 else ""
        verb = "holds" if len(holds) == 1 else "hold"
        yield f"🟢 {names} {verb} again{after}." + (f" {len(story.broken)} still broken." if story.broken else "")
    for one in told:
        if isinstance(one.event, TicketVerifying):
            yield f"⏳ Everything holds. If it stays so for {duration(one.event.hold_s)}, this is resolved."
    interrupted = [one.event for one in told if isinstance(one.event, HoldInterrupted)]
    if interrupted:
        names = _names([f"{event.invariant}:{event.key}" for event in interrupted])
        yield f"❔ {names}: the hold time starts over. {escape.code(interrupted[0].why, 300)}"
    elif TicketUnverified in kinds and InvariantBroken not in kinds:
        yield "❔ Not everything holds any more; the ticket is open again."


def _single(told: _Told, kinds: set[type[Event]], story: _Story) -> Iterator[str]:
    actor = who(told.entry.actor, story.thread.names)
    match told.event:
        case TicketReopened(resolved_at=at, severity=severity):
            yield f"🔁 *Reopened*, {WORD[severity].lower()}: it had been resolved {escape.date(at)}."
        case TicketAcknowledged() if TicketTaken not in kinds:
            yield f"👀 {actor} has acknowledged it. Nobody is called again."
        case TicketTaken():
            yield f"🛠 {actor} works on it."
        case Muted() as event:
            yield _muted(event, told.entry.at, actor)
        case SubjectBlind() as event:
            what = escape.prose(story.thread.subject.title, 120) if not event.unseen else _names(event.unseen)
            yield f"🚫 *Blind:* {what} can't be seen since {escape.date(event.since)}.\n{escape.code(event.why, 300)}"
        case SubjectSeen(blind_s=blind_s):
            yield f"👁 Seen again, after {duration(blind_s)}."
        case TicketResolved() as event:
            yield _resolved(event, told.entry)
        case _:
            pass


def _muted(event: Muted, at: datetime, actor: str) -> str:
    of = f" for all of {escape.code(event.subject, 80)}" if event.subject is not None else ""
    if event.until <= at:
        return f"🔔 {actor} has ended the mute{of}."
    return f"🔕 {actor} has muted it{of}: nobody is called until {escape.date(event.until)}."


def _resolved(event: TicketResolved, entry: Entry) -> str:
    # The head of the log at this moment: an anchor outside the database that shows a log cut or written anew.
    anchor = escape.code(f"operator audit verify --anchor {entry.seq}:{entry.hash}", 200)
    things = "What was broken has" if event.violations == 1 else f"{event.violations} things that were broken have"
    return (
        f"✅ *Resolved* after {duration(event.open_s)}. {things} held for the hold time "
        f"(broken for {duration(event.broken_s)}).\nAudit log up to here: {anchor}"
    )


def _call(told: _Told, story: _Story, last_end: int) -> Iterator[str]:
    event = told.event
    if not isinstance(event, PeopleCalled):
        return
    target = story.thread.call.get(event.severity)
    if target is None:
        if event.nth == 1:
            yield (
                f"📣 Nobody is configured to be called for {event.severity.value} tickets. Set "
                f"{escape.code(f'slack.call.{event.severity.value}')} to a user group's id (S…), a user's id (U…) or "
                f"{escape.code('here')}."
            )
        return
    if told.entry.seq < last_end:
        return
    mention = escape.mention(target)
    if event.nth == 1:
        yield f"📣 {mention} *{WORD[event.severity]}:* {_still(story)}"
    elif story.acknowledged:
        yield f"📣 {mention} *It is {event.severity.value} now:* {_still(story)}"
    else:
        waited = (told.entry.at - story.began_at).total_seconds() if story.began_at else 0.0
        yield (
            f"📣 {mention} *{_nth(event.nth)} call:* nobody has acknowledged ticket {story.thread.number} for "
            f"{duration(max(0.0, waited))}. Still broken: {_still(story)}"
        )


def _still(story: _Story) -> str:
    """One sentence of what is broken at that moment, the worst first."""
    broken = sorted(story.broken.values(), key=lambda event: event.severity.rank)
    title = escape.prose(story.thread.subject.title, 120)
    if not broken:
        return f"{title}."
    more = f" And {len(broken) - 1} more." if len(broken) > 1 else ""
    return f"{title}: {_what(broken[0], story)}{more}\n{escape.code(broken[0].detail, 400)}"


def _worst(events: Sequence[InvariantBroken]) -> Severity:
    return min((event.severity for event in events), key=lambda severity: severity.rank)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(escape.code(name, 120) for name in names[:LISTED]) + more


def _nth(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
