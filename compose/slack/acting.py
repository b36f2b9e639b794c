"""What a person can do, asked for by the page or by a test: the same code for both."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from compose.slack.context import LocalSlack
from compose.slack.errors import ApiError, LocalSlackError
from compose.slack.interactivity import Taken
from compose.slack.records import Channel, JsonObject, User


class RefusedError(LocalSlackError):
    """What was asked for can't be done; the text says why."""


class _Act(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Annotated[str, Field(min_length=1, description="an id or a name")]
    channel: Annotated[str, Field(min_length=1, description="an id or a name")]


class SendMessage(_Act):
    """Type a message and press Enter; text that begins with / is a command, as in Slack."""

    action: Literal["message"]
    text: Annotated[str, Field(min_length=1, max_length=12_000)]
    thread_ts: str | None = None


class RunCommand(_Act):
    """Run a slash command: `text` with or without the command's name in front."""

    action: Literal["command"]
    text: Annotated[str, Field(max_length=12_000)] = ""
    command: str = "/operator"
    thread_ts: str | None = None


class Click(_Act):
    """Press a button, or choose the option `value` of a menu."""

    action: Literal["click"]
    ts: str
    action_id: str
    block_id: str | None = None
    value: str | None = None


Act = SendMessage | RunCommand | Click
_ACT: TypeAdapter[Act] = TypeAdapter(Annotated[Act, Field(discriminator="action")])


@dataclass(frozen=True, slots=True)
class ActResult:
    """What came of it: `acked` for clicks and commands, `ts` for a message."""

    ok: bool
    acked: bool | None = None
    outcome: str | None = None
    payload: JsonObject | None = None
    ts: str | None = None

    def shape(self) -> JsonObject:
        """Return it as JSON, without what does not apply."""
        fields: JsonObject = {
            "acked": self.acked,
            "outcome": self.outcome,
            "payload": self.payload,
            "ts": self.ts,
        }
        return {"ok": self.ok} | {name: value for name, value in fields.items() if value is not None}


def parse_act(body: bytes) -> Act:
    """Read a request's body; raises pydantic's ValidationError."""
    return _ACT.validate_json(body)


async def perform(slack: LocalSlack, act: Act) -> ActResult:
    """Do it as that person. Raises RefusedError or NotPossibleError."""
    user = user_named(slack, act.user)
    channel = channel_named(slack, act.channel, user)
    match act:
        case SendMessage():
            if act.text.startswith("/"):
                return _taken(await slack.interactivity.command(user, channel, act.text, thread_ts=act.thread_ts))
            try:
                message = slack.messaging.post_as_user(user.id, channel, act.text, act.thread_ts)
            except ApiError as error:
                raise RefusedError(error.code) from error
            return ActResult(ok=True, ts=message.ts)
        case RunCommand():
            text = act.text if act.text.startswith("/") else f"{act.command} {act.text}"
            return _taken(await slack.interactivity.command(user, channel, text, thread_ts=act.thread_ts))
        case Click():
            found = slack.interactivity.find(channel, act.ts, user)
            if found is None:
                raise RefusedError(f"message_not_found: {act.ts}")
            return _taken(
                await slack.interactivity.click(user, found, act.action_id, block_id=act.block_id, value=act.value)
            )


def user_named(slack: LocalSlack, name: str) -> User:
    """Find a person by id or name; nobody can act as the app."""
    for user in slack.workspace.users.values():
        if name in {user.id, user.name} and not user.is_bot:
            return user
    raise RefusedError(f"user_not_found: {name}")


def channel_named(slack: LocalSlack, name: str, user: User) -> Channel:
    """Find a channel by id or name among those that the person sees."""
    for channel in slack.workspace.channels.values():
        if name.removeprefix("#") in {channel.id, channel.name} and (not channel.is_im or user.id in channel.members):
            return channel
    raise RefusedError(f"channel_not_found: {name}")


def _taken(taken: Taken) -> ActResult:
    return ActResult(ok=True, acked=taken.outcome == "acked", outcome=taken.outcome, payload=taken.payload)
