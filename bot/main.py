"""The one place where everything is put together."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import httpx
import structlog

from bot import heartbeat
from bot.ending import Ending
from bot.events import SubjectSeen
from bot.incidents import Incidents, Rules
from bot.metrics import Metrics
from bot.recording import Recorder
from bot.settings import Settings
from bot.slack.errors import SlackConfigError
from bot.slack.view import SlackView, SubjectCard
from bot.store import audit, control, messages, tickets
from bot.store.control import RunLease
from bot.store.database import Store, default_path
from bot.store.errors import StoreError
from bot.store.records import Watch
from bot.subject_setup import build_all
from bot.trouble import Trouble, words
from bot.version import version
from bot.vitals import Vitals
from bot.web import application, serving
from scheduler.loop import Loop
from subjects.clock import Clock, SystemClock
from subjects.protocols import AnySubject

log = structlog.get_logger("main")

BEAT_S: Final = 5.0
FIRST_BEATS_S: Final = 0.5
"""Until every subject was looked at once, so that `operator status` soon has something to show."""
TAIL_S: Final = 0.25
"""What another process writes (an acknowledgement on the command line) is noticed within this."""
FORGET_S: Final = 3600.0
ENVELOPES_KEPT: Final = timedelta(days=1)
"""Slack sends an event again for some minutes at most."""
VIEW_AGAIN_S: Final = 5.0
STARTING_S: Final = 60.0
"""A wrong Slack configuration ends the process only so soon after its start; later the watch matters more."""
NO_SLACK: Final = (
    "Slack is not configured: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN to have incidents there; "
    "operator goes on without it"
)


@dataclass(frozen=True, slots=True)
class Ready:
    """All is up: who runs, and where health and metrics are."""

    pid: int
    web: str


async def run(settings: Settings, *, ready: Callable[[Ready], None] | None = None) -> None:
    """Watch, until SIGTERM or SIGINT.

    Raises ``ConfigError``, ``StoreError`` or ``SlackConfigError`` where it can't begin.
    """
    clock = SystemClock()
    ending = Ending()
    ending.watch()
    subjects = await asyncio.to_thread(build_all, settings, clock)
    store = Store(default_path(settings.state_dir), clock)
    try:
        await asyncio.to_thread(partial(store.open, migrate=True))
        async with _lease(store, ending):
            await store.run(_end_stale_blindness, store, frozenset(subjects))
            await _watch(settings, clock, store, subjects, ending, ready)
    finally:
        await asyncio.to_thread(store.close)
        ending.unwatch()


@contextlib.asynccontextmanager
async def _lease(store: Store, ending: Ending) -> AsyncIterator[None]:
    lease = RunLease(store)
    await asyncio.to_thread(lambda: lease.take(version()))
    try:
        yield
    except BaseException as error:
        ending.reason = ending.reason or f"it could not go on: {words(_root(error))}"
        raise
    finally:
        try:
            await asyncio.to_thread(lease.release, ending.reason)
        except StoreError as error:
            log.warning("the end could not be noted", error=words(error))


async def _watch(
    settings: Settings,
    clock: Clock,
    store: Store,
    subjects: Mapping[str, AnySubject],
    ending: Ending,
    ready: Callable[[Ready], None] | None,
) -> None:
    database = Trouble("the database can't be used; detection goes on", "the database can be used again", clock)
    fault = Trouble("what was found could not be recorded", "what is found is recorded again", clock)
    rules = Rules(settings.incidents.hold_s, settings.incidents.flap_window_s, settings.incidents.call_again_s)
    recorder = Recorder(Incidents(store, rules).take_in, database, fault)
    loop = Loop(recorder.take, clock)
    for name, subject in subjects.items():
        loop.watch(subject, settings.subjects[name].interval_s)
    slack = _Slack(settings, store, clock, subjects) if settings.slack.configured else None
    vitals = Vitals(loop, database, fault, lambda: slack.view.health() if slack else None)
    app = application(vitals, Metrics(vitals, store, version()))
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(settings.web, app))
        stack.push_async_callback(loop.aclose)
        async with _tasks() as start:
            start(recorder.run())
            start(_beat(store, loop, recorder, database))
            start(_forget(store, clock, database))
            if slack is None:
                log.warning(
                    "Slack is not configured: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN; operator goes on without it"
                )
            else:
                start(slack.run())
                start(_tail(store, slack.wake, database))
            if settings.heartbeat_url is not None:
                start(_heartbeat(settings.heartbeat_url, settings.heartbeat_s, vitals, clock))
            loop.start()
            log.info("watching", subjects=", ".join(sorted(subjects)), web=address)
            if ready is not None:
                await asyncio.to_thread(ready, Ready(os.getpid(), address))
            await ending.asked()
            log.info("ending", reason=ending.reason)


@contextlib.asynccontextmanager
async def _tasks() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """A task group whose tasks run until the block ends; the first of them that fails ends it, as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            started: list[asyncio.Task[None]] = []

            def start(work: Coroutine[Any, Any, None]) -> None:
                started.append(group.create_task(work))

            yield start
            for task in started:
                task.cancel()
    except BaseExceptionGroup as failures:
        raise _root(failures) from failures


def _root(error: BaseException) -> Exception:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


def _end_stale_blindness(store: Store, configured: frozenset[str]) -> None:
    """A subject that is no longer watched is not blind; what is live on it stays live, as nothing can clear it."""
    for blindness in tickets.blindness():
        if blindness.subject not in configured:
            with store.unit() as unit:
                tickets.set_seen(blindness.subject)
                blind_s = max(0.0, round((unit.at - blindness.since).total_seconds(), 3))
                unit.append(SubjectSeen(blindness.subject, blind_s, blindness.seq), ticket=blindness.ticket)
    for ticket in tickets.listing(live_only=True):
        if ticket.subject not in configured:
            log.warning(
                "a ticket stays live, as its subject is no longer configured", ticket=ticket.id, subject=ticket.subject
            )


async def _beat(store: Store, loop: Loop, recorder: Recorder, database: Trouble) -> None:
    """Note every few seconds that the process lives and how the checks go: proof that the database can be written."""
    while True:
        try:
            await store.run(_write_beat, store, watches(loop))
        except Exception as error:  # noqa: BLE001  whatever the database does, detection goes on; it is logged
            database.met(error)
        else:
            if recorder.stored:  # a beat reuses its pages: it still fits where a ticket no longer does
                database.over()
        first_looks = any(pulse.ticked_at is None for pulse in loop.pulses.values())
        await asyncio.sleep(FIRST_BEATS_S if first_looks else BEAT_S)


def _write_beat(store: Store, rows: list[Watch]) -> None:
    with store.unit() as unit:
        control.beat(unit, rows)


def watches(loop: Loop) -> list[Watch]:
    """How the checks go, one record per subject."""
    return [_watch_of(subject, loop) for subject in loop.subjects]


def _watch_of(subject: AnySubject, loop: Loop) -> Watch:
    pulse = loop.pulses[subject.name]
    return Watch(
        subject=subject.name,
        title=subject.title,
        interval_s=pulse.interval_s,
        invariants=len(subject.invariants),
        keys=sum(len(invariant.expected) for invariant in subject.invariants),
        broken=pulse.broken,
        unknown=pulse.unknown,
        ticked_at=pulse.ticked_at,
        tick_s=pulse.tick_s,
        ticks=pulse.ticks,
        missed=pulse.missed,
        overlong=pulse.overlong,
    )


async def _forget(store: Store, clock: Clock, database: Trouble) -> None:
    """Drop Slack's envelopes that can't come again."""
    while True:
        try:
            await store.run(_write_forget, store, clock)
        except Exception as error:  # noqa: BLE001  as above
            database.met(error)
        await asyncio.sleep(FORGET_S)


def _write_forget(store: Store, clock: Clock) -> None:
    with store.unit():
        messages.forget_envelopes(clock.now() - ENVELOPES_KEPT)


async def _tail(store: Store, wake: Callable[[int], None], database: Trouble) -> None:
    """Tell ``wake`` of every new head of the log: our own at once, another process's within ``TAIL_S``."""
    running = asyncio.get_running_loop()

    def committed(seq: int) -> None:
        running.call_soon_threadsafe(wake, seq)

    store.on_commit(committed)
    seen = 0
    while True:
        try:
            head = await store.run(audit.head)
        except Exception as error:  # noqa: BLE001  as above
            database.met(error)
        else:
            if head is not None and head.seq > seen:
                seen = head.seq
                wake(seen)
        await asyncio.sleep(TAIL_S)


async def _heartbeat(url: str, every_s: float, vitals: Vitals, clock: Clock) -> None:
    trouble = Trouble("the heartbeat URL can't be called", "the heartbeat URL is called again", clock)
    async with httpx.AsyncClient() as client:
        await heartbeat.beat(url, every_s, vitals.problems, trouble, client)


class _Slack:
    """The Slack view, made anew where it ends on a fault: the watch goes on in any case."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, subjects: Mapping[str, AnySubject]) -> None:
        self._make = partial(
            SlackView, store, settings.slack, clock, {name: _card(subject) for name, subject in subjects.items()}
        )
        self._clock = clock
        self._began = clock.monotonic()
        self._fault = Trouble("the Slack view failed and is started again", "the Slack view works again", clock)
        self.view = self._make()

    async def run(self) -> None:
        while True:
            try:
                await self.view.run()
            except SlackConfigError as error:
                if self._clock.monotonic() - self._began < STARTING_S:
                    raise
                self._fault.met(error)
            except Exception as error:  # noqa: BLE001  detection must outlive whatever fails here; it is logged
                self._fault.met(error)
            await asyncio.sleep(VIEW_AGAIN_S)
            self.view = self._make()

    def wake(self, seq: int) -> None:
        self.view.wake(seq)


def _card(subject: AnySubject) -> SubjectCard:
    invariants = subject.invariants
    return SubjectCard(
        title=subject.title,
        runbook=subject.runbook,
        sentences={invariant.name: invariant.sentence for invariant in invariants},
        runbooks={invariant.name: invariant.runbook for invariant in invariants if invariant.runbook is not None},
    )
