"""The real local Slack, a real store, the view between them, and reports of the checks tick by tick."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from bot.incidents import Incidents, Rules
from bot.settings import SlackSettings
from bot.slack.pace import Tempo
from bot.slack.view import SlackView, SubjectCard
from bot.store import audit, messages, tickets
from bot.store.database import Store
from bot.store.records import Entry, Message, Ticket
from compose.slack.app import Server
from compose.slack.faults import FaultSpec, RecordedCall
from compose.slack.records import Message as Shown
from scheduler.debounce import Blind, Finding, Report
from subjects.protocols import Fingerprint, Severity
from tests.waiting import until

RULES = Rules(hold_s=5, flap_window_s=60, call_again_s=30)
QUICK = Tempo(
    update_per_min=60_000,
    post_per_s=500,
    post_burst=100,
    timeout_s=5,
    edit_gap_s=0.05,
    retry_s=0.02,
    retry_max_s=0.1,
    slow_retry_s=0.1,
    recheck_s=(0.1, 0.2),
    poll_s=0.05,
)
SUBJECT = SubjectCard(
    "Rate limiter, 3 nodes",
    "https://runbooks.example.com/ratelimiter",
    {"node_down": "Every configured node answers when it is asked for its status."},
    {"node_down": "https://runbooks.example.com/node-down"},
)
SUBJECTS = {"ratelimiter": SUBJECT, "kv": SubjectCard("Key-value store")}


class StageClock:
    """Wall time that the test moves; monotonic time that runs, as pacing needs it."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 3, 1, 3, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return time.monotonic()


def down(key: str = "rl-2", *, subject: str = "ratelimiter", detail: str = "connection refused") -> Finding:
    since = datetime(2026, 3, 1, 3, 11, 58, tzinfo=UTC)
    return Finding(
        Fingerprint(subject, "node_down", key), Severity.CRITICAL, 1.0, 1.0, "unanswered read", detail, since
    )


@dataclass
class Stage:
    """Everything a scenario needs."""

    server: Server
    store: Store
    clock: StageClock
    settings: SlackSettings
    tempo: Tempo = QUICK
    seed: int | None = None
    subjects: dict[str, SubjectCard] = field(default_factory=lambda: dict(SUBJECTS))

    def __post_init__(self) -> None:
        self.incidents = Incidents(self.store, RULES)
        self.monotonic = 0.0
        self.view = self.new_view()

    # The view

    def new_view(self) -> SlackView:
        return SlackView(self.store, self.settings, self.clock, self.subjects, seed=self.seed, tempo=self.tempo)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[SlackView]:
        """A view of its own, as after a start of the process."""
        self.view = self.new_view()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.view.run())
            try:
                yield self.view
            finally:
                task.cancel()

    async def connected(self) -> None:
        await until(lambda: self.view.health().connected, "connected to Slack")

    async def settled(self, *, within_s: float = 15.0) -> None:
        """Slack shows all of the log."""

        async def done() -> bool:
            head = await self.store.run(audit.head)
            shown = await self.store.run(messages.cursor, "slack")
            # Notes about messages change nothing that is shown, and the cursor passes them all the same.
            return head is None or shown >= head.seq

        await until(done, "Slack shows all of the log", within_s=within_s)

    # What the checks report

    async def tick(
        self,
        *broken: Finding,
        subject: str = "ratelimiter",
        after_s: float = 1.0,
        blind: str | None = None,
        known: Sequence[Finding] = (),
    ) -> Ticket | None:
        """A report: these are broken, all else that is known holds."""
        self.clock.wall += timedelta(seconds=after_s)
        self.monotonic += after_s
        live = await self.store.run(tickets.live_on, subject)
        seen = {one.fingerprint for one in live.violations} if live else set()
        seen |= {one.fingerprint for one in known}
        report = Report(
            subject=subject,
            at=self.clock.now(),
            monotonic=self.monotonic,
            broken=broken,
            holding=frozenset() if blind else frozenset(seen - {one.fingerprint for one in broken}),
            unclear=dict.fromkeys(seen, blind) if blind else {},
            unknown=0,
            blind=Blind(self.clock.now(), blind, ()) if blind else None,
        )
        await self.incidents.take_in(report)
        self.view.wake(0)
        return await self.store.run(tickets.live_on, subject)

    async def resolve(self, subject: str = "ratelimiter") -> None:
        for after_s in (1.0, 3.0, 3.0):
            await self.tick(subject=subject, after_s=after_s)

    def ticket(self, number: int = 1) -> Ticket:
        return self.store.call(tickets.get, number)

    def entries(self, kind: str | None = None) -> list[Entry]:
        return self.store.call(audit.entries, kind=kind)

    def rows(self, owner: str = "ticket:1") -> list[Message]:
        return self.store.call(messages.of, owner)

    # What Slack has, and does

    @property
    def channel(self) -> str:
        return next(one.id for one in self.server.slack.workspace.channels.values() if one.name == "incidents")

    def user(self, name: str) -> str:
        return next(one.id for one in self.server.slack.workspace.users.values() if one.name == name)

    def group(self, handle: str) -> str:
        return next(one.id for one in self.server.slack.workspace.usergroups.values() if one.handle == handle)

    def roots(self) -> list[Shown]:
        """Messages in the channel itself."""
        return [one for one in self.server.slack.workspace.messages(self.channel) if not one.is_reply]

    def replies(self, root: Shown) -> list[Shown]:
        return list(self.server.slack.workspace.replies(self.channel, root.ts))

    def texts(self, root: Shown) -> list[str]:
        return [one.text for one in self.replies(root)]

    def whispers(self, name: str) -> list[str]:
        """What only that person sees, newest last."""
        return [one.text for one in self.server.slack.workspace.ephemerals(self.channel, self.user(name))]

    def fault(self, **spec: object) -> None:
        self.server.slack.faults.add(FaultSpec.model_validate(spec))

    def mend(self) -> None:
        self.server.slack.faults.clear()

    def calls(self, method: str | None = None) -> list[RecordedCall]:
        return self.server.slack.calls.since(0, method)

    async def act(self, **act: object) -> dict[str, object]:
        """Do something as a person, by the way that the page takes."""
        identity = self.server.slack.workspace.identity
        headers = {"Authorization": f"Bearer {identity.control_token}"}
        url = f"{self.server.url}control/act"
        async with aiohttp.ClientSession() as session, session.post(url, json=act, headers=headers) as response:
            answer: dict[str, object] = await response.json()
            assert response.status == 200, answer
            return answer

    async def click(self, name: str, ts: str, action: str) -> str:
        """Press a button, and return what the person is told."""
        before = len(self.whispers(name))
        answer = await self.act(user=name, channel="incidents", action="click", ts=ts, action_id=action)
        assert answer["acked"] is True
        await until(lambda: len(self.whispers(name)) > before, "an answer to the click")
        return self.whispers(name)[-1]

    async def command(self, name: str, text: str) -> str:
        """Run ``/operator``, and return what the person is told."""
        before = len(self.whispers(name))
        answer = await self.act(user=name, channel="incidents", action="command", text=text)
        assert answer["acked"] is True
        await until(lambda: len(self.whispers(name)) > before, "an answer to the command")
        return self.whispers(name)[-1]


def settings_of(server: Server, **more: object) -> SlackSettings:
    identity = server.slack.workspace.identity
    return SlackSettings.model_validate(
        {
            "bot_token": SecretStr(identity.bot_token),
            "app_token": SecretStr(identity.app_token),
            "api_url": f"{server.url}api/",
            **more,
        }
    )


def database(folder: Path, clock: StageClock) -> Store:
    store = Store(folder / "operator.db", clock)
    store.open(migrate=True)
    return store
