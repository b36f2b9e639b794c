"""The records of a workspace. Times are unix seconds; a `ts` is Slack's message id, seconds with six decimals."""

from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue

Json: TypeAlias = JsonValue
JsonObject: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids and tokens of the workspace and its one installed app, made once per directory."""

    team_id: str
    app_id: str
    bot_id: str
    bot_user: str
    bot_token: str
    app_token: str
    control_token: str
    verification_token: str
    created: int
    team_name: str = "Night Shift"
    team_domain: str = "local-slack"


@dataclass(frozen=True, slots=True)
class User:
    """A person, a guest (`is_restricted`) or the app's bot user."""

    id: str
    name: str
    real_name: str
    color: str
    title: str = ""
    is_bot: bool = False
    is_restricted: bool = False
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A group that can be mentioned as `<!subteam^ID>`."""

    id: str
    handle: str
    name: str
    description: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """A public channel, or a direct message between two users."""

    id: str
    name: str
    created: int
    creator: str
    members: tuple[str, ...]
    topic: str = ""
    is_general: bool = False
    is_im: bool = False
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """Who edited a message last, and when."""

    user: str
    ts: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """One emoji under a message and who put it there, in order."""

    name: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A message, or (`ephemeral_for`) one that a single user sees until the server stops.

    `notifies` is whom it called when it was posted; an edit calls nobody.
    """

    channel: str
    ts: str
    user: str
    text: str
    blocks: tuple[JsonObject, ...] = ()
    attachments: tuple[JsonObject, ...] = ()
    thread_ts: str | None = None
    from_app: bool = False
    metadata: JsonObject | None = None
    edited: Edit | None = None
    reactions: tuple[Reaction, ...] = ()
    subtype: str | None = None
    client_msg_id: str | None = None
    reply_broadcast: bool = False
    ephemeral_for: str | None = None
    notifies: tuple[str, ...] = ()

    @property
    def is_reply(self) -> bool:
        """Whether it stands in a thread and is not its parent."""
        return self.thread_ts is not None and self.thread_ts != self.ts


@dataclass(frozen=True, slots=True)
class ResponseUrl:
    """One response_url: where it leads, until when, and how often it was used."""

    key: str
    channel: str
    user: str
    expires: float
    message_ts: str | None = None
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to the app: the event_callback and how many attempts have failed."""

    event_id: str
    payload: JsonObject
    failed: int = 0


# A change is what an observer of the workspace is told: one of these.
@dataclass(frozen=True, slots=True)
class Posted:
    """A message appeared."""

    message: Message


@dataclass(frozen=True, slots=True)
class Changed:
    """A message was edited, or (`silent`) got a reaction, which is not an edit."""

    message: Message
    previous: Message
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message went away; `tombstone` says that its thread stays."""

    message: Message
    tombstone: Message | None


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    """A channel appeared or its members changed."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Read:
    """A user has read a channel up to `ts`."""

    user: str
    channel: str
    ts: str


Change: TypeAlias = Posted | Changed | Deleted | ChannelChanged | Read
