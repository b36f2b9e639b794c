"""Health and metrics over real sockets, of a process whose parts are set as each test wants them."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.config_sources import ConfigError
from bot.incidents import Incidents
from bot.metrics import Metrics
from bot.settings import WebSettings
from bot.store.database import Store
from bot.trouble import Trouble
from bot.vitals import Vitals
from bot.web import application, serving
from scheduler.debounce import Report
from scheduler.loop import Loop
from tests.bot.bench import RULES, SLOW, UP_1, Bench
from tests.clock import ManualClock
from tests.program.scripted_subject import ScriptedSubject

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"


@dataclass
class SlackSaid:
    connected: bool = True
    why: str = ""
    last_ok_at: datetime | None = None
    behind: int = 0
    refused: int = 0


@dataclass
class Process:
    store: Store
    clock: ManualClock
    loop: Loop
    database: Trouble
    fault: Trouble
    slack: SlackSaid | None = None
    url: str = ""
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False))

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(self.url + path)

    async def samples(self) -> Mapping[tuple[str, tuple[str, ...]], float]:
        answer = await self.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }


@pytest.fixture
async def process(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Process]:
    async def sink(_report: Report) -> None:
        pass

    loop = Loop(sink, clock)
    for name in ("s", "t"):
        loop.watch(ScriptedSubject(name, tmp_path, ("a", "b")), 1.0)
    database, fault = Trouble("database", "over", clock), Trouble("fault", "over", clock)
    made = Process(store, clock, loop, database, fault)
    vitals = Vitals(loop, database, fault, lambda: made.slack)
    async with made.http, serving(WebSettings(port=0), application(vitals, Metrics(vitals, store, "1.2.3"))) as url:
        made.url = url
        yield made
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(url + "/healthz")


async def test_healthz_says_which_checks_are_overdue(process: Process) -> None:
    answer = await process.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    process.clock.advance(5.5)
    answer = await process.get("/healthz")
    assert (answer.status_code, answer.text) == (503, "overdue: s, t\n")
    process.loop.pulses["s"].ticked_monotonic = process.clock.monotonic()
    assert (await process.get("/healthz")).text == "overdue: t\n"


async def test_readyz_says_why_not(process: Process) -> None:
    answer = await process.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "problems": []})
    process.slack = SlackSaid()
    assert (await process.get("/readyz")).status_code == 200
    process.slack = SlackSaid(connected=False, why="the socket is closed")
    process.database.met("the disk is full")
    process.fault.met(ValueError("a bug"))
    process.clock.advance(6)
    answer = await process.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "problems": [
            "the subject s has not been looked at for too long",
            "the subject t has not been looked at for too long",
            "the disk is full",
            "what was found can't be recorded: a bug",
            "Slack is not connected: the socket is closed",
        ],
    }


async def test_metrics_tell_how_the_checks_and_the_tickets_are(process: Process) -> None:
    bench = Bench(process.store, process.clock)
    incidents = Incidents(process.store, RULES)
    await incidents.take_in(_broken(bench))
    pulse = process.loop.pulses["s"]
    pulse.ticks, pulse.missed, pulse.overlong, pulse.tick_s, pulse.unknown = 7, 2, 1, 0.25, 3
    process.slack = SlackSaid(connected=False, why="gone", behind=4, refused=5)
    found = await process.samples()
    expected = {
        ("operator_ticks_total", ("s",)): 7,
        ("operator_ticks_total", ("t",)): 0,
        ("operator_ticks_missed_total", ("s",)): 2,
        ("operator_ticks_overlong_total", ("s",)): 1,
        ("operator_tick_seconds", ("s",)): 0.25,
        ("operator_interval_seconds", ("s",)): 1,
        ("operator_keys_unknown", ("s",)): 3,
        ("operator_subject_late", ("s",)): 0,
        ("operator_blind", ("s",)): 0,
        ("operator_violations_live", ("s",)): 2,
        ("operator_violations_live", ("t",)): 0,
        ("operator_tickets_live", ("critical",)): 1,
        ("operator_tickets_live", ("warning",)): 0,
        ("operator_tickets", ()): 1,
        ("operator_slack_configured", ()): 1,
        ("operator_slack_connected", ()): 0,
        ("operator_slack_behind", ()): 4,
        ("operator_slack_refused_total", ()): 5,
        ("operator_ready", ()): 0,
        ("operator_store_writable", ()): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found["operator_audit_head", ()] == 4
    assert ["1.2.3" in labels for name, labels in found if name == "operator_build_info"] == [True]


def _broken(bench: Bench) -> Report:
    from scheduler.debounce import Finding  # noqa: PLC0415  used here alone
    from tests.bot.bench import SEVERITY  # noqa: PLC0415

    at = bench.clock.now()
    return Report(
        subject="s",
        at=at,
        monotonic=bench.clock.monotonic(),
        broken=tuple(Finding(one, SEVERITY[one], 7.0, 5.0, "x", "Seven.", at) for one in (UP_1, SLOW)),
        holding=frozenset(),
        unclear={},
        unknown=0,
        blind=None,
    )


async def test_a_database_that_hangs_does_not_hang_the_scrape(process: Process) -> None:
    assert (await process.samples())["operator_audit_head", ()] == 0
    free = threading.Event()
    process.store._thread.submit(free.wait)
    try:
        assert (await process.samples())["operator_audit_head", ()] == 0
    finally:
        free.set()


async def test_the_readme_names_every_metric_and_no_other(process: Process) -> None:
    process.slack = SlackSaid()
    answer = await process.get("/metrics")
    served = set(re.findall(r"(?m)^# TYPE (operator_\w+) ", answer.text))
    documented = set(re.findall(r"`(operator_\w+)", REFERENCE.read_text()))
    assert documented == served


async def test_only_reads_are_served(process: Process) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await process.http.post(process.url + path)).status_code == 405
    assert (await process.get("/")).status_code == 404


async def test_an_address_that_is_taken_is_a_matter_of_configuration(process: Process) -> None:
    port = int(process.url.rpartition(":")[2])
    vitals = Vitals(process.loop, process.database, process.fault, lambda: None)
    app = application(vitals, Metrics(vitals, process.store, "x"))
    with pytest.raises(ConfigError, match=rf"^web\.port: can't listen on 127\.0\.0\.1:{port} "):
        async with serving(WebSettings(port=port), app):
            pass
