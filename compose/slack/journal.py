"""The append-only journal of a workspace: JSON lines, one per change of state.

A line is handed to the kernel before the call that caused it is answered, so a SIGKILL loses nothing that was
answered. (A power failure may: nothing is synced to the disk; this is a stand-in.)
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from compose.slack.errors import JournalError
from compose.slack.records import Channel, Delivery, Identity, Message, ResponseUrl, User, UserGroup

log = structlog.get_logger(__name__)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkspaceMade(_Entry):
    """The first line: who and what exists from the start."""

    kind: Literal["workspace"] = "workspace"
    identity: Identity
    users: tuple[User, ...]
    usergroups: tuple[UserGroup, ...]
    channels: tuple[Channel, ...]


class PortBound(_Entry):
    """The port that the server listens on, so that the next start takes it again."""

    kind: Literal["port"] = "port"
    port: int


class Compacted(_Entry):
    """What stood before was put together into the lines that follow; the last ts stays behind the next."""

    kind: Literal["compacted"] = "compacted"
    last_micros: int


class MessagePut(_Entry):
    """A message as it is now."""

    kind: Literal["message"] = "message"
    message: Message


class MessageGone(_Entry):
    """A message was deleted without leaving a tombstone."""

    kind: Literal["gone"] = "gone"
    channel: str
    ts: str


class ChannelPut(_Entry):
    """A channel as it is now."""

    kind: Literal["channel"] = "channel"
    channel: Channel


class ReadUpTo(_Entry):
    """How far a user has read a channel."""

    kind: Literal["read"] = "read"
    user: str
    channel: str
    ts: str


class ResponseUrlPut(_Entry):
    """A response_url as it is now."""

    kind: Literal["response_url"] = "response_url"
    url: ResponseUrl


class DeliveryPut(_Entry):
    """An event that the app has not acknowledged yet."""

    kind: Literal["delivery"] = "delivery"
    delivery: Delivery


class DeliveryDone(_Entry):
    """An event that was acknowledged, or given up after the last attempt."""

    kind: Literal["delivered"] = "delivered"
    event_id: str


Entry: TypeAlias = (
    WorkspaceMade
    | PortBound
    | Compacted
    | MessagePut
    | MessageGone
    | ChannelPut
    | ReadUpTo
    | ResponseUrlPut
    | DeliveryPut
    | DeliveryDone
)
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


class Journal:
    """An open journal file."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = size

    @classmethod
    def open(cls, path: Path) -> tuple[Self, list[Entry]]:
        """Open or create the file; return it with what it holds.

        A last line without its newline is what a kill in the middle of a write leaves: nobody was told that it
        happened, so it is cut off. Any other line that can't be read raises JournalError.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            log.warning("journal ends in half a line, cut off", path=str(path), bytes=len(content) - whole)
            os.ftruncate(descriptor, whole)
        entries: list[Entry] = []
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                entries.append(_ENTRY.validate_json(line))
            except ValidationError as error:
                os.close(descriptor)
                raise JournalError(
                    f"{path}, line {number} can't be read ({error.error_count()} problems). "
                    "Move the directory away to start with an empty workspace."
                ) from error
        os.lseek(descriptor, whole, os.SEEK_SET)
        return cls(path, descriptor, whole), entries

    def append(self, entry: Entry) -> None:
        """Write one line, whole or not at all."""
        line = _ENTRY.dump_json(entry) + b"\n"
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise
        self._size += len(line)

    def rewrite(self, entries: Iterable[Entry]) -> None:
        """Put other lines in the place of all; a kill in the middle leaves the old ones."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        content = b"".join(_ENTRY.dump_json(entry) + b"\n" for entry in entries)
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        os.fsync(descriptor)
        fresh.replace(self._path)
        os.close(self._descriptor)
        self._descriptor, self._size = descriptor, len(content)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
