"""The Events API: what of the workspace's changes the app hears, and how often it is tried."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import structlog

from compose.slack.background import Background
from compose.slack.errors import NotDeliveredError
from compose.slack.ids import Ids
from compose.slack.manifest import Manifest
from compose.slack.mrkdwn import mentioned_users
from compose.slack.records import Change, Changed, Channel, Deleted, Delivery, JsonObject, Message, Posted
from compose.slack.shapes import message_shape
from compose.slack.socket_mode import SocketHub
from compose.slack.state import Workspace
from compose.slack.timings import Timings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver an event, kept for tests: `outcome` is `ok` or why it failed."""

    event_id: str
    event_type: str
    attempt: int
    outcome: str


class Events:
    """Turns changes into events and delivers each as a task of its own: their order is not promised."""

    def __init__(
        self,
        workspace: Workspace,
        hub: SocketHub,
        manifest: Manifest,
        timings: Timings,
        ids: Ids,
        background: Background,
        now: Callable[[], float],
    ) -> None:
        self._workspace = workspace
        self._hub = hub
        self._manifest = manifest
        self._timings = timings
        self._ids = ids
        self._background = background
        self._now = now
        self.attempts: list[Attempt] = []

    def start(self) -> None:
        """Listen to the workspace, and go on with what was not acknowledged before a restart."""
        self._workspace.observe(self.changed)
        for delivery in list(self._workspace.deliveries.values()):
            self._background.spawn(self._deliver(delivery), f"event {delivery.event_id}")

    def changed(self, change: Change) -> None:
        """Send the events of one change, as far as the app subscribed and is in the channel."""
        match change:
            case Posted(message) | Changed(message, _) | Deleted(message, _):
                channel = self._workspace.channels[message.channel]
            case _:
                return
        if message.ephemeral_for is not None or self._workspace.identity.bot_user not in channel.members:
            return
        for event in self._events_of(change, message, channel):
            self._send(event)

    def _events_of(self, change: Change, message: Message, channel: Channel) -> Iterator[JsonObject]:
        kind = "im" if channel.is_im else "channel"
        place: JsonObject = {"channel": channel.id, "channel_type": kind}
        subscribed = ("message.im" if channel.is_im else "message.channels") in self._manifest.events
        shape = message_shape(self._workspace, message)
        bot = self._workspace.identity.bot_user
        match change:
            case Posted():
                if subscribed:
                    yield shape | place | {"event_ts": message.ts}
                mention = bot in mentioned_users(message.text) and message.user != bot
                if mention and not channel.is_im and "app_mention" in self._manifest.events:
                    yield shape | {"type": "app_mention", "channel": channel.id, "event_ts": message.ts}
            case Changed(_, previous, silent) if subscribed and not silent:
                at = message.edited.ts if message.edited else message.ts
                before = message_shape(self._workspace, previous)
                yield self._hidden("message_changed", at, place) | {"message": shape, "previous_message": before}
            case Deleted() if subscribed:
                at = self._workspace.next_ts()
                yield self._hidden("message_deleted", at, place) | {
                    "deleted_ts": message.ts,
                    "previous_message": shape,
                }
            case _:
                return

    def _hidden(self, subtype: str, at: str, place: JsonObject) -> JsonObject:
        hidden: JsonObject = {"type": "message", "subtype": subtype, "hidden": True, "ts": at, "event_ts": at}
        return hidden | place

    def _send(self, event: JsonObject) -> None:
        identity = self._workspace.identity
        event_id = self._ids.make("Ev")
        payload: JsonObject = {
            "token": identity.verification_token,
            "team_id": identity.team_id,
            "context_team_id": identity.team_id,
            "context_enterprise_id": None,
            "api_app_id": identity.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": event_id,
            "event_time": int(self._now()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": identity.team_id,
                    "user_id": identity.bot_user,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
            "event_context": self._ids.secret("4-", 40),
        }
        delivery = Delivery(event_id, payload)
        self._workspace.put_delivery(delivery)
        self._background.spawn(self._deliver(delivery), f"event {event_id}")

    async def _deliver(self, delivery: Delivery) -> None:
        while True:
            outcome = await self._attempt(delivery)
            if outcome == "ok":
                break
            if delivery.failed >= len(self._timings.event_retries):
                log.warning("event given up", event_id=delivery.event_id, reason=outcome)
                break
            wait = self._timings.event_retries[delivery.failed]
            delivery = replace(delivery, failed=delivery.failed + 1)
            self._workspace.put_delivery(delivery)
            await asyncio.sleep(wait)
        self._workspace.end_delivery(delivery.event_id)

    async def _attempt(self, delivery: Delivery) -> str:
        outcome = "ok"
        try:
            await self._hub.wait_for_app()
            await self._hub.deliver(
                "events_api",
                delivery.payload,
                extra={
                    "retry_attempt": delivery.failed,
                    "retry_reason": "timeout" if delivery.failed else "",
                },
            )
        except NotDeliveredError as error:
            outcome = error.reason
        event = delivery.payload["event"]
        kind = str(event["type"]) if isinstance(event, dict) else ""
        self.attempts = [*self.attempts[-999:], Attempt(delivery.event_id, kind, delivery.failed, outcome)]
        return outcome
