"""One message, safely: intent before post, a search by metadata after an answer that says nothing, edits in place.

The intent, with a nonce that the message's metadata carries, is committed before Slack is called. After a timeout, a
broken connection or a crash nobody knows whether the message stands: it is searched for before it is posted again,
under the same nonce. The oldest copy is the message; any other is marked as a duplicate and never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

import structlog
from pydantic import BaseModel, ValidationError

from bot.events import DuplicateMarked, SlackRefused, ThreadOpened
from bot.slack import cards
from bot.slack.calls import Calls, Prepare
from bot.slack.cards import Content
from bot.slack.errors import ChannelUnusable, Gone, Refused, SlackError, ThreadGone, Unavailable
from bot.slack.pace import Priority
from bot.slack.standing import CARD
from bot.store import messages
from bot.store.database import Store
from bot.store.records import Message

log = structlog.get_logger("slack")

EVENT_TYPE: Final = "operator_message"
DUPLICATE_TYPE: Final = "operator_duplicate"
SEARCH_BEFORE: Final = timedelta(seconds=60)
"""A search begins this much before the intent: Slack's clock is not ours."""
MAX_PAGES: Final = 50
OVERTAKEN: Final = "overtaken"

Make: TypeAlias = Callable[[], Awaitable[Content | None]]
"""Asked for the content when it is about to be sent; None: there is nothing to send any more."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message belongs.

    ``thread_ts`` is None for what stands in the channel itself, ``ticket`` for what is no ticket's. ``broadcast``: a
    reply is shown in the channel too.
    """

    owner: str
    slot: str
    channel: str
    thread_ts: str | None
    ticket: int | None
    broadcast: bool = False


class _Payload(BaseModel):
    nonce: str = ""


class _Metadata(BaseModel):
    event_type: str = ""
    event_payload: _Payload = _Payload()


class _Found(BaseModel):
    ts: str
    thread_ts: str | None = None
    user: str = ""
    metadata: _Metadata = _Metadata()


class _Posted(BaseModel):
    ts: str
    message: _Found


class _Cursor(BaseModel):
    next_cursor: str = ""


class _Page(BaseModel):
    messages: list[_Found | object] = []
    """Anyone's messages: what can't be read is not one of ours, and must not hide those."""
    response_metadata: _Cursor | None = None


class Posting:
    """Posts and edits messages of ours. ``seed`` makes the nonces repeatable; they are random without one."""

    def __init__(self, store: Store, calls: Calls, *, seed: int | None) -> None:
        self._store = store
        self._calls = calls
        self._seed = secrets.token_hex(16) if seed is None else str(seed)
        self._joined: set[str] = set()
        self.bot_user = ""
        self.workspace_url = ""
        self.refused = 0

    def permalink(self, channel: str, ts: str) -> str:
        """The address of a message."""
        return f"{self.workspace_url}archives/{channel}/p{ts.replace('.', '')}"

    async def post(self, place: Place, row: Message | None, make: Make, priority: Priority) -> None:
        """Post a message once. ``row`` is what is known of an earlier attempt.

        Afterwards its row is ``posted``, or ``refused`` where Slack refused it for good. Raises another
        ``SlackError`` where it must be tried again later; nothing is lost by then. Raises ``ThreadGone`` where the
        thread is not there any more: the row stays an intent, and what stands in its place is up to the caller.
        """
        if row is not None and await self._adopt(place, row):
            return
        attempt = _Attempt(place, row)
        try:
            await self._send(attempt, make, priority)
        except ThreadGone:
            raise
        except Gone as error:
            await self._refuse(place, attempt.row, attempt.digest, error)
        except Refused as error:
            log.warning(
                "Slack refuses a message; it is posted plainer", owner=place.owner, slot=place.slot, why=str(error)
            )
            attempt.plain = True
            try:
                await self._send(attempt, make, priority)
            except ThreadGone:
                raise
            except Refused as again:
                await self._refuse(place, attempt.row, attempt.digest, again)

    async def _send(self, attempt: _Attempt, make: Make, priority: Priority) -> None:
        place = attempt.place

        async def prepare() -> Mapping[str, object] | None:
            content = await make()
            if content is None:
                return None
            attempt.digest = content.digest
            if attempt.row is None:
                attempt.row = await self._store.run(self._intend, place)
            arguments = self._arguments(attempt.row, content.plainer() if attempt.plain else content, place.thread_ts)
            return {**arguments, "reply_broadcast": True} if place.thread_ts and place.broadcast else arguments

        try:
            posted = await self._call(prepare, place.channel, priority)
        except Unavailable as error:
            if error.ambiguous and attempt.row is not None:
                await self._store.run(messages.suspect, attempt.row.id, suspected=True)
            raise
        except Gone as error:
            if place.thread_ts is None:
                raise
            raise ThreadGone(None) from error
        if attempt.row is None:
            return
        if posted is None:
            await self._store.run(messages.refused, attempt.row.id, "", OVERTAKEN)
        else:
            await self._stands(place, attempt.row, posted, attempt.digest)

    async def _call(self, prepare: Prepare, channel: str, priority: Priority) -> _Posted | None:
        try:
            answer = await self._calls.prepared("chat.postMessage", prepare, priority=priority, channel=channel)
        except ChannelUnusable as error:
            if not await self._join(error):
                raise
            answer = await self._calls.prepared("chat.postMessage", prepare, priority=priority, channel=channel)
        return None if answer is None else _posted(answer.data)

    async def _stands(self, place: Place, row: Message, posted: _Posted, digest: str) -> None:
        if place.thread_ts is not None and posted.message.thread_ts is None:
            # Slack says nothing when the parent is gone, and puts the reply into the channel, where it would look
            # like a thread of its own.
            raise ThreadGone(posted.ts)
        await self._store.run(self._note_posted, place, row, posted.ts, digest)

    def _intend(self, place: Place) -> Message:
        with self._store.unit() as unit:
            nonce = self._nonce(place.owner, place.slot)
            return messages.intend(place.owner, place.slot, nonce, place.channel, unit.at)

    def _note_posted(self, place: Place, row: Message, ts: str, digest: str) -> None:
        with self._store.unit() as unit:
            messages.posted(row.id, ts, digest)
            if place.ticket is not None and place.slot == CARD:
                unit.append(ThreadOpened(place.channel, ts), ticket=place.ticket)

    async def _refuse(self, place: Place, row: Message | None, digest: str, error: Refused) -> None:
        if row is None:
            raise error
        self.refused += 1
        log.error("Slack refuses a message for good", owner=place.owner, slot=place.slot, why=str(error))
        await self._store.run(self._note_refused, place, row, digest, str(error))

    def _note_refused(self, place: Place, row: Message, digest: str, error: str) -> None:
        with self._store.unit() as unit:
            messages.refused(row.id, digest, error)
            unit.append(SlackRefused(place.slot, error[:500]), ticket=place.ticket)

    async def thread_gone(self, place: Place, card: Message, ts: str | None) -> None:
        """Note that nothing can be said in a thread, and take away the reply that stands in the channel at ``ts``."""
        await self._refuse(place, card, card.digest, ThreadGone(ts))
        if ts is not None:
            with contextlib.suppress(Gone):
                await self._calls.call("chat.delete", {"channel": place.channel, "ts": ts})

    async def edit(self, place: Place, row: Message, make: Make, priority: Priority) -> None:
        """Edit a message that stands. Where Slack refuses that for good it is noted, and the message stays."""
        attempt = _Attempt(place, row)
        try:
            await self._update(attempt, row, make, priority)
        except Gone as error:
            await self._refuse(place, row, attempt.digest, error)
        except Refused as error:
            log.warning("Slack refuses an edit; it is made plainer", owner=place.owner, slot=place.slot, why=str(error))
            attempt.plain = True
            try:
                await self._update(attempt, row, make, priority)
            except Refused as again:
                await self._refuse(place, row, attempt.digest, again)

    async def _update(self, attempt: _Attempt, row: Message, make: Make, priority: Priority) -> None:
        async def prepare() -> Mapping[str, object] | None:
            content = await make()
            if content is None:
                return None
            attempt.digest = content.digest
            return {**self._arguments(row, content.plainer() if attempt.plain else content, None), "ts": row.ts}

        try:
            answer = await self._calls.prepared("chat.update", prepare, priority=priority)
        except Unavailable as error:
            if error.ambiguous:
                await self._store.run(messages.suspect, row.id, suspected=True)
            raise
        if answer is not None and row.ts is not None:
            await self._store.run(messages.posted, row.id, row.ts, attempt.digest)

    async def recheck(self, place: Place, row: Message) -> None:
        """Look for second copies of a message that stands, and mark them."""
        if row.ts is not None:
            await self._mark(place, row, row.ts, [ts for ts in await self._copies(place, row) if ts != row.ts])

    async def _adopt(self, place: Place, row: Message) -> bool:
        """Whether the message of an earlier attempt was found; it is then ours, and further copies are marked."""
        copies = await self._copies(place, row)
        if not copies:
            return False
        log.info("a message was found that nobody had confirmed", owner=place.owner, slot=place.slot, ts=copies[0])
        # What it says is not known: it may be older than now. The card is edited next; a line stays as it is.
        await self._store.run(self._note_posted, place, row, copies[0], "")
        await self._mark(place, row, copies[0], copies[1:])
        return True

    async def _copies(self, place: Place, row: Message) -> list[str]:
        """Where messages with the row's nonce stand, oldest first; those that are marked already are left out."""
        found = await self._search(place, row)
        copies = [
            one.ts
            for one in found
            if one.metadata.event_payload.nonce == row.nonce and one.user == self.bot_user
            if one.metadata.event_type in (EVENT_TYPE, DUPLICATE_TYPE)
        ]
        known = [await self._store.run(messages.at, row.channel, ts) for ts in copies]
        return sorted(
            (ts for ts, there in zip(copies, known, strict=True) if there is None or there.id == row.id),
            key=lambda ts: tuple(map(int, ts.split("."))),
        )

    async def _search(self, place: Place, row: Message) -> list[_Found]:
        arguments: dict[str, object] = {
            "channel": row.channel,
            "oldest": f"{(row.intent_at - SEARCH_BEFORE).timestamp():.6f}",
            "include_all_metadata": True,
            "limit": 200,
        }
        method = "conversations.history"
        if place.thread_ts is not None:
            method, arguments["ts"] = "conversations.replies", place.thread_ts
        found: list[_Found] = []
        for _ in range(MAX_PAGES):
            try:
                answer = await self._calls.call(method, arguments)
            except Gone:
                return found
            page = _page(answer.data)
            found += [one for one in page.messages if isinstance(one, _Found)]
            if page.response_metadata is None or not page.response_metadata.next_cursor:
                break
            arguments["cursor"] = page.response_metadata.next_cursor
        return found

    async def _mark(self, place: Place, row: Message, real: str, copies: Sequence[str]) -> None:
        for ts in copies:
            content = cards.duplicate(self.permalink(row.channel, place.thread_ts or real))
            arguments = {**self._arguments(row, content, None), "ts": ts}
            payload = {"owner": place.owner, "slot": place.slot, "nonce": row.nonce}
            arguments["metadata"] = {"event_type": DUPLICATE_TYPE, "event_payload": payload}
            try:
                await self._calls.call("chat.update", arguments)
            except Refused as error:
                log.warning("a duplicate can't be marked in Slack", owner=place.owner, ts=ts, why=str(error))
            log.warning("a second copy of a message was found and marked", owner=place.owner, slot=place.slot, ts=ts)
            await self._store.run(self._note_duplicate, place, row, ts)

    def _note_duplicate(self, place: Place, row: Message, ts: str) -> None:
        with self._store.unit() as unit:
            messages.duplicate(row, ts, self._nonce(place.owner, place.slot, ts), unit.at)
            unit.append(DuplicateMarked(place.slot, row.channel, ts), ticket=place.ticket)

    async def _join(self, error: ChannelUnusable) -> bool:
        """Join a public channel, once; whether that is worth another try."""
        if error.code != "not_in_channel" or error.channel in self._joined:
            return False
        self._joined.add(error.channel)
        try:
            await self._calls.call("conversations.join", {"channel": error.channel})
        except Unavailable:
            self._joined.discard(error.channel)
            raise
        except SlackError as refusal:
            log.warning("the channel can't be joined", channel=error.channel, why=str(refusal))
            return False
        return True

    def _arguments(self, row: Message, content: Content, thread_ts: str | None) -> dict[str, object]:
        payload = {"owner": row.owner, "slot": row.slot, "nonce": row.nonce}
        arguments: dict[str, object] = {
            "channel": row.channel,
            "text": content.text,
            "blocks": content.wire(),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": payload},
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if thread_ts is not None:
            arguments["thread_ts"] = thread_ts
        return arguments

    def _nonce(self, *of: str) -> str:
        return hashlib.sha256("\n".join((self._seed, *of)).encode()).hexdigest()[:32]


@dataclass(slots=True)
class _Attempt:
    place: Place
    row: Message | None
    digest: str = ""
    plain: bool = False


def _posted(data: Mapping[str, object]) -> _Posted:
    try:
        return _Posted.model_validate(data)
    except ValidationError as error:
        raise Unavailable("Slack's answer to chat.postMessage is not one", ambiguous=True) from error


def _page(data: Mapping[str, object]) -> _Page:
    try:
        return _Page.model_validate(data)
    except ValidationError as error:
        raise Unavailable("Slack's answer to a search is not one", ambiguous=False) from error
