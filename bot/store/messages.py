"""What stands in Slack, which of Slack's envelopes were taken in, and how far a reader of the log has come."""

from __future__ import annotations

from datetime import datetime

import peewee

from bot.store.models import Cursor, SlackEnvelope, SlackMessage
from bot.store.records import Message, MessageState


def of(owner: str) -> list[Message]:
    """The owner's messages in the order in which they were meant, duplicates left out."""
    query = SlackMessage.select().where(SlackMessage.owner == owner, SlackMessage.state != MessageState.DUPLICATE.value)
    return [_record(row) for row in query.order_by(SlackMessage.id)]


def at(channel: str, ts: str) -> Message | None:
    """The message of ours that stands there, a duplicate too: for a click on it."""
    row = SlackMessage.get_or_none(SlackMessage.channel == channel, SlackMessage.ts == ts)
    return _record(row) if row else None


def unfinished() -> list[Message]:
    """Those whose fate is open: meant to be posted but not known to stand, or suspected of a second copy."""
    query = SlackMessage.select().where((SlackMessage.state == MessageState.INTENT.value) | (SlackMessage.suspect == 1))
    return [_record(row) for row in query.order_by(SlackMessage.id)]


def intend(owner: str, slot: str, nonce: str, channel: str, instant: datetime) -> Message:
    """Note that a message is about to be posted. The unique index refuses a second one for the slot."""
    row = SlackMessage.create(
        owner=owner,
        slot=slot,
        nonce=nonce,
        channel=channel,
        state=MessageState.INTENT.value,
        intent_at=instant,
    )
    return _record(row)


def posted(message: int, ts: str, digest: str) -> None:
    """It stands at ``ts`` with the content of that digest."""
    SlackMessage.update(ts=ts, digest=digest, state=MessageState.POSTED.value, error=None).where(
        SlackMessage.id == message
    ).execute()


def refused(message: int, digest: str, error: str) -> None:
    """Slack refused that content for good; one that stands already stays where it is."""
    SlackMessage.update(digest=digest, error=error).where(SlackMessage.id == message).execute()
    SlackMessage.update(state=MessageState.REFUSED.value).where(
        SlackMessage.id == message, SlackMessage.ts.is_null()
    ).execute()


def suspect(message: int, *, suspected: bool) -> None:
    """A second copy may turn up, or no longer."""
    SlackMessage.update(suspect=int(suspected)).where(SlackMessage.id == message).execute()


def duplicate(of_message: Message, ts: str, nonce: str, instant: datetime) -> None:
    """A second copy of a message was found at ``ts``; it is kept on record under a nonce of its own, and never used."""
    SlackMessage.create(
        owner=of_message.owner,
        slot=of_message.slot,
        nonce=nonce,
        channel=of_message.channel,
        state=MessageState.DUPLICATE.value,
        ts=ts,
        intent_at=instant,
    )


def first_sight(envelope: str, instant: datetime) -> bool:
    """Whether this envelope (by event or trigger id) was never taken in before; it now is."""
    try:
        SlackEnvelope.create(id=envelope, at=instant)
    except peewee.IntegrityError:
        return False
    return True


def forget_envelopes(before: datetime) -> int:
    """Drop those older than Slack would ever send again; returns how many."""
    dropped: int = SlackEnvelope.delete().where(SlackEnvelope.at < before).execute()
    return dropped


def cursor(name: str) -> int:
    """The seq of the last entry that the reader ``name`` has done with; 0 at first."""
    row = Cursor.get_or_none(Cursor.name == name)
    return row.seq if row else 0


def advance(name: str, seq: int) -> None:
    """The reader has done with everything up to ``seq``."""
    Cursor.insert(name=name, seq=seq).on_conflict(
        conflict_target=[Cursor.name], update={Cursor.seq: seq}, where=Cursor.seq < seq
    ).execute()


def _record(row: SlackMessage) -> Message:
    return Message(
        id=row.id,
        owner=row.owner,
        slot=row.slot,
        nonce=row.nonce,
        channel=row.channel,
        state=MessageState(row.state),
        ts=row.ts,
        digest=row.digest,
        error=row.error,
        intent_at=row.intent_at,
        suspect=bool(row.suspect),
    )
