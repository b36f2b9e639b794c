"""Prometheus metrics of operator itself. Labels are subjects and severities, so their number is bounded."""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.store import audit, tickets
from bot.store.database import Store
from bot.store.errors import StoreError
from bot.vitals import Vitals
from subjects.protocols import Severity

PATIENCE_S: Final = 1.0
"""A scrape waits for the database this long, then shows what was read last."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the database says; read on the store's thread."""

    tickets: int = 0
    live: Mapping[Severity, int] = field(default_factory=dict)
    violations: Mapping[str, int] = field(default_factory=dict)
    blind: frozenset[str] = frozenset()
    head: int = 0


def count() -> Counts:
    """Count, on the store's thread."""
    live = tickets.listing(live_only=True)
    head = audit.head()
    return Counts(
        tickets=tickets.count(),
        live=Counter(ticket.severity for ticket in live),
        violations=Counter(
            violation.fingerprint.subject
            for ticket in live
            for violation in ticket.violations
            if violation.cleared_at is None
        ),
        blind=frozenset(blindness.subject for blindness in tickets.blindness()),
        head=head.seq if head else 0,
    )


class Metrics(Collector):
    """Collects on each scrape; ``refresh`` first."""

    def __init__(self, vitals: Vitals, store: Store, version: str) -> None:
        self._vitals = vitals
        self._store = store
        self._version = version
        self._counts = Counts()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    async def refresh(self) -> None:
        """Read the database, unless it does not answer in time: then the last counts stay."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._counts = await self._store.run(count)
        except (StoreError, TimeoutError):
            return  # operator_ready and operator_store_writable say it

    def describe(self) -> list[Metric]:
        """Nothing in advance: names come with their first values."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield _gauge(
            "operator_build_info",
            "Always 1; its labels tell the version.",
            _LABELS_BUILD,
            [
                ((self._version, platform.python_version()), 1),
            ],
        )
        yield _gauge("operator_ready", "1 while /readyz says so.", (), [((), not self._vitals.problems())])
        yield _gauge(
            "operator_store_writable",
            "1 while the database can be written.",
            (),
            [((), self._vitals.database.now is None)],
        )
        yield from self._subjects()
        yield from self._database()
        yield from self._slack()

    def _subjects(self) -> Iterator[Metric]:
        pulses = self._vitals.loop.pulses
        late = set(self._vitals.loop.late())
        for name, words, values in (
            ("operator_ticks", "Checks of the subject.", {name: pulse.ticks for name, pulse in pulses.items()}),
            ("operator_ticks_missed", "Checks that did not begin in time.", {n: p.missed for n, p in pulses.items()}),
            ("operator_ticks_overlong", "Checks longer than the interval.", {n: p.overlong for n, p in pulses.items()}),
        ):
            yield _counter(name, words, ("subject",), [((subject,), value) for subject, value in values.items()])
        for name, words, gauges in (
            ("operator_tick_seconds", "How long the last check took.", {n: p.tick_s or 0 for n, p in pulses.items()}),
            ("operator_interval_seconds", "How often it is checked.", {n: p.interval_s for n, p in pulses.items()}),
            ("operator_keys_broken", "Keys broken for their grace.", {n: p.broken for n, p in pulses.items()}),
            ("operator_keys_unknown", "Keys that could not be seen.", {n: p.unknown for n, p in pulses.items()}),
            ("operator_subject_late", "1 while its checks are overdue.", {n: int(n in late) for n in pulses}),
            ("operator_blind", "1 while it can't be seen.", {n: int(n in self._counts.blind) for n in pulses}),
            ("operator_violations_live", "Live violations.", {n: self._counts.violations.get(n, 0) for n in pulses}),
        ):
            yield _gauge(name, words, ("subject",), [((subject,), value) for subject, value in gauges.items()])

    def _database(self) -> Iterator[Metric]:
        counts = self._counts
        yield _gauge(
            "operator_tickets_live",
            "Tickets that are not resolved.",
            ("severity",),
            [((severity.value,), counts.live.get(severity, 0)) for severity in Severity],
        )
        yield _gauge("operator_tickets", "Tickets ever opened.", (), [((), counts.tickets)])
        yield _gauge("operator_audit_head", "Number of the newest entry in the audit log.", (), [((), counts.head)])

    def _slack(self) -> Iterator[Metric]:
        slack = self._vitals.slack()
        yield _gauge("operator_slack_configured", "1 where Slack is configured.", (), [((), slack is not None)])
        if slack is None:
            return
        yield _gauge("operator_slack_connected", "1 while the link to Slack is well.", (), [((), slack.connected)])
        yield _gauge("operator_slack_behind", "Entries not yet shown in Slack.", (), [((), slack.behind)])
        yield _counter("operator_slack_refused", "Messages that Slack refused for good.", (), [((), slack.refused)])


_LABELS_BUILD: Final = ("version", "python")
_Samples = list[tuple[tuple[str, ...], float]]


def _gauge(name: str, words: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, sample in samples:
        family.add_metric(values, float(sample))
    return family


def _counter(name: str, words: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    family = CounterMetricFamily(name, words, labels=labels)
    for values, sample in samples:
        family.add_metric(values, float(sample))
    return family
