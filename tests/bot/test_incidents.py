from __future__ import annotations

import asyncio

import pytest

from bot import events, incidents
from bot.incidents import Incidents
from bot.store import tickets
from bot.store.database import Store
from bot.store.records import TicketState
from scheduler.debounce import Finding, Report
from subjects.protocols import Fingerprint, Severity
from tests.bot.bench import RULES, SEVERITY, SLOW, UP_1, Bench
from tests.clock import ManualClock


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


def test_what_joins_at_the_last_moment_keeps_the_ticket(bench: Bench) -> None:
    bench.tick(UP_1)
    for _ in range(5):
        bench.tick()
    ticket = bench.tick(SLOW)
    assert ticket is not None
    assert (ticket.id, ticket.state) == (1, TicketState.OPEN)


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


def test_a_time_in_which_nobody_looked_does_not_count_as_held(bench: Bench) -> None:
    bench.tick(UP_1)
    bench.tick()
    assert bench.tick(after_s=60, gap=True) is not None
    for _ in range(4):
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


def test_what_was_cleared_before_a_reopening_keeps_its_own_end(bench: Bench) -> None:
    bench.tick(UP_1, SLOW)
    for _ in range(7):
        bench.tick()
    cleared = [violation.cleared_at for violation in bench.get(1).violations]
    bench.tick(SLOW)
    for _ in range(7):
        bench.tick()
    violations = bench.get(1).violations
    assert [violation.fingerprint for violation in violations] == [UP_1, SLOW, SLOW]
    assert [violation.cleared_at for violation in violations[:2]] == cleared


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


def test_two_violations_that_flap_in_turn_reopen_their_own_tickets(bench: Bench) -> None:
    for _ in range(3):
        for number, one in ((1, UP_1), (2, SLOW)):
            ticket = bench.tick(one)
            assert ticket is not None
            assert ticket.id == number
            for _ in range(7):
                bench.tick()
    assert bench.store.call(tickets.count) == 2


def test_a_ticket_resolved_while_the_wall_clock_was_ahead_hides_no_later_one(bench: Bench) -> None:
    for step_s, one in ((3600, UP_1), (-3600, SLOW), (0, SLOW)):
        bench.clock.step_wall(step_s)
        ticket = bench.tick(one)
        assert ticket is not None
        assert ticket.id == (1 if one is UP_1 else 2)
        for _ in range(7):
            bench.tick()


def test_what_gets_worse_after_an_acknowledgement_that_no_call_preceded_is_called(bench: Bench) -> None:
    bench.store.call(incidents.mute, bench.store, "s", 10.0, "os:ana")
    bench.tick(UP_1)
    bench.store.call(incidents.acknowledge, bench.store, 1, "os:ana")
    for _ in range(15):
        bench.tick(UP_1)
    assert "PeopleCalled" not in kinds(bench)
    for _ in range(60):
        bench.tick(UP_1, SLOW)
    assert bench.events(events.PeopleCalled) == [events.PeopleCalled(Severity.CRITICAL, 1)]


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


def test_after_a_restart_with_the_wall_clock_stepped_back_people_are_called_rather_than_not(bench: Bench) -> None:
    bench.tick(UP_1)
    bench.restart()
    bench.clock.step_wall(-7200)
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
