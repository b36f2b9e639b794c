"""The buttons on the card: acknowledge, take over, mute for an hour.

The ticket is found by where the click happened (channel and message), never by what the button says: its value is
only checked against that. Every click is answered, to the one who clicked alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from bot import incidents
from bot.slack import escape
from bot.slack.cards import ACK, MUTE, MUTE_S, TAKE, who
from bot.slack.people import People
from bot.slack.posting import Posting
from bot.slack.standing import CARD, TICKET
from bot.store import messages, tickets
from bot.store.database import Store
from bot.store.records import Message, MessageState, Ticket

log = structlog.get_logger("slack")


@dataclass(frozen=True, slots=True)
class Click:
    """A click as Slack tells of it."""

    user: str
    team: str
    channel: str
    ts: str
    action: str
    value: str


class Buttons:
    """Does what was clicked. ``wake`` is called after something changed."""

    def __init__(self, store: Store, posting: Posting, people: People, wake: Callable[[], None]) -> None:
        self._store = store
        self._posting = posting
        self._people = people
        self._wake = wake

    async def press(self, click: Click) -> str:
        """What to tell the one who clicked, as safe mrkdwn; success is told once it is committed."""
        refusal = await self._people.refusal(click.user, click.team)
        if refusal is not None:
            return self._refused(click, f"Sorry: {escape.prose(refusal)}.")
        message = await self._store.run(messages.at, click.channel, click.ts)
        if message is None:
            return self._refused(click, await self._unknown(click))
        if message.state is MessageState.DUPLICATE:
            return await self._pointer(message)
        return await self._act(click, message)

    async def _act(self, click: Click, message: Message) -> str:
        number = message.owner.removeprefix(TICKET)
        actions: dict[str, Callable[[int, str], Awaitable[str]]] = {ACK: self._ack, TAKE: self._take, MUTE: self._mute}
        action = actions.get(click.action)
        if message.slot != CARD or not number.isdecimal() or action is None:
            return self._refused(click, "I do not know this button; nothing was done.")
        if click.value != number:
            return self._refused(click, "This button does not belong to this message; nothing was done.")
        return await action(int(number), f"slack:{click.user}")

    async def _unknown(self, click: Click) -> str:
        unfinished = await self._store.run(messages.unfinished)
        if any(row.channel == click.channel and row.state is MessageState.INTENT for row in unfinished):
            return "This message is not on my record yet; press again in a few seconds."
        return "This is not a message of mine, or a copy of one; nothing was done."

    async def _pointer(self, message: Message) -> str:
        rows = await self._store.run(messages.of, message.owner)
        card = next((row for row in rows if row.slot == CARD and row.ts is not None), None)
        if card is None or card.ts is None:
            return "This is a duplicate; nothing was done."
        link = escape.link(self._posting.permalink(card.channel, card.ts), "the thread is here")
        return f"This is a duplicate; nothing was done. Press the button on the real card: {link}."

    async def _ack(self, number: int, actor: str) -> str:
        changed = await self._store.run(incidents.acknowledge, self._store, number, actor)
        self._wake()
        if changed:
            return f"👀 You have acknowledged ticket {number}. Nobody is called for it again."
        ticket = await self._store.run(tickets.get, number)
        if not ticket.live:
            return _too_late(ticket, "acknowledge")
        if ticket.acknowledged_by == actor:
            return f"You have acknowledged ticket {number} already."
        by = ticket.acknowledged_by or ""
        await self._people.learn([by])
        return f"{who(by, self._people.names([by]))} has acknowledged ticket {number} already."

    async def _take(self, number: int, actor: str) -> str:
        changed = await self._store.run(incidents.take_over, self._store, number, actor)
        self._wake()
        if changed:
            return f"🛠 You work on ticket {number} now. Nobody is called for it again."
        ticket = await self._store.run(tickets.get, number)
        if not ticket.live:
            return _too_late(ticket, "take over")
        return f"You work on ticket {number} already."

    async def _mute(self, number: int, actor: str) -> str:
        ticket = await self._store.run(tickets.get, number)
        if not ticket.live:
            return _too_late(ticket, "mute")
        until = await self._store.run(incidents.mute, self._store, number, MUTE_S, actor)
        self._wake()
        return (
            f"🔕 Ticket {number} is muted: nobody is called until {escape.date(until)}. "
            f"{escape.code(f'/operator mute {number} off')} ends that."
        )

    def _refused(self, click: Click, why: str) -> str:
        log.warning("a click is refused", user=click.user, channel=click.channel, ts=click.ts, why=why)
        return why


def _too_late(ticket: Ticket, what: str) -> str:
    when = f" {escape.date(ticket.resolved_at)}" if ticket.resolved_at is not None else ""
    return f"✅ Ticket {ticket.id} was resolved{when}; there is nothing left to {what}."
