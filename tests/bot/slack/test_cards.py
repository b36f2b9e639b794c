"""Any ticket makes a card that Slack takes, and that says what it must."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

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
    encode,
)
from bot.slack import cards
from bot.slack.cards import Content, Incident, SubjectCard
from bot.slack.lines import Thread, lines
from bot.store.records import Blindness, Entry, Ticket, TicketState, Violation
from compose.slack import mrkdwn
from compose.slack.blocks import MAX_TEXT_OF_ALL_BLOCKS, problems_of, text_length
from compose.slack.records import Json
from subjects.protocols import Fingerprint, Severity
from tests.bot.slack.test_escape import NASTY

NOW = datetime(2026, 3, 1, 3, 12, tzinfo=UTC)
words = st.lists(st.one_of(st.sampled_from([*NASTY, "x" * 3000, "&" * 3000, "`" * 500]), st.text()), max_size=3).map(
    "".join
)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  bounds are naive
severities = st.sampled_from(Severity)
numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-(10**6), 10**6).map(float))
actors = st.one_of(st.just("operator"), words.map("os:{}".format), st.just("slack:U1"))
names = st.dictionaries(st.just("slack:U1"), words)
subjects = st.builds(
    SubjectCard,
    title=words,
    runbook=st.one_of(st.none(), words, st.just("https://runbooks.example.com/" + "r" * 900)),
    sentences=st.dictionaries(st.sampled_from(["a", "b"]), words),
    runbooks=st.dictionaries(st.sampled_from(["a", "b"]), st.just("https://runbooks.example.com/" + "r" * 300)),
)


@st.composite
def violations(draw: st.DrawFn) -> Violation:
    return Violation(
        id=1,
        fingerprint=Fingerprint("s", draw(st.sampled_from(["a", "b", "c" * 300])), draw(words)),
        severity=draw(severities),
        value=draw(numbers),
        threshold=draw(numbers),
        unit=draw(words),
        detail=draw(words),
        since=draw(instants),
        added_at=draw(instants),
        holds_since=draw(st.one_of(st.none(), instants)),
        interrupted=draw(st.booleans()),
        cleared_at=None,
        returns=0,
    )


@st.composite
def tickets(draw: st.DrawFn) -> Ticket:
    few = draw(st.lists(violations(), min_size=1, max_size=12))
    state = draw(st.sampled_from(TicketState))
    return Ticket(
        id=draw(st.integers(1, 10**6)),
        subject=draw(words),
        state=state,
        severity=draw(severities),
        opened_at=NOW,
        reopened_at=draw(st.one_of(st.none(), instants)),
        resolved_at=NOW + timedelta(minutes=9) if state is TicketState.RESOLVED else None,
        held_since=draw(st.one_of(st.none(), instants)),
        acknowledged_by=(acknowledged := draw(st.one_of(st.none(), actors))),
        acknowledged_at=NOW if acknowledged else None,
        taken_by=draw(st.one_of(st.none(), actors)),
        called_at=None,
        calls=0,
        muted_until=draw(st.one_of(st.none(), instants)),
        violations=tuple(few * draw(st.sampled_from([1, 1, 50]))),
    )


def accepted(content: Content) -> None:
    """Slack would take it, for posting and for an edit, and it pings nobody."""
    wire: Json = json.loads(json.dumps(content.wire()))
    assert problems_of(wire) == []
    assert text_length(wire) <= MAX_TEXT_OF_ALL_BLOCKS
    assert 0 < len(mrkdwn.normalize(content.text)) <= 4000
    assert 0 < len(content.plainer().text) <= 1500
    for text in (content.text, json.dumps(wire, ensure_ascii=False), content.plainer().text):
        text.encode()
        assert not mrkdwn.mentioned_users(text)
        assert not mrkdwn.broadcasts(text)


blindnesses = st.builds(
    Blindness, subject=words, since=instants, why=words, ticket=st.none(), seq=st.integers(1, 10**6)
)


@settings(max_examples=60, deadline=None)
@given(tickets(), subjects, names, st.one_of(st.none(), blindnesses), st.one_of(st.none(), st.floats(0, 10**6)))
def test_slack_takes_any_card(
    ticket: Ticket, subject: SubjectCard, known: dict[str, str], blind: Blindness | None, hold_s: float | None
) -> None:
    content = cards.card(Incident(ticket, subject, known, NOW, blind, hold_s))
    accepted(content)
    wire = json.dumps(content.wire())
    assert not mrkdwn.mentioned_groups(wire)
    assert (cards.TAKE in wire) == ticket.live
    assert (cards.ACK in wire) == (ticket.live and ticket.acknowledged_by is None)
    assert f"Ticket {ticket.id}" in content.text


happenings = st.one_of(
    st.builds(TicketReopened, subject=words, severity=severities, resolved_at=instants),
    st.builds(
        InvariantBroken,
        subject=words,
        invariant=st.sampled_from(["a", "b", "c" * 300]),
        key=words,
        severity=severities,
        value=st.floats(-1e9, 1e300),
        threshold=st.floats(-1e9, 1e300),
        unit=words,
        detail=words,
        since=instants,
        how=st.sampled_from(["joined", "returned"]),
    ),
    st.builds(InvariantHolds, subject=words, invariant=words, key=words, broken_s=st.floats(0, 1e7)),
    st.builds(HoldInterrupted, subject=words, invariant=words, key=words, why=words),
    st.builds(TicketVerifying, hold_s=st.floats(0, 1e6)),
    st.just(TicketUnverified()),
    st.builds(TicketResolved, open_s=st.floats(0, 1e8), broken_s=st.floats(0, 1e8), violations=st.integers(1, 1000)),
    st.builds(PeopleCalled, severity=severities, nth=st.integers(1, 200)),
    st.just(TicketAcknowledged()),
    st.just(TicketTaken()),
    st.builds(Muted, subject=st.one_of(st.none(), words), until=instants),
    st.builds(SubjectBlind, subject=words, since=instants, why=words, unseen=st.lists(words, max_size=30).map(tuple)),
    st.builds(SubjectSeen, subject=words, blind_s=st.floats(0, 1e8), blind_seq=st.integers(1, 100)),
)


def entries_of(*groups: list[Event], actor: str = "operator") -> list[Entry]:
    """Entries of transactions, a second apart."""
    found: list[Entry] = []
    for number, group in enumerate(groups):
        for event in group:
            seq = len(found) + number + 1
            at = NOW + timedelta(seconds=number)
            found.append(Entry(seq, at, actor, 1, event.kind, _encoded(event), "0" * 64, f"{seq:064x}"))
    return found


def _encoded(event: Event) -> str:
    return encode(event)


def surrogates_out(event: Event) -> bool:
    """Whether the log could hold it: lone surrogates never get that far."""
    try:
        _encoded(event).encode()
    except (UnicodeEncodeError, ValueError):
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(happenings.filter(surrogates_out), min_size=1, max_size=4), max_size=6),
    subjects,
    names,
    actors,
    st.sampled_from([1, 1, 200]),
)
def test_slack_takes_any_line(
    groups: list[list[Event]], subject: SubjectCard, known: dict[str, str], actor: str, many: int
) -> None:
    opened: list[Event] = [TicketOpened("s", Severity.WARNING)]
    entries = entries_of(opened, *[group * many for group in groups], actor=actor)
    thread = Thread(7, subject, known, {Severity.CRITICAL: "S0123ABC", Severity.WARNING: "S0123ABC"})
    found = lines(entries, thread)
    slots = [line.slot for line in found]
    assert slots == sorted(set(slots), key=lambda slot: int(slot.removeprefix("line:")))
    for line in found:
        accepted(line.content)
        called = mrkdwn.mentioned_groups(json.dumps(line.content.wire()))
        assert called <= {"S0123ABC"}
        assert bool(called) == bool(mrkdwn.mentioned_groups(line.content.text)), "blocks and text call the same"


@settings(max_examples=60, deadline=None)
@given(words, words, subjects, st.one_of(st.none(), st.floats(0, 1e8)), st.lists(words, max_size=30))
def test_slack_takes_any_blindness(
    name: str, why: str, subject: SubjectCard, blind_s: float | None, unseen: list[str]
) -> None:
    event = SubjectBlind(name, NOW, why, tuple(unseen))
    seen = SubjectSeen(name, blind_s, 1) if blind_s is not None else None
    accepted(cards.blind(event, subject, None, seen, NOW if seen else None))


def test_a_name_of_nothing_but_space_shows_the_id() -> None:
    assert cards.who("slack:U1", {"slack:U1": " \n\u3000"}) == "U1"
