"""The Slack view, put together: who we are there, where messages go, and the two halves that run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import structlog
from pydantic import BaseModel, ValidationError
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.settings import SlackSettings
from bot.slack.answers import SlackState
from bot.slack.buttons import Buttons
from bot.slack.calls import Calls
from bot.slack.cards import SubjectCard
from bot.slack.commands import Commands
from bot.slack.errors import AuthLost, ChannelUnusable, Refused, SlackConfigError, SlackError, Unavailable
from bot.slack.listeners import Listeners
from bot.slack.pace import Tempo
from bot.slack.people import People
from bot.slack.posting import Posting
from bot.slack.threads import Threads
from bot.slack.upkeep import Upkeep
from bot.store.database import Store
from subjects.clock import Clock

__all__ = ["SlackHealth", "SlackView", "SubjectCard"]

log = structlog.get_logger("slack")

SCOPES: Final = ("chat:write", "channels:history", "channels:read", "users:read", "commands")
_ID: Final = re.compile(r"[CG][A-Z0-9]{2,}")


@dataclass(frozen=True, slots=True)
class SlackHealth:
    """How it stands with Slack.

    ``connected``: a socket is open and calls are answered; ``why`` says what is the matter otherwise, or what waits
    for a person. ``behind``: entries of the log that are not shown yet. ``refused``: messages that Slack refused for
    good since the start.
    """

    connected: bool
    why: str
    last_ok_at: datetime | None
    behind: int
    refused: int


class _Me(BaseModel):
    url: str
    team_id: str
    user_id: str
    bot_id: str = ""
    team: str = ""


class _Channel(BaseModel):
    id: str
    name: str = ""
    is_member: bool = False
    is_archived: bool = False
    is_private: bool = False


class _ChannelInfo(BaseModel):
    channel: _Channel


class _Cursor(BaseModel):
    next_cursor: str = ""


class _Channels(BaseModel):
    channels: list[_Channel]
    response_metadata: _Cursor = _Cursor()


class SlackView:
    """Shows the store's incidents in Slack and takes in what people do there.

    ``titles`` has the words for each subject by its name. ``seed`` makes the messages' nonces repeatable. ``tempo``
    is for tests, which have no time.
    """

    def __init__(
        self,
        store: Store,
        settings: SlackSettings,
        clock: Clock,
        titles: Mapping[str, SubjectCard],
        *,
        seed: int | None = None,
        tempo: Tempo | None = None,
    ) -> None:
        if settings.bot_token is None or settings.app_token is None:
            raise SlackConfigError("Slack is not configured; set SLACK_BOT_TOKEN and SLACK_APP_TOKEN")
        self._settings = settings
        self._tempo = tempo or Tempo()
        self._client = AsyncWebClient(token=settings.bot_token.get_secret_value(), base_url=settings.api_url)
        if urlsplit(settings.api_url).hostname in {"127.0.0.1", "localhost", "::1"}:
            self._client.proxy = None  # the SDK takes one from the environment, without looking where it leads
        self._calls = Calls(self._client, clock, self._tempo)
        self._posting = Posting(store, self._calls, seed=seed)
        self._people = People(self._calls, clock)
        self._threads = Threads(
            store, self._calls, self._posting, self._people, clock, self._tempo, titles, settings.call
        )
        self._upkeep = Upkeep(store, clock, self._tempo, self._threads.reconcile)
        self._listeners = Listeners(
            self._client,
            self._calls,
            store,
            clock,
            self._tempo,
            Commands(store, self._posting, self._people, titles, self._state, self._upkeep.wake),
            Buttons(store, self._posting, self._people, self._upkeep.wake),
            app_token=settings.app_token.get_secret_value(),
        )
        self._calls.on_recovery = self._upkeep.retry_now
        self._starting = "it has not begun"

    async def run(self) -> None:
        """Until cancelled, through any outage.

        Raises ``SlackConfigError`` for what can never work as it is configured, and only at the start.
        """
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._tempo.timeout_s)) as session:
            self._client.session = session
            await self._start()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._upkeep.run(), name="slack threads")
                group.create_task(self._listeners.run(), name="slack listeners")

    def wake(self, seq: int) -> None:
        """There are new entries in the log, up to ``seq``. To be called from the event loop."""
        del seq  # the log itself is read
        self._upkeep.wake()

    def health(self) -> SlackHealth:
        """How it stands now."""
        connected = self._listeners.connected and self._calls.trouble is None and not self._starting
        waiting = next(iter(self._upkeep.stuck.values()), "")
        why = self._starting or self._calls.trouble or (self._listeners.trouble or "" if not connected else waiting)
        return SlackHealth(connected, why, self._calls.last_ok_at, self._upkeep.behind, self._posting.refused)

    def _state(self) -> SlackState:
        health = self.health()
        return SlackState(health.connected, health.why, health.behind, health.refused)

    async def _start(self) -> None:
        """Learn who we are and where messages go; as long as Slack is out of reach, try again."""
        failures = 0
        while True:
            try:
                await self._introduce()
                self._threads.channels = await self._resolve()
                await self._listeners.open_socket()
            except AuthLost as error:
                raise SlackConfigError(str(error)) from error
            except Unavailable as error:
                failures += 1
                self._starting = str(error)
                await asyncio.sleep(min(self._tempo.retry_max_s, self._tempo.retry_s * 2 ** min(failures, 16)))
            except SlackConfigError:
                raise
            except SlackError as error:
                raise SlackConfigError(f"Slack refuses the start: {error}") from error
            else:
                self._starting = ""
                return

    async def _introduce(self) -> None:
        answer = await self._calls.call("auth.test")
        try:
            me = _Me.model_validate(answer.data)
        except ValidationError as error:
            raise Unavailable("Slack's answer to auth.test is not one", ambiguous=False) from error
        scopes = next((value for name, value in answer.headers.items() if name.lower() == "x-oauth-scopes"), None)
        if scopes is not None:
            granted = {scope.strip() for scope in scopes.split(",")}
            if missing := [scope for scope in SCOPES if scope not in granted]:
                raise SlackConfigError(
                    f"the app lacks the scope{'s' if len(missing) > 1 else ''} {', '.join(missing)}; add them at "
                    "api.slack.com/apps under OAuth & Permissions, and install the app anew"
                )
        if not me.bot_id:
            raise SlackConfigError("SLACK_BOT_TOKEN is not a bot's token; take the Bot User OAuth Token (xoxb-…)")
        self._people.team_id = me.team_id
        self._posting.bot_user = me.user_id
        self._posting.workspace_url = me.url.rstrip("/") + "/"
        self._listeners.identity = AuthorizeResult(
            enterprise_id=None,
            team_id=me.team_id,
            bot_user_id=me.user_id,
            bot_id=me.bot_id,
            bot_token=self._client.token,
        )
        log.info("this is Slack", workspace=me.team or me.team_id)

    async def _resolve(self) -> dict[str, str]:
        """The channels' ids by subject; under "" the one for all others."""
        wanted = {"": self._settings.channel, **self._settings.channels}
        names = {name for name in wanted.values() if not _ID.fullmatch(name)}
        known = await self._named({name.removeprefix("#") for name in names})
        for reference in set(wanted.values()) - names:
            known[reference] = await self._by_id(reference)
        for name in names:
            if name.removeprefix("#") not in known:
                raise SlackConfigError(
                    f"there is no channel {name} that the app can see; make it, or, if it is private, invite the app "
                    "there (/invite @Operator), or set slack.channel to another one"
                )
        for channel in known.values():
            await self._enter(channel)
        return {subject: known[reference.removeprefix("#")].id for subject, reference in wanted.items()}

    async def _named(self, names: set[str]) -> dict[str, _Channel]:
        found: dict[str, _Channel] = {}
        if not names:
            return found
        for types in ("public_channel", "private_channel"):
            # The most that Slack gives at once: large workspaces have thousands, and the method's limit is low.
            arguments: dict[str, object] = {"limit": 999, "types": types}
            while names - found.keys():
                try:
                    answer = await self._calls.call("conversations.list", arguments)
                except AuthLost as error:
                    if error.code == "missing_scope" and types == "private_channel":
                        break  # an app for public channels only
                    raise
                page = _channels(answer.data)
                found |= {channel.name: channel for channel in page.channels if channel.name in names}
                if not page.response_metadata.next_cursor:
                    break
                arguments["cursor"] = page.response_metadata.next_cursor
        return found

    async def _by_id(self, reference: str) -> _Channel:
        try:
            answer = await self._calls.call("conversations.info", {"channel": reference})
            return _ChannelInfo.model_validate(answer.data).channel
        except ValidationError as error:
            raise Unavailable("Slack's answer to conversations.info is not one", ambiguous=False) from error

    async def _enter(self, channel: _Channel) -> None:
        """Join where that is possible; where it is not, posting says so, as a person may invite the app yet."""
        if channel.is_member or channel.is_private or channel.is_archived:
            return
        try:
            await self._calls.call("conversations.join", {"channel": channel.id})
        except (Refused, ChannelUnusable) as error:
            log.warning("the channel can't be joined; invite the app", channel=channel.name, why=str(error))
        except AuthLost as error:
            log.warning("the app may not join channels by itself; invite it", channel=channel.name, why=str(error))


def _channels(data: Mapping[str, object]) -> _Channels:
    try:
        return _Channels.model_validate(data)
    except ValidationError as error:
        raise Unavailable("Slack's answer to conversations.list is not one", ambiguous=False) from error
