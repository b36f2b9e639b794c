"""A local Slack in the test's own loop, with an unmodified slack_sdk client and Bolt apps beside it."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from compose.slack.app import Options, Server
from compose.slack.timings import Timings
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from compose.slack.records import Json, JsonObject

QUICK = Timings(ack=0.6, event_retries=(0.0, 0.05, 0.1), warning_linger=0.3, disconnect_linger=0.1)


@dataclass
class Wall:
    """Unix seconds that a test moves."""

    seconds: float = 1_795_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Local:
    """One running local Slack as a test sees it."""

    server: Server
    http: aiohttp.ClientSession
    client: AsyncWebClient
    apps: list[AsyncSocketModeHandler] = field(default_factory=list)

    @property
    def incidents(self) -> str:
        return self.channel("incidents")

    def channel(self, name: str) -> str:
        return next(one.id for one in self.server.slack.workspace.channels.values() if one.name == name)

    def user(self, name: str) -> str:
        return next(one.id for one in self.server.slack.workspace.users.values() if one.name == name)

    def group(self, handle: str) -> str:
        return next(one.id for one in self.server.slack.workspace.usergroups.values() if one.handle == handle)

    @property
    def bot(self) -> str:
        return self.server.slack.workspace.identity.bot_user

    async def connect(self, app: AsyncApp) -> AsyncSocketModeHandler:
        """Connect a Bolt app over Socket Mode; it is closed at the test's end."""
        connected = self.server.slack.hub.connections
        handler = AsyncSocketModeHandler(app, self.server.slack.workspace.identity.app_token, ping_interval=0.5)
        self.apps.append(handler)
        await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt's own
        await until(lambda: self.server.slack.hub.connections > connected, "the app's socket")
        return handler

    def bolt(self) -> AsyncApp:
        """Make a Bolt app that talks to this server, with nothing registered."""
        return AsyncApp(client=self.client)

    async def control(self, path: str, body: JsonObject | None = None, *, method: str = "POST") -> JsonObject:
        identity = self.server.slack.workspace.identity
        async with self.http.request(
            method,
            f"{self.server.url}control/{path}",
            json=body,
            headers={"Authorization": f"Bearer {identity.control_token}"},
        ) as answer:
            result: JsonObject = await answer.json()
            return result | {"status": answer.status}

    async def act(self, user: str, action: str, **fields: Json) -> JsonObject:
        """Do something as a person, headlessly."""
        body: JsonObject = {"user": user, "channel": "incidents", "action": action}
        return await self.control("act", body | fields)

    async def post(
        self, text: str = "hello", *, thread_ts: str | None = None, blocks: list[JsonObject] | None = None
    ) -> str:
        """Post as the app and return the ts."""
        answer = await self.client.chat_postMessage(
            channel=self.incidents, text=text, thread_ts=thread_ts, blocks=blocks
        )
        return str(answer["ts"])

    def texts(self, channel: str | None = None) -> list[str]:
        """Return all stored texts of a channel, oldest first."""
        return [one.text for one in self.server.slack.workspace.messages(channel or self.incidents)]

    def ephemerals(self, user: str) -> list[str]:
        """Return what only that person sees in #incidents."""
        found = self.server.slack.workspace.ephemerals(self.incidents, self.user(user))
        return [one.text for one in found]


@asynccontextmanager
async def local_slack(options: Options) -> AsyncIterator[Local]:
    """Run a local Slack; at the end no app, socket or task of it is left."""
    async with await Server.start(options) as server, aiohttp.ClientSession() as http:
        client = AsyncWebClient(
            token=server.slack.workspace.identity.bot_token, base_url=f"{server.url}api/", session=http
        )
        local = Local(server, http, client)
        try:
            yield local
        finally:
            for handler in local.apps:
                await handler.close_async()  # type: ignore[no-untyped-call]  # Bolt's own


def options(directory: Path, *, limits: bool = False, seed: int | None = 7) -> Options:
    """Return options for a quick, repeatable server."""
    rng = None if seed is None else random.Random(seed)
    return Options(directory, timings=QUICK, limits=limits, rng=rng)


async def refused(call: Awaitable[object]) -> str:
    """Return the error code with which Slack refuses a call."""
    try:
        await call
    except SlackApiError as error:
        return str(error.response["error"])
    raise AssertionError("the call was accepted")


def button(action_id: str = "approve", **fields: Json) -> JsonObject:
    """Return a button."""
    shape: JsonObject = {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": action_id}
    return shape | fields


def actions(*elements: JsonObject) -> list[JsonObject]:
    """Return blocks with one row of buttons."""
    return [{"type": "actions", "elements": [*elements]}]


class Inbox:
    """What an app's listeners got."""

    def __init__(self) -> None:
        self.items: list[JsonObject] = []

    async def take(self, event: JsonObject) -> None:
        """Keep it."""
        self.items.append(event)

    async def expect(self, matches: Callable[[JsonObject], bool], what: str) -> JsonObject:
        """Wait for the first one that matches."""
        await until(lambda: any(map(matches, self.items)), what)
        return next(one for one in self.items if matches(one))


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
