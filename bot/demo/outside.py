"""Looking at the demo from outside: what Slack answers, what fresh processes of the command line print."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from bot.demo.errors import Unreachable
from bot.demo.stage import Stage, environ

ModelT = TypeVar("ModelT", bound=BaseModel)

CALL_S: Final = 20.0
"""A fault is injected, and cured, within this."""
CLI_S: Final = 30.0
OPERATOR_MESSAGE: Final = "operator_message"
CARD: Final = "card"


class FaultInfo(BaseModel):
    """A fault as the world's list of them has it."""

    name: str
    breaks: list[str]
    cure: str


class _Payload(BaseModel):
    owner: str = ""
    slot: str = ""


class _Metadata(BaseModel):
    event_type: str = ""
    event_payload: _Payload = _Payload()


class SlackMessage(BaseModel):
    """A message as Slack gives it back."""

    ts: str
    thread_ts: str | None = None
    text: str = ""
    metadata: _Metadata = _Metadata()

    @property
    def root(self) -> bool:
        """Whether it stands in the channel itself."""
        return self.thread_ts is None or self.thread_ts == self.ts


class _Page(BaseModel):
    ok: bool
    error: str | None = None
    messages: list[SlackMessage] = []
    has_more: bool = False


class Violation(BaseModel):
    """As ``operator tickets show --json`` has it."""

    violation: str


class Ticket(BaseModel):
    """As ``operator tickets show --json`` has it."""

    ticket: int
    state: str
    opened_at: datetime
    reopened_at: datetime | None
    resolved_at: datetime | None
    violations: list[Violation]

    @property
    def violated(self) -> list[str]:
        """The violations' short names, each once."""
        return sorted({each.violation for each in self.violations})


class _Tickets(BaseModel):
    tickets: list[Ticket]


class Audit(BaseModel):
    """As ``operator audit verify --json`` has it."""

    ok: bool
    entries: int


@dataclass(frozen=True, slots=True)
class Outside:
    """The demo seen from outside."""

    stage: Stage
    http: httpx.AsyncClient

    async def faults(self) -> dict[str, FaultInfo]:
        """What the world can do to itself, by name."""
        answer = await self._get(f"{self.stage.world.control_url}/faults", "the world")
        return {each.name: each for each in (_checked(FaultInfo, one, "the world") for one in answer.json())}

    async def world(self, verb: str, fault: str) -> None:
        """``faults`` injects a fault, ``cures`` mends it; returns once that has taken."""
        token = await asyncio.to_thread(self.stage.world.world_token_file.read_text)
        url = f"{self.stage.world.control_url}/{verb}/{fault}"
        try:
            answer = await self.http.post(url, headers={"Authorization": f"Bearer {token.strip()}"}, timeout=CALL_S)
        except httpx.HTTPError as error:
            raise Unreachable(f"the world does not answer: {type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise Unreachable(f"the world refused {verb}/{fault}: {answer.text}")

    async def is_ready(self) -> bool:
        """Whether operator says that it is."""
        try:
            answer = await self.http.get(f"{self.stage.operator.web}/readyz")
        except httpx.HTTPError as error:
            raise Unreachable(f"operator does not answer: {type(error).__name__}: {error}") from error
        return answer.is_success

    async def has_caught_up(self) -> bool:
        """Whether everything in operator's log is shown in Slack."""
        answer = await self._get(f"{self.stage.operator.web}/metrics", "operator")
        return "\noperator_slack_behind 0.0\n" in answer.text

    async def roots(self, ticket: int | None = None) -> list[SlackMessage]:
        """The roots of operator's threads in the channel, of one ticket if asked, oldest first."""
        owner = f"ticket:{ticket}" if ticket is not None else None
        found = await self._messages("conversations.history")
        return [
            each
            for each in reversed(found)
            if each.root and each.metadata.event_payload.slot == CARD
            if owner is None or each.metadata.event_payload.owner == owner
        ]

    async def replies(self, root: SlackMessage) -> list[SlackMessage]:
        """What stands in a thread, without its root."""
        found = await self._messages("conversations.replies", ts=root.ts)
        return [each for each in found if not each.root]

    async def tickets(self) -> list[Ticket]:
        """All of them, newest first, by a process of its own."""
        _, text = await self.cli("tickets", "list", "--limit", "1000", "--json")
        return _checked(_Tickets, text, "`operator tickets list --json`").tickets

    async def ticket(self, number: int) -> Ticket:
        """One of them, by a process of its own."""
        _, text = await self.cli("tickets", "show", str(number), "--json")
        return _checked(Ticket, text, "`operator tickets show --json`")

    async def audit(self) -> Audit:
        """Whether the audit log is whole, by a process of its own."""
        _, text = await self.cli("audit", "verify", "--json")
        return _checked(Audit, text, "`operator audit verify --json`")

    async def all_holds(self) -> bool:
        """Whether every invariant holds at every key, by a process of its own that looks itself."""
        code, _ = await self.cli("check", "--json")
        return code == 0

    async def cli(self, *arguments: str) -> tuple[int, str]:
        """Run ``operator`` with the demo's settings; returns its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli", *arguments),
            *("--config", str(self.stage.folder / "operator.toml")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.stage.folder,
            env=environ(self.stage.slack),
        )
        try:
            async with asyncio.timeout(CLI_S):
                printed, complaint = await process.communicate()
        except TimeoutError:
            raise Unreachable(f"operator {' '.join(arguments)} took longer than {CLI_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode not in (0, 1) or not printed:
            raise Unreachable(f"operator {' '.join(arguments)} failed: {complaint.decode(errors='replace').strip()}")
        return process.returncode, printed.decode()

    async def _messages(self, method: str, **arguments: str) -> list[SlackMessage]:
        slack = self.stage.slack
        query = {"channel": self.stage.channel, "include_all_metadata": "true", "limit": "200", **arguments}
        headers = {"Authorization": f"Bearer {slack.bot_token}"}
        answer = await self._get(f"{slack.api_url}{method}", "the local Slack", query, headers)
        page = _checked(_Page, answer.text, "the local Slack")
        if not page.ok:
            raise Unreachable(f"the local Slack refused {method}: {page.error}")
        return page.messages

    async def _get(
        self, url: str, whose: str, query: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        try:
            answer = await self.http.get(url, params=query, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{whose} does not answer: {type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise Unreachable(f"{whose} answered with status {answer.status_code}: {answer.text[:200]}")
        return answer


def _checked(model: type[ModelT], document: str | object, whose: str) -> ModelT:
    try:
        if isinstance(document, str):
            return model.model_validate_json(document)
        return model.model_validate(document)
    except ValidationError as error:
        raise Unreachable(f"{whose} answered with something else than the demo understands: {error}") from error
