"""What comes from Slack: a Bolt app on Socket Mode, kept connected, that leaves no envelope without an answer.

Every envelope is acknowledged before anything else is done: Slack waits three seconds. Clicks and commands are then
taken in once, by their trigger's id, which is kept in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias

import aiohttp
import structlog
from pydantic import BaseModel, ValidationError
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.slack import answers
from bot.slack.buttons import Buttons, Click
from bot.slack.calls import Calls
from bot.slack.cards import Content
from bot.slack.commands import Command, Commands
from bot.slack.errors import AuthLost, SlackError, Unavailable
from bot.slack.pace import Tempo
from bot.store import messages
from bot.store.database import Store
from bot.store.errors import StoreError
from subjects.clock import Clock

log = structlog.get_logger("slack")

COMMAND: Final = "/operator"
CONNECT_S: Final = 15.0
"""So long may connecting take before it is begun anew, with a new address: an old one opens nothing."""
PING_S: Final = 5.0
STALE_PINGS: Final = 4
"""The SDK counts a socket as dead after so many pings without an answer."""
LET_GO_S: Final = 3.0

Body: TypeAlias = Mapping[str, Any]
"""An envelope's payload; read through the models below and nowhere else."""


class _Id(BaseModel):
    id: str = ""
    team_id: str = ""


class _Where(BaseModel):
    channel_id: str = ""
    message_ts: str = ""


class _Action(BaseModel):
    action_id: str = ""
    value: str = ""
    action_ts: str = ""


class _Clicked(BaseModel):
    user: _Id
    container: _Where = _Where()
    channel: _Id | None = None
    actions: list[_Action]
    trigger_id: str = ""
    response_url: str = ""

    @property
    def click(self) -> Click:
        action = self.actions[0]
        channel = self.container.channel_id or (self.channel.id if self.channel else "")
        where = self.container.message_ts
        return Click(self.user.id, self.user.team_id, channel, where, action.action_id, action.value)


class _Given(BaseModel):
    user_id: str
    team_id: str = ""
    channel_id: str = ""
    text: str = ""
    trigger_id: str = ""
    response_url: str = ""


class Listeners:
    """Listens until cancelled, through every outage. ``connected`` says whether Slack can reach us now."""

    def __init__(
        self,
        client: AsyncWebClient,
        calls: Calls,
        store: Store,
        clock: Clock,
        tempo: Tempo,
        commands: Commands,
        buttons: Buttons,
        *,
        app_token: str,
    ) -> None:
        self._client = client
        self._calls = calls
        self._store = store
        self._clock = clock
        self._tempo = tempo
        self._commands = commands
        self._buttons = buttons
        self._app_token = app_token
        self._under_way: set[asyncio.Task[None]] = set()
        self._handler: AsyncSocketModeHandler | None = None
        self.identity = AuthorizeResult(enterprise_id=None, team_id=None)
        self.trouble: str | None = None

    @property
    def connected(self) -> bool:
        """Whether a socket is open and answers."""
        if self._handler is None:
            return False
        client = self._handler.client
        return client.current_session is not None and not client.current_session.closed and not client.stale

    async def open_socket(self) -> str:
        """An address for one socket. Raises a ``SlackError``."""
        answer = await self._calls.call("apps.connections.open", token=self._app_token)
        url = answer.data.get("url")
        if not isinstance(url, str):
            raise Unavailable("Slack's answer to apps.connections.open is not one", ambiguous=False)
        return url

    async def run(self) -> None:
        """Keep one socket open; returns only when cancelled."""
        app = self._app()
        failures = 0
        try:
            while True:
                try:
                    await self._listen(app)
                    failures = 0
                except SlackError as error:
                    failures += 1
                    self._lost(str(error))
                    slow = isinstance(error, AuthLost)
                    backoff = min(self._tempo.retry_max_s, self._tempo.retry_s * 2 ** min(failures, 16))
                    await asyncio.sleep(self._tempo.slow_retry_s if slow else backoff)
        finally:
            await self._finish()

    async def _listen(self, app: AsyncApp) -> None:
        """One socket, from its opening to its loss."""
        url = await self.open_socket()
        handler = AsyncSocketModeHandler(app, self._app_token, logger=_quiet(), ping_interval=PING_S)
        handler.client.wss_uri = url
        self._handler = handler
        try:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await handler.client.connect()  # type: ignore[no-untyped-call]  # the SDK's
            except TimeoutError as error:
                raise Unavailable("Slack's socket does not open", ambiguous=False) from error
            log.info("connected to Slack")
            self.trouble = None
            while self.connected or handler.client.connect_operation_lock.locked():  # noqa: ASYNC110  there is no event
                await asyncio.sleep(min(1.0, self._tempo.poll_s))
            self._lost("the socket was closed")
        finally:
            self._handler = None
            await _close(handler)

    def _lost(self, why: str) -> None:
        if self.trouble is None:
            log.warning("not connected to Slack", why=why)
        self.trouble = why

    async def _finish(self) -> None:
        """Let those who are being answered have their answer, but not for long."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=LET_GO_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    # The Bolt app

    def _app(self) -> AsyncApp:
        async def authorize() -> AuthorizeResult:
            return self.identity  # asked once, at the start: Bolt would ask Slack, and fail, while it is down

        app = AsyncApp(
            name="bolt",  # Bolt silences the logger of that name
            client=self._client,
            authorize=authorize,
            logger=_quiet(),
            raise_error_for_unhandled_request=True,
        )
        app.command(COMMAND)(self._on_command)
        app.action(re.compile(""))(self._on_click)
        app.error(_on_error)
        return app

    async def _on_command(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        self._spawn(self._command(body))

    async def _on_click(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        self._spawn(self._click(body))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _command(self, body: Body) -> None:
        try:
            given = _Given.model_validate(body)
        except ValidationError as error:
            log.warning("a command can't be read", why=str(error))
            return
        command = Command(given.user_id, given.team_id, given.channel_id, given.text, given.trigger_id)

        async def work() -> Content:
            return await self._commands.answer(command)

        await self._once(given.trigger_id, work, given.response_url, given.channel_id, given.user_id)

    async def _click(self, body: Body) -> None:
        try:
            clicked = _Clicked.model_validate(body)
            click = clicked.click
        except (ValidationError, IndexError) as error:
            log.warning("a click can't be read", why=str(error))
            return

        async def work() -> Content:
            return answers.said(await self._buttons.press(click))

        trigger = clicked.trigger_id or f"{click.user}:{clicked.actions[0].action_ts}"
        await self._once(trigger, work, clicked.response_url, click.channel, click.user)

    async def _once(
        self, trigger: str, work: Callable[[], Coroutine[Any, Any, Content]], url: str, channel: str, user: str
    ) -> None:
        """Do it the first time that it is seen, and answer."""
        try:
            if trigger and not await self._store.run(messages.first_sight, f"trigger:{trigger}", self._clock.now()):
                log.info("Slack sent something twice", trigger=trigger)
                return
            content = await work()
        except SlackError as error:
            content = answers.said(
                "I could not ask Slack who you are, so nothing was done. Try again, or use the command line."
            )
            log.warning("a request from Slack could not be checked", user=user, why=str(error))
        except StoreError as error:
            content = answers.said("I can't write to my database now, so nothing was done. My log says why.")
            log.error("a request from Slack could not be done", user=user, why=str(error))  # noqa: TRY400  words suffice
        except Exception:
            content = answers.said("That went wrong on my side, and my log says how. See first whether it was done.")
            log.exception("a request from Slack failed", user=user)
        await self._tell(content, url, channel, user)

    async def _tell(self, content: Content, url: str, channel: str, user: str) -> None:
        """Answer the one who asked, alone: by the address that came with it, else by a message."""
        if url and await self._respond(content, url):
            return
        arguments = {"channel": channel, "user": user, "text": content.text, "blocks": content.wire()}
        try:
            await self._calls.call("chat.postEphemeral", arguments)
        except SlackError as error:
            log.warning("an answer could not be given", user=user, why=str(error))

    async def _respond(self, content: Content, url: str) -> bool:
        client = AsyncWebhookClient(url, timeout=int(self._tempo.timeout_s) or 1, proxy=self._client.proxy)
        body = {
            "response_type": "ephemeral",
            "replace_original": False,
            "text": content.text,
            "blocks": content.wire(),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        try:
            async with asyncio.timeout(self._tempo.timeout_s):
                response = await client.send_dict(body)
        except (aiohttp.ClientError, SlackClientError, OSError, TimeoutError) as error:
            log.info("an answer is given another way", why=type(error).__name__)
            return False
        return response.status_code == 200


async def _on_error(error: Exception) -> BoltResponse:
    # What nobody listens for is acknowledged all the same: Slack would send it again and again.
    if not isinstance(error, BoltUnhandledRequestError):
        log.error("an envelope from Slack failed", why=f"{type(error).__name__}: {error}")
    return BoltResponse(status=200, body="")


async def _close(handler: AsyncSocketModeHandler) -> None:
    client = handler.client
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(LET_GO_S):
            await handler.client.close()  # type: ignore[no-untyped-call]  # the SDK's
    parts = (client.message_processor, client.current_session_monitor, client.message_receiver)
    tasks = [task for task in parts if task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aiohttp_client_session.close()


def _quiet() -> logging.Logger:
    """The SDK reports every failed try with a traceback; we say once what is the matter."""
    logger = logging.getLogger("operator.slack.sdk")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
