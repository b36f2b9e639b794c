from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot import events, incidents
from bot.incidents import Incidents, Rules
from bot.store import audit, tickets
from bot.store.database import Store, default_path
from bot.store.records import Ticket, TicketState
from scheduler.debounce import Blind, Finding, Report
from subjects.protocols import Fingerprint, Severity
from tests.clock import ManualClock

RULES = Rules(hold_s=5, flap_window_s=60, call_again_s=30)
UP_1, UP_2, SLOW = (Fingerprint("s", "up", "1"), Fingerprint("s", "up", "2"), Fingerprint("s", "slow", "*"))
SEVERITY = {UP_1: Severity.WARNING, UP_2: Severity.WARNING, SLOW: Severity.CRITICAL}


@dataclass
class Bench:
    """A store and what reports to it, tick by tick."""

    store: Store
    clock: ManualClock
    incidents: Incidents = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.incidents = Incidents(self.store, RULES)

    def tick(
        self,
        *broken: Fingerprint,
        unclear: Mapping[Fingerprint, str] | None = None,
        blind: str | None = None,
        after_s: float = 1.0,
    ) -> Ticket | None:
        self.clock.advance(after_s)
        unclear = unclear or {}
        report = Report(
            subject="s",
            at=self.clock.now(),
            monotonic=self.clock.monotonic(),
            broken=tuple(Finding(one, SEVERITY[one], 7.0, 5.0, "x", "Seven.", self.clock.now()) for one in broken),
            holding=frozenset(set(SEVERITY) - set(broken) - set(unclear)),
            unclear=unclear,
            unknown=len(unclear),
            blind=Blind(self.clock.now(), blind, ()) if blind else None,
        )
        asyncio.run(self.incidents.take_in(report))
        return self.live

    @property
    def live(self) -> Ticket | None:
        return self.store.call(tickets.live_on, "s")

    def get(self, number: int) -> Ticket:
        return self.store.call(tickets.get, number)

    def events(self, kind: type[events.Event] | None = None) -> list[events.Event]:
        return [e.event for e in self.store.call(audit.entries) if kind is None or e.kind == kind.__name__]


@pytest.fixture
def bench(store: Store, clock: ManualClock) -> Bench:
    return Bench(store, clock)


def kinds(bench: Bench) -> list[str]:
    return [event.kind for event in bench.events()]


def test_from_broken_to_resolved_by_the_invariant_alone(bench: Bench) -> None:
    opened = bench.tick(UP_1)
    assert opened is not None
    assert (opened.id, opened.state, opened.severity) == (1, TicketState.OPEN, Severity.WARNING)
    verifying = bench.tick()
    assert verifying is not None
    assert verifying.state is TicketState.VERIFYING
    for _ in range(4):
        assert bench.tick() is not None
    assert bench.tick() is None
    resolved = bench.get(1)
    assert resolved.state is TicketState.RESOLVED
    assert all(violation.cleared_at for violation in resolved.violations)
    assert kinds(bench) == [
        "TicketOpened",
        "InvariantBroken",
        "PeopleCalled",
        "InvariantHolds",
        "TicketVerifying",
        "TicketResolved",
    ]


def test_what_breaks_while_it_lives_joins_and_all_must_hold(bench: Bench) -> None:
    bench.tick(UP_1)
    bench.tick(UP_1, SLOW)
    states = [ticket.state for _ in range(20) if (ticket := bench.tick(SLOW)) is not None]
    assert states == [TicketState.OPEN] * 20
    ticket = bench.get(1)
    assert [v.fingerprint for v in ticket.violations] == [UP_1, SLOW]
    assert ticket.severity is Severity.CRITICAL
    for _ in range(6):
        bench.tick()
    assert bench.live is None
    assert bench.store.call(tickets.count) == 1


def test_not_seeing_never_resolves(bench: Bench) -> None:
    bench.tick(UP_1)
    for _ in range(50):
        ticket = bench.tick(unclear={UP_1: "no answer"})
        assert ticket is not None
        assert ticket.state is TicketState.OPEN


@pytest.mark.parametrize("gap", [{UP_1: "no answer"}, {UP_1: "it seems broken again"}], ids=["unseen", "in its grace"])
def test_a_gap_in_the_hold_time_starts_it_anew(bench: Bench, gap: dict[Fingerprint, str]) -> None:
    bench.tick(UP_1)
    for _ in range(10):
        for _ in range(4):
            bench.tick()
        ticket = bench.tick(unclear=gap)
        assert ticket is not None
        assert ticket.state is TicketState.OPEN
    for _ in range(5):
        assert bench.tick() is not None
    assert bench.tick() is None


def test_a_key_that_is_not_configured_any_more_does_not_count_as_well(bench: Bench) -> None:
    bench.tick(UP_1)
    del (shrunk := dict(SEVERITY))[UP_1]
    for _ in range(20):
        bench.clock.advance(1)
        report = Report("s", bench.clock.now(), bench.clock.monotonic(), (), frozenset(shrunk), {}, 0, None)
        asyncio.run(bench.incidents.take_in(report))
    assert bench.live is not None


def test_the_hold_time_is_not_fooled_by_the_wall_clock(bench: Bench) -> None:
    bench.tick(UP_1)
    bench.tick()
    bench.clock.step_wall(3600)
    assert bench.tick() is not None
    bench.clock.step_wall(-7200)
    assert bench.tick() is not None
    for _ in range(3):
        bench.tick()
    assert bench.live is None
    resolved = next(e for e in bench.events() if isinstance(e, events.TicketResolved))
    assert resolved.open_s >= 0


def test_breaking_again_before_the_end_is_a_flap_not_a_ticket(bench: Bench) -> None:
    bench.tick(UP_1)
    for _ in range(3):
        bench.tick()
        bench.tick(unclear={UP_1: "it seems broken again"})
        bench.tick(UP_1)
    ticket = bench.live
    assert ticket is not None
    assert ticket.violations[0].returns == 3
    hows = [e.how for e in bench.events() if isinstance(e, events.InvariantBroken)]
    assert hows == ["opened", "returned", "returned", "returned"]


def test_a_return_within_the_flap_window_reopens_the_same_ticket_and_calls_anew(bench: Bench) -> None:
    bench.tick(UP_1)
    bench.store.call(incidents.acknowledge, bench.store, 1, "os:ana")
    for _ in range(7):
        bench.tick()
    assert bench.live is None
    reopened = bench.tick(UP_1, SLOW, after_s=RULES.flap_window_s - 5)
    assert reopened is not None
    assert (reopened.id, reopened.state) == (1, TicketState.OPEN)
    assert (reopened.acknowledged_by, reopened.calls) == (None, 1)
    assert reopened.reopened_at == bench.clock.now()


def test_a_return_after_the_flap_window_or_of_something_else_is_a_new_ticket(bench: Bench) -> None:
    bench.tick(UP_1)
    for _ in range(7):
        bench.tick()
    other = bench.tick(SLOW)
    assert other is not None
    assert other.id == 2
    for _ in range(7):
        bench.tick()
    late = bench.tick(SLOW, after_s=RULES.flap_window_s + 1)
    assert late is not None
    assert late.id == 3


def test_after_a_restart_the_ticket_goes_on_and_its_hold_time_begins_anew(bench: Bench) -> None:
    bench.tick(UP_1)
    for _ in range(5):
        bench.tick()
    bench.restart()
    for _ in range(5):
        assert bench.tick() is not None
    assert bench.tick() is None
    assert kinds(bench).count("TicketResolved") == 1
    assert kinds(bench).count("InvariantHolds") == 1


def test_people_are_called_again_until_someone_acknowledges(bench: Bench) -> None:
    for _ in range(65):
        bench.tick(UP_1)
    assert kinds(bench).count("PeopleCalled") == 3
    assert bench.store.call(incidents.acknowledge, bench.store, 1, "slack:U1")
    assert not bench.store.call(incidents.acknowledge, bench.store, 1, "slack:U2")
    for _ in range(65):
        bench.tick(UP_1)
    assert kinds(bench).count("PeopleCalled") == 3
    ticket = bench.live
    assert ticket is not None
    assert ticket.acknowledged_by == "slack:U1"
    bench.tick(UP_1, SLOW)  # it is worse than what was acknowledged
    assert kinds(bench).count("PeopleCalled") == 4
    bench.tick(UP_1, SLOW)
    assert kinds(bench).count("PeopleCalled") == 4


def test_a_restart_neither_repeats_nor_forgets_a_call(bench: Bench) -> None:
    bench.tick(UP_1)
    bench.restart()
    for _ in range(28):
        bench.tick(UP_1)
    assert kinds(bench).count("PeopleCalled") == 1
    bench.tick(UP_1)
    bench.tick(UP_1)
    assert kinds(bench).count("PeopleCalled") == 2


@pytest.mark.parametrize("target", [1, "s"], ids=["ticket", "subject"])
def test_a_mute_silences_the_calls_for_its_time_and_nothing_else(bench: Bench, target: int | str) -> None:
    bench.tick(UP_1)
    bench.store.call(incidents.mute, bench.store, target, 100, "os:ana")
    for _ in range(99):
        bench.tick(UP_1)
    assert kinds(bench).count("PeopleCalled") == 1
    bench.tick(SLOW, UP_1)
    bench.tick(SLOW, UP_1)
    assert kinds(bench).count("PeopleCalled") == 2
    for _ in range(7):
        bench.tick()
    assert bench.live is None


def test_a_mute_set_before_holds_the_first_call_back_until_it_ends(bench: Bench) -> None:
    bench.store.call(incidents.mute, bench.store, "s", 10, "os:ana")
    for _ in range(9):
        bench.tick(UP_1)
    assert "PeopleCalled" not in kinds(bench)
    bench.store.call(incidents.mute, bench.store, "s", 0, "os:ana")
    bench.tick(UP_1)
    assert kinds(bench).count("PeopleCalled") == 1


def test_taking_over_acknowledges_and_can_change_hands(bench: Bench) -> None:
    bench.tick(UP_1)
    assert bench.store.call(incidents.take_over, bench.store, 1, "slack:U1")
    assert not bench.store.call(incidents.take_over, bench.store, 1, "slack:U1")
    assert bench.store.call(incidents.take_over, bench.store, 1, "slack:U2")
    ticket = bench.get(1)
    assert (ticket.acknowledged_by, ticket.taken_by) == ("slack:U1", "slack:U2")
    for _ in range(7):
        bench.tick()
    assert not bench.store.call(incidents.take_over, bench.store, 1, "slack:U1")
    assert not bench.store.call(incidents.acknowledge, bench.store, 1, "slack:U1")


def test_blindness_is_said_once_and_its_end_once(bench: Bench) -> None:
    for _ in range(5):
        bench.tick(blind="refused")
    for _ in range(3):
        bench.tick()
    bench.tick(blind="refused")
    assert kinds(bench) == ["SubjectBlind", "SubjectSeen", "SubjectBlind"]
    assert bench.live is None


def test_blindness_during_a_ticket_belongs_to_it_and_never_resolves_it(bench: Bench) -> None:
    bench.tick(UP_1)
    for _ in range(20):
        bench.tick(unclear=dict.fromkeys(SEVERITY, "refused"), blind="refused")
    assert bench.live is not None
    blind = bench.store.call(tickets.blindness_of, "s")
    assert blind is not None
    assert blind.ticket == 1


def test_500_violations_at_once_are_one_ticket(store: Store, clock: ManualClock) -> None:
    many = [Fingerprint("s", "up", str(n)) for n in range(500)]
    report = Report(
        "s", clock.now(), clock.monotonic(),
        tuple(Finding(one, Severity.WARNING, 1, 0, "x", "Down.", clock.now()) for one in many),
        frozenset(), {}, 0, None,
    )  # fmt: skip
    asyncio.run(Incidents(store, RULES).take_in(report))
    assert store.call(tickets.count) == 1
    assert len(store.call(tickets.get, 1).violations) == 500


def test_quiet_subjects_cost_no_transaction(bench: Bench) -> None:
    bench.tick()
    heads = []
    bench.store.unit = lambda *_: heads.append(1)  # type: ignore[method-assign,assignment]  # would fail if entered
    bench.tick()
    assert heads == []


class TicketLife(RuleBasedStateMachine):
    """Whatever happens in whatever order, what DESIGN promises of tickets holds."""

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory()
        self.clock = ManualClock()
        self.store = Store(default_path(Path(self.folder.name)), self.clock)
        self.store.open(migrate=True)
        self.bench = Bench(self.store, self.clock)
        self.seen_well_since: dict[Fingerprint, float | None] = dict.fromkeys(SEVERITY, None)

    @rule(
        broken=st.sets(st.sampled_from(list(SEVERITY))),
        unclear=st.sets(st.sampled_from(list(SEVERITY)), max_size=1),
        after_s=st.sampled_from([0.5, 1.0, 3.0, 40.0]),
        repeat=st.integers(1, 4),
    )
    def tick(self, broken: set[Fingerprint], unclear: set[Fingerprint], after_s: float, repeat: int) -> None:
        for _ in range(repeat):
            live = self.bench.live
            self.bench.tick(*(broken - unclear), unclear=dict.fromkeys(unclear, "no answer"), after_s=after_s)
            now = self.clock.monotonic()
            for one in SEVERITY:
                well = one not in broken | unclear
                self.seen_well_since[one] = (self.seen_well_since[one] or now) if well else None
            if live is not None and not self.bench.get(live.id).live:
                for violation in live.violations:
                    if violation.cleared_at is None:
                        since = self.seen_well_since[violation.fingerprint]
                        assert since is not None
                        assert now - since >= RULES.hold_s
            if broken - unclear:
                assert self.bench.live is not None

    @rule(seconds=st.sampled_from([-7200.0, -10.0, 10.0, 7200.0]))
    def step_the_wall_clock(self, seconds: float) -> None:
        self.clock.step_wall(seconds)

    @rule()
    def restart(self) -> None:
        self.bench.restart()

    @rule(actor=st.sampled_from(["slack:U1", "os:ana"]), what=st.sampled_from(["ack", "take", "mute"]))
    def people(self, actor: str, what: str) -> None:
        for ticket in self.store.call(tickets.listing):
            if what == "ack":
                self.store.call(incidents.acknowledge, self.store, ticket.id, actor)
            elif what == "take":
                self.store.call(incidents.take_over, self.store, ticket.id, actor)
            else:
                self.store.call(incidents.mute, self.store, ticket.id, 5.0, actor)
            assert self.bench.get(ticket.id).state is ticket.state, "people close nothing"

    @invariant()
    def the_log_tells_the_state(self) -> None:
        if not hasattr(self, "store"):
            return
        told: dict[int, TicketState] = {}
        for entry in self.store.call(audit.entries):
            if entry.ticket is None:
                continue
            match entry.event:
                case events.TicketOpened():
                    assert entry.ticket not in told
                    told[entry.ticket] = TicketState.OPEN
                case events.TicketReopened():
                    assert told[entry.ticket] is TicketState.RESOLVED
                    told[entry.ticket] = TicketState.OPEN
                case events.TicketVerifying():
                    assert told[entry.ticket] is TicketState.OPEN
                    told[entry.ticket] = TicketState.VERIFYING
                case events.TicketUnverified():
                    assert told[entry.ticket] is TicketState.VERIFYING
                    told[entry.ticket] = TicketState.OPEN
                case events.TicketResolved():
                    assert told[entry.ticket] is TicketState.VERIFYING
                    told[entry.ticket] = TicketState.RESOLVED
        assert told == {ticket.id: ticket.state for ticket in self.store.call(tickets.listing)}
        assert len([state for state in told.values() if state is not TicketState.RESOLVED]) <= 1

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.call(audit.verify).ok
            self.store.close()
            self.folder.cleanup()


TestTicketLife = TicketLife.TestCase
TestTicketLife.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
