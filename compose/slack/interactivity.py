"""What people do with the app: slash commands and clicks, and the response_url that each of them brings."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from compose.slack.blocks import interactive_elements
from compose.slack.content import read_content
from compose.slack.errors import ApiError, LocalSlackError, NotDeliveredError
from compose.slack.ids import Ids
from compose.slack.manifest import Manifest
from compose.slack.messaging import Messaging
from compose.slack.records import Channel, Json, JsonObject, Message, ResponseUrl, User
from compose.slack.shapes import message_shape
from compose.slack.socket_mode import SocketHub
from compose.slack.state import Workspace
from compose.slack.timings import Timings
from compose.slack.wire import Call

RESPONSE_URL_USES: Final = 5

Outcome = Literal["acked", "timeout", "no_app", "connection_lost"]


class NotPossibleError(LocalSlackError):
    """A person asked for what the workspace does not offer: an unknown button, command or place."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How the app took a click or a command, and what it answered in its acknowledgement."""

    outcome: Outcome
    payload: JsonObject | None = None


class Interactivity:
    """Builds the payloads, delivers each once, and shows the person what came of it."""

    def __init__(
        self,
        workspace: Workspace,
        messaging: Messaging,
        hub: SocketHub,
        manifest: Manifest,
        timings: Timings,
        ids: Ids,
        now: Callable[[], float],
        base_url: Callable[[], str],
    ) -> None:
        self._workspace = workspace
        self._messaging = messaging
        self._hub = hub
        self._manifest = manifest
        self._timings = timings
        self._ids = ids
        self._now = now
        self._base_url = base_url
        self._triggers: dict[str, float] = {}

    # Slash commands

    async def command(self, user: User, channel: Channel, text: str, *, thread_ts: str | None = None) -> Taken:
        """Run a slash command as a person; failures are shown to that person, as Slack does."""
        name, _, rest = text.strip().partition(" ")
        if self._manifest.command(name) is None:
            line = f"`{name}` is not a valid command. In Slack, all messages that start with “/” are commands."
            self._messaging.tell_user(user.id, channel, line, thread_ts)
            raise NotPossibleError(f"{name} is not a command that the app declared")
        if thread_ts is not None:
            line = f"`{name}` is not supported in threads. Sorry!"
            self._messaging.tell_user(user.id, channel, line, thread_ts)
            raise NotPossibleError(line)
        identity = self._workspace.identity
        payload: JsonObject = {
            "token": identity.verification_token,
            "team_id": identity.team_id,
            "team_domain": identity.team_domain,
            "channel_id": channel.id,
            "channel_name": "directmessage" if channel.is_im else channel.name,
            "user_id": user.id,
            "user_name": user.name,
            "command": name,
            "text": rest.strip(),
            "api_app_id": identity.app_id,
            "is_enterprise_install": "false",
            "response_url": self._response_url(channel, user),
            "trigger_id": self._trigger(),
        }
        try:
            answer = await self._hub.deliver("slash_commands", payload, accepts_payload=True)
        except NotDeliveredError as error:
            self._messaging.tell_user(user.id, channel, _failure(name, error.reason))
            return Taken(_outcome(error.reason))
        if answer:
            try:
                self._respond(channel, user, answer, message=None)
            except ApiError as error:
                line = f"{name} failed with the error “{error.code}”."
                self._messaging.tell_user(user.id, channel, line)
        return Taken("acked", answer)

    # Clicks

    async def click(
        self, user: User, message: Message, action_id: str, *, block_id: str | None = None, value: str | None = None
    ) -> Taken:
        """Press a button or choose an option (`value`) of a message as a person."""
        if not self._manifest.interactive:
            raise NotPossibleError("the app's manifest has interactivity off")
        found = [
            (block, element)
            for block, element, _ in interactive_elements(message.blocks)
            if element.get("action_id") == action_id and block_id in {None, block.get("block_id")}
        ]
        if not found:
            raise NotPossibleError(f"message {message.ts} has no element with action_id {action_id}")
        block, element = found[0]
        action = _action(element, value) | {"block_id": block["block_id"], "action_ts": self._workspace.next_ts()}
        channel = self._workspace.channels[message.channel]
        try:
            await self._hub.deliver("interactive", self._block_actions(user, channel, message, action))
        except NotDeliveredError as error:
            return Taken(_outcome(error.reason))
        return Taken("acked")

    def _block_actions(self, user: User, channel: Channel, message: Message, action: JsonObject) -> JsonObject:
        identity = self._workspace.identity
        ephemeral = message.ephemeral_for is not None
        container: JsonObject = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": ephemeral,
        }
        if message.thread_ts is not None:
            container["thread_ts"] = message.thread_ts
        payload: JsonObject = {
            "type": "block_actions",
            "user": {
                "id": user.id,
                "username": user.name,
                "name": user.name,
                "team_id": identity.team_id,
            },
            "api_app_id": identity.app_id,
            "token": identity.verification_token,
            "container": container,
            "trigger_id": self._trigger(),
            "team": {"id": identity.team_id, "domain": identity.team_domain},
            "enterprise": None,
            "is_enterprise_install": False,
            "channel": {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name},
            "state": {"values": {}},
            "response_url": self._response_url(channel, user, message),
            "actions": [action],
        }
        if not ephemeral:
            payload["message"] = message_shape(self._workspace, message)
        return payload

    # What the app answers

    def respond(self, key: str, body: JsonObject) -> None:
        """Handle a post to a response_url; raises ApiError with `expired_url`, `used_url` or a content error."""
        url = self._workspace.response_urls.get(key)
        if url is None or url.expires <= self._now():
            raise ApiError("expired_url")
        if url.uses >= RESPONSE_URL_USES:
            raise ApiError("used_url")
        channel = self._workspace.channels[url.channel]
        user = self._workspace.users[url.user]
        message = None if url.message_ts is None else self.find(channel, url.message_ts, user)
        self._respond(channel, user, body, message=message)
        self._workspace.put_response_url(replace(url, uses=url.uses + 1))

    def find(self, channel: Channel, ts: str, user: User) -> Message | None:
        """Return a message that the user can see, ephemeral ones included."""
        stored = self._workspace.message(channel.id, ts)
        if stored is not None:
            return stored
        return next((one for one in self._workspace.ephemerals(channel.id, user.id) if one.ts == ts), None)

    def _respond(self, channel: Channel, user: User, body: JsonObject, *, message: Message | None) -> None:
        call = Call("response_url", None, body, "")
        if message is not None and call.flag("delete_original"):
            self._messaging.delete(message)
            return
        content = read_content(call, self._ids)
        if message is not None and call.flag("replace_original"):
            self._messaging.replace(message, content)
            return
        if content.is_empty:
            raise ApiError("no_text")
        in_channel = call.text("response_type") == "in_channel"
        self._messaging.post_as_app(
            channel,
            content,
            thread_ts=call.text("thread_ts"),
            ephemeral_for=None if in_channel else user.id,
        )

    def _response_url(self, channel: Channel, user: User, message: Message | None = None) -> str:
        key = self._ids.secret("", 40)
        self._workspace.put_response_url(
            ResponseUrl(
                key,
                channel.id,
                user.id,
                self._now() + self._timings.response_url,
                message_ts=None if message is None else message.ts,
            )
        )
        return f"{self._base_url()}actions/{self._workspace.identity.team_id}/{key}"

    def _trigger(self) -> str:
        trigger = f"{self._ids.rng.randrange(10**12)}.{self._ids.rng.randrange(10**9)}.{self._ids.secret('')}"
        now = self._now()
        self._triggers = {one: until for one, until in self._triggers.items() if until > now}
        self._triggers[trigger] = now + self._timings.trigger
        return trigger

    def use_trigger(self, trigger: str) -> None:
        """Use a trigger_id up, once and within its life; what opens a view asks here."""
        if self._triggers.pop(trigger, 0.0) <= self._now():
            raise ApiError("expired_trigger_id")


def _outcome(reason: str) -> Outcome:
    return "no_app" if reason == "no_app" else "connection_lost" if reason == "connection_lost" else "timeout"


def _failure(command: str, reason: str) -> str:
    detail = "no app is connected" if reason == "no_app" else "operation_timeout"
    return f"{command} failed because the app did not respond ({detail})."


def _action(element: JsonObject, value: str | None) -> JsonObject:
    kind = element.get("type")
    action: JsonObject = {"type": kind, "action_id": element["action_id"]}
    if kind == "button":
        kept = ("text", "value", "style", "url", "confirm", "accessibility_label")
        return action | {name: element[name] for name in kept if name in element}
    option = next((one for one in _options(element) if value in {None, one.get("value")}), None)
    if option is None:
        raise NotPossibleError(f"{element['action_id']} has no option {value}")
    return action | {"selected_option": option}


def _options(element: JsonObject) -> list[JsonObject]:
    groups: list[Json] = [element]
    nested = element.get("option_groups")
    if isinstance(nested, list):
        groups += nested
    options: list[JsonObject] = []
    for group in groups:
        listed = group.get("options") if isinstance(group, dict) else None
        if isinstance(listed, list):
            options += [one for one in listed if isinstance(one, dict)]
    return options
