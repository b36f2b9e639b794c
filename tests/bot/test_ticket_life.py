from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot import events, incidents
from bot.store import audit, tickets
from bot.store.database import Store, default_path
from bot.store.records import TicketState
from subjects.protocols import Fingerprint
from tests.bot.bench import RULES, SEVERITY, Bench
from tests.clock import ManualClock


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
