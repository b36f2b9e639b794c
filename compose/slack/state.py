"""The workspace: who and what exists, rebuilt from the journal at start.

Every change is journaled before it is applied, and told to the observers after. All of it runs in one event loop
without awaiting, so a call sees the workspace whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from compose.slack.journal import (
    ChannelPut,
    Compacted,
    DeliveryDone,
    DeliveryPut,
    Entry,
    Journal,
    MessageGone,
    MessagePut,
    PortBound,
    ReadUpTo,
    ResponseUrlPut,
    WorkspaceMade,
)
from compose.slack.records import (
    Change,
    Changed,
    Channel,
    ChannelChanged,
    Deleted,
    Delivery,
    Identity,
    Message,
    Posted,
    Read,
    ResponseUrl,
    User,
    UserGroup,
)

Observer = Callable[[Change], None]

COMPACT_ABOVE: Final = 5_000  # lines beyond what is needed, before a start puts the journal together anew
TOMBSTONE_TEXT: Final = "This message was deleted."


@dataclass(slots=True)
class _Room:
    """One channel's messages by ts, oldest first, and the replies of each thread."""

    messages: dict[str, Message] = field(default_factory=dict)
    threads: dict[str, list[str]] = field(default_factory=dict)


class Workspace:
    """All state of the local Slack."""

    def __init__(self, journal: Journal, entries: Sequence[Entry], now: Callable[[], float]) -> None:
        """Rebuild the state from `entries`; `now` gives unix seconds."""
        self._journal = journal
        self._now = now
        self._observers: list[Observer] = []
        self._last_micros = 0
        self._rooms: dict[str, _Room] = {}
        self._ephemeral: list[Message] = []
        self._read: dict[tuple[str, str], str] = {}
        self._identity: Identity | None = None
        self.users: dict[str, User] = {}
        self.usergroups: dict[str, UserGroup] = {}
        self.channels: dict[str, Channel] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.port: int | None = None
        for entry in entries:
            self._apply(entry)
        live = self._snapshot()
        if len(entries) > COMPACT_ABOVE + 2 * len(live):
            journal.rewrite(live)

    @property
    def identity(self) -> Identity:
        """The ids and tokens; present once the workspace was made."""
        if self._identity is None:
            raise LookupError("the workspace was not made yet")
        return self._identity

    @property
    def is_new(self) -> bool:
        """Whether the journal was empty."""
        return self._identity is None

    def observe(self, observer: Observer) -> None:
        """Call `observer` after every change from now on."""
        self._observers.append(observer)

    def next_ts(self) -> str:
        """Return a ts later than every one before, over all channels and restarts."""
        self._last_micros = max(int(self._now() * 1_000_000), self._last_micros + 1)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    # What is there

    def message(self, channel: str, ts: str) -> Message | None:
        """Return one message, tombstones included, ephemeral ones not."""
        return self._rooms[channel].messages.get(ts)

    def messages(self, channel: str) -> list[Message]:
        """Return all messages of a channel, oldest first."""
        return list(self._rooms[channel].messages.values())

    def replies(self, channel: str, ts: str) -> list[Message]:
        """Return the replies under a parent, oldest first."""
        room = self._rooms[channel]
        return [room.messages[reply] for reply in room.threads.get(ts, ())]

    def ephemerals(self, channel: str, user: str) -> list[Message]:
        """Return what only `user` sees in a channel."""
        return [one for one in self._ephemeral if one.channel == channel and one.ephemeral_for == user]

    def read_up_to(self, user: str, channel: str) -> str:
        """Return the ts up to which a user has read a channel."""
        return self._read.get((user, channel), "0")

    def direct_channel(self, one: str, other: str) -> Channel | None:
        """Return the direct message between two users, if it exists."""
        return next((c for c in self.channels.values() if c.is_im and set(c.members) == {one, other}), None)

    # What changes it

    def make(self, entry: WorkspaceMade) -> None:
        """Fill an empty workspace."""
        self._record(entry)

    def bind_port(self, port: int) -> None:
        """Remember the port for the next start."""
        if port != self.port:
            self._record(PortBound(port=port))

    def post(self, message: Message) -> None:
        """Add a message; an ephemeral one is kept in memory only, as Slack's don't survive a reload either."""
        if message.ephemeral_for is None:
            self._record(MessagePut(message=message))
        else:
            self._ephemeral = [*self._ephemeral[-999:], message]
        self._tell(Posted(message))

    def change(self, message: Message, *, silent: bool = False) -> None:
        """Replace a message by its newer form."""
        if message.ephemeral_for is not None:
            previous = next(one for one in self._ephemeral if one.ts == message.ts)
            self._ephemeral = [message if one.ts == message.ts else one for one in self._ephemeral]
        else:
            previous = self._rooms[message.channel].messages[message.ts]
            self._record(MessagePut(message=message))
        self._tell(Changed(message, previous, silent=silent))

    def delete(self, message: Message) -> None:
        """Remove a message; a parent with replies leaves a tombstone."""
        tombstone: Message | None = None
        if message.ephemeral_for is not None:
            self._ephemeral = [one for one in self._ephemeral if one.ts != message.ts]
        elif self._rooms[message.channel].threads.get(message.ts):
            tombstone = Message(
                message.channel,
                message.ts,
                "USLACKBOT",
                TOMBSTONE_TEXT,
                thread_ts=message.ts,
                subtype="tombstone",
            )
            self._record(MessagePut(message=tombstone))
        else:
            self._record(MessageGone(channel=message.channel, ts=message.ts))
        self._tell(Deleted(message, tombstone))

    def put_channel(self, channel: Channel) -> None:
        """Add a channel or replace it."""
        self._record(ChannelPut(channel=channel))
        self._tell(ChannelChanged(channel))

    def mark_read(self, user: str, channel: str, ts: str) -> None:
        """Move a user's read mark forward."""
        if ts > self.read_up_to(user, channel):
            self._record(ReadUpTo(user=user, channel=channel, ts=ts))
            self._tell(Read(user, channel, ts))

    def put_response_url(self, url: ResponseUrl) -> None:
        """Add a response_url or count a use."""
        self._record(ResponseUrlPut(url=url))

    def put_delivery(self, delivery: Delivery) -> None:
        """Add an event that has to reach the app, or count a failed attempt."""
        self._record(DeliveryPut(delivery=delivery))

    def end_delivery(self, event_id: str) -> None:
        """The event reached the app or was given up."""
        if event_id in self.deliveries:
            self._record(DeliveryDone(event_id=event_id))

    # How it is kept

    def _snapshot(self) -> list[Entry]:
        """Return the shortest journal that leads to the present state."""
        if self._identity is None:
            return []
        entries: list[Entry] = [
            WorkspaceMade(
                identity=self._identity,
                users=tuple(self.users.values()),
                usergroups=tuple(self.usergroups.values()),
                channels=tuple(self.channels.values()),
            ),
            Compacted(last_micros=self._last_micros),
        ]
        if self.port is not None:
            entries.append(PortBound(port=self.port))
        for room in self._rooms.values():
            entries += [MessagePut(message=message) for message in room.messages.values()]
        entries += [ReadUpTo(user=user, channel=channel, ts=ts) for (user, channel), ts in self._read.items()]
        entries += [ResponseUrlPut(url=url) for url in self.response_urls.values() if url.expires > self._now()]
        entries += [DeliveryPut(delivery=delivery) for delivery in self.deliveries.values()]
        return entries

    def _tell(self, change: Change) -> None:
        for observer in self._observers:
            observer(change)

    def _record(self, entry: Entry) -> None:
        self._journal.append(entry)
        self._apply(entry)

    def _apply(self, entry: Entry) -> None:  # noqa: C901 - one flat case per kind of line
        match entry:
            case WorkspaceMade():
                self._identity = entry.identity
                self.users = {one.id: one for one in entry.users}
                self.usergroups = {one.id: one for one in entry.usergroups}
                for channel in entry.channels:
                    self._put_channel(channel)
            case PortBound(port=port):
                self.port = port
            case Compacted(last_micros=last_micros):
                self._last_micros = last_micros
            case MessagePut(message=message):
                self._put_message(message)
            case MessageGone(channel=channel_id, ts=ts):
                self._drop_message(channel_id, ts)
            case ChannelPut(channel=channel):
                self._put_channel(channel)
            case ReadUpTo():
                self._read[entry.user, entry.channel] = entry.ts
            case ResponseUrlPut(url=url):
                self.response_urls[url.key] = url
            case DeliveryPut(delivery=delivery):
                self.deliveries[delivery.event_id] = delivery
            case DeliveryDone(event_id=event_id):
                self.deliveries.pop(event_id, None)

    def _put_channel(self, channel: Channel) -> None:
        self.channels[channel.id] = channel
        self._rooms.setdefault(channel.id, _Room())

    def _put_message(self, message: Message) -> None:
        room = self._rooms[message.channel]
        if message.ts not in room.messages:
            seconds, _, micros = message.ts.partition(".")
            self._last_micros = max(self._last_micros, int(seconds) * 1_000_000 + int(micros))
            if message.is_reply and message.thread_ts is not None:
                room.threads.setdefault(message.thread_ts, []).append(message.ts)
        room.messages[message.ts] = message

    def _drop_message(self, channel: str, ts: str) -> None:
        room = self._rooms[channel]
        message = room.messages.pop(ts)
        if message.is_reply and message.thread_ts is not None:
            replies = room.threads[message.thread_ts]
            replies.remove(ts)
            parent = room.messages.get(message.thread_ts)
            if not replies and parent is not None and parent.subtype == "tombstone":
                room.messages.pop(parent.ts)
