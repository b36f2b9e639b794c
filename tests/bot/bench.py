"""A store, a clock, and reports tick by tick."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot import events
from bot.incidents import Incidents, Rules
from bot.store import audit, tickets
from bot.store.database import Store
from bot.store.records import Ticket
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
        gap: bool = False,
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
            gap=gap,
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
