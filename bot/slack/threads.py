"""The reconciler: makes Slack show what the store says, one owner of messages at a time.

An owner is a ticket (``ticket:7``) or a blindness without one (``blind:12``, by its entry). It is computed what
should stand in Slack, compared with what does, and the difference is posted or edited: the root first, then the
lines in order, the card in place. What is computed is computed again at the moment when it is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from bot.slack import cards, escape, lines
from bot.slack.calls import Calls
from bot.slack.cards import Content, Incident, SubjectCard
from bot.slack.errors import SlackError, ThreadGone
from bot.slack.lines import Line, Thread
from bot.slack.pace import Priority, Tempo
from bot.slack.people import People
from bot.slack.posting import Place, Posting
from bot.slack.standing import BLIND, CARD, TICKET, Blind, Standing, blind_of, standing_of
from bot.slack.upkeep import DONE, Outcome
from bot.store import messages
from bot.store.database import Store
from bot.store.records import Entry, Message, MessageState
from subjects.clock import Clock
from subjects.protocols import Severity

TOO_OLD: Final = timedelta(days=1)
"""What was over for so long before Slack was ever told of it is not told any more."""


@dataclass(frozen=True, slots=True)
class _Edited:
    at: float
    stage: tuple[object, ...]


class Threads:
    """Keeps all threads. ``channels`` has the channel's id by subject, and under ``""`` the one for all others."""

    def __init__(
        self,
        store: Store,
        calls: Calls,
        posting: Posting,
        people: People,
        clock: Clock,
        tempo: Tempo,
        subjects: Mapping[str, SubjectCard],
        call: Mapping[Severity, str],
    ) -> None:
        self._store = store
        self._calls = calls
        self._posting = posting
        self._people = people
        self._clock = clock
        self._tempo = tempo
        self._subjects = subjects
        self._call = call
        self._edited: dict[str, _Edited] = {}
        self._suspects: dict[int, tuple[float, int]] = {}
        self._told: dict[int, tuple[Entry, ...]] = {}
        self.channels: Mapping[str, str] = {}

    async def reconcile(self, owner: str) -> Outcome:
        """Make Slack show what it should of an owner. Raises a ``SlackError`` where it must be tried again."""
        if owner.startswith(BLIND):
            return await self._blind(owner)
        number = int(owner.removeprefix(TICKET))
        standing = await self._standing(number)
        root = standing.rows.get(CARD)
        if root is None or root.ts is None:
            if self._spoiled(standing, root):
                return DONE
            place = self._place(standing, CARD, None)
            await self._posting.post(place, root, lambda: self._newest_card(number), Priority.FIRST)
            self._edited[owner] = _Edited(self._clock.monotonic(), standing.stage)
            standing = await self._standing(number)
            root = standing.rows.get(CARD)
            if root is None or root.ts is None:
                return DONE
        # Side by side: a line must not wait for the budget of edits.
        edited = asyncio.Event()
        work = self._edit_and_say(edited, standing, root), self._post_lines_until(edited, standing, root)
        results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        standing = await self._standing(number)
        edit_at = next((result for result in results if isinstance(result, float)), None)
        due = [] if edit_at is None else [edit_at]
        thread = _thread(standing, root)
        rows = [(self._place(standing, row.slot, thread), row) for row in standing.rows.values() if row.suspect]
        due += await self._recheck(rows, over=not standing.ticket.live)
        until = standing.ticket.muted_until
        if standing.ticket.live and until is not None and (rest := (until - self._clock.now()).total_seconds()) > 0:
            due.append(self._clock.monotonic() + rest + 0.1)  # the card says that it is muted
        elif edit_at is None and standing.rows[CARD].digest != self._card(standing).digest:
            due.append(self._clock.monotonic())  # something ended just after it was edited
        if not due and not standing.ticket.live:
            self._told.pop(number, None)
        return Outcome(done=edit_at is None, again_at=min(due, default=None))

    def _spoiled(self, standing: Standing, root: Message | None) -> bool:
        """Whether there is no use in posting the root: it was refused just so, or it is an old story."""
        if root is None:
            over = standing.ticket.resolved_at
            return over is not None and not standing.ticket.live and self._clock.now() - over > TOO_OLD
        return root.state is MessageState.REFUSED and root.digest == self._card(standing).digest

    async def _standing(self, number: int) -> Standing:
        standing = await self._newest(number)
        await self._people.learn(standing.actors)
        return standing

    async def _newest(self, number: int) -> Standing:
        # What was logged stays as it is: a ticket that lives for days is not read from its beginning each time.
        standing = await self._store.run(standing_of, number, self._told.get(number, ()))
        self._told[number] = standing.entries
        return standing

    def _place(self, standing: Standing, slot: str, root_ts: str | None) -> Place:
        ticket = standing.ticket
        root = standing.rows.get(CARD)
        channel = root.channel if root is not None else self._channel(ticket.subject)
        return Place(f"{TICKET}{ticket.id}", slot, channel, None if slot == CARD else root_ts, ticket.id)

    def _channel(self, subject: str) -> str:
        return self.channels.get(subject, self.channels[""])

    def _subject(self, name: str) -> SubjectCard:
        return self._subjects.get(name) or SubjectCard(name)

    # The card

    def _card(self, standing: Standing) -> Content:
        ticket = standing.ticket
        names = self._people.names(standing.actors)
        return cards.card(
            Incident(ticket, self._subject(ticket.subject), names, self._clock.now(), standing.blind, standing.hold_s)
        )

    async def _newest_card(self, number: int) -> Content:
        return self._card(await self._newest(number))

    async def _edit(self, standing: Standing, root: Message) -> float | None:
        """Edit the card if it says something else now; returns when, if it must wait."""
        owner, number = root.owner, standing.ticket.id
        if self._card(standing).digest == root.digest:
            return None
        last, now = self._edited.get(owner), self._clock.monotonic()
        changed = last is None or last.stage != standing.stage
        wait = self._calls.wait("chat.update")
        if not changed and last is not None:
            wait = max(wait, last.at + self._tempo.edit_gap_s - now)
        if not changed and wait > 0:
            return now + wait
        sent = standing.stage

        async def make() -> Content | None:
            nonlocal sent
            newest = await self._newest(number)
            sent = newest.stage
            content = self._card(newest)
            there = newest.rows.get(CARD)
            return None if there is None or there.digest == content.digest else content

        priority = Priority.CHANGED if changed else Priority.REFRESH
        await self._posting.edit(self._place(standing, CARD, None), root, make, priority)
        self._edited[owner] = _Edited(self._clock.monotonic(), sent)
        return None

    async def _edit_and_say(self, edited: asyncio.Event, standing: Standing, root: Message) -> float | None:
        try:
            return await self._edit(standing, root)
        finally:
            edited.set()

    # The lines

    def _lines(self, standing: Standing) -> list[Line]:
        """The lines that are not posted yet; where the thread is gone, only what people wait for.

        A second thread would not be the ticket's, but silence would be worse.
        """
        done = {slot for slot, row in standing.rows.items() if _finished(row)}
        thread = Thread(
            standing.ticket.id,
            self._subject(standing.ticket.subject),
            self._people.names(standing.actors),
            self._call,
        )
        missing = lines.lines(standing.entries, thread, done)
        if not _thread_gone(standing.rows.get(CARD)):
            return missing
        ticket = standing.ticket
        acknowledge = ticket.live and ticket.acknowledged_by is None
        return [line.alone(ticket.id, acknowledge=acknowledge) for line in missing if line.first]

    async def _post_lines_until(self, edited: asyncio.Event, standing: Standing, root: Message) -> None:
        """Post the lines, and those that come or failed while the card's edit waits for its turn."""
        while True:
            failure = None
            try:
                await self._post_lines(standing, root)
            except SlackError as error:
                failure = error
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._tempo.poll_s):
                    await edited.wait()
            if edited.is_set():
                if failure is not None:
                    raise failure
                return
            standing = await self._standing(standing.ticket.id)

    async def _post_lines(self, standing: Standing, root: Message) -> None:
        """Post what is missing in the thread, oldest first; one that is refused for good is passed over."""
        number = standing.ticket.id
        while True:
            await self._settle(standing, root)
            missing = self._lines(standing)
            if not missing:
                return
            slot = missing[0].slot
            place = replace(self._place(standing, slot, _thread(standing, root)), broadcast=missing[0].broadcast)
            # An urgent line hurries those before it along: order is kept.
            priority = Priority.FIRST if any(line.first for line in missing) else Priority.LINE

            async def make(slot: str = slot) -> Content | None:
                newest = await self._newest(number)
                return next((line.content for line in self._lines(newest) if line.slot == slot), None)

            try:
                await self._posting.post(place, standing.rows.get(slot), make, priority)
            except ThreadGone as error:
                await self._posting.thread_gone(self._place(standing, CARD, None), root, error.ts)
            standing = await self._standing(number)

    async def _settle(self, standing: Standing, root: Message) -> None:
        """Find out about lines that were about to be posted and are not worth saying any more."""
        wanted = {CARD, *(line.slot for line in self._lines(standing))}

        async def nothing() -> None:
            return None

        for slot, row in standing.rows.items():
            if slot not in wanted and row.state is MessageState.INTENT:
                place = self._place(standing, slot, _thread(standing, root))
                await self._posting.post(place, row, nothing, Priority.LINE)

    # What has no ticket

    async def _blind(self, owner: str) -> Outcome:
        seq = int(owner.removeprefix(BLIND))
        blind = await self._store.run(blind_of, seq, self._clock.now())
        row = blind.row
        channel = row.channel if row is not None else self._channel(blind.event.subject)
        place = Place(owner, CARD, channel, None, None)

        async def make() -> Content | None:
            newest = await self._store.run(blind_of, seq, self._clock.now())
            content = self._blind_content(newest)
            there = newest.row
            return None if there is not None and there.ts and there.digest == content.digest else content

        if row is None or row.ts is None:
            old = blind.seen_at is not None and self._clock.now() - blind.seen_at > TOO_OLD
            spoiled = row is not None and row.state is MessageState.REFUSED
            if old or (spoiled and row is not None and row.digest == self._blind_content(blind).digest):
                return DONE
            await self._posting.post(place, row, make, Priority.FIRST)
        elif row.digest != self._blind_content(blind).digest:
            await self._posting.edit(place, row, make, Priority.CHANGED)
        row = (await self._store.run(blind_of, seq, self._clock.now())).row
        if row is None or row.ts is None or not row.suspect:
            return DONE
        due = await self._recheck([(place, row)], over=blind.seen is not None)
        return Outcome(done=True, again_at=min(due, default=None))

    def _blind_content(self, blind: Blind) -> Content:
        target = self._call.get(Severity.WARNING) or self._call.get(Severity.CRITICAL)
        mention = escape.mention(target) if target is not None and not blind.muted else None
        return cards.blind(blind.event, self._subject(blind.event.subject), mention, blind.seen, blind.seen_at)

    # Second thoughts

    async def _recheck(self, rows: Iterable[tuple[Place, Message]], *, over: bool) -> list[float]:
        """Look again some time after a call that got no clear answer, and once more when it is over."""
        due = []
        for place, row in rows:
            if row.ts is None:
                continue
            now = self._clock.monotonic()
            began, checks = self._suspects.setdefault(row.id, (now, 0))
            left = [began + wait for wait in self._tempo.recheck_s]
            if checks < len(left) and now >= left[checks]:
                due += await self._check_again(place, row)
                checks += 1
                self._suspects[row.id] = (began, checks)
            if checks < len(left):
                due.append(left[checks])
            elif over:
                due += await self._check_again(place, row)
                await self._store.run(messages.suspect, row.id, suspected=False)
                del self._suspects[row.id]
        return due

    async def _check_again(self, place: Place, row: Message) -> list[float]:
        await self._posting.recheck(place, row)
        if place.slot != CARD or row.ts is None or row.error is not None:
            return []
        # An edit that got no answer may have been made after a later one: the newest state is sent once more.
        await self._store.run(messages.posted, row.id, row.ts, "")
        return [self._clock.monotonic()]


def _finished(row: Message | None) -> bool:
    return row is not None and row.state is not MessageState.INTENT


def _thread_gone(card: Message | None) -> bool:
    return card is not None and (card.error or "").startswith(("message_not_found", "thread_not_found"))


def _thread(standing: Standing, root: Message) -> str | None:
    """Where lines go: the thread, or, where that is gone, the channel."""
    return None if _thread_gone(standing.rows.get(CARD)) else root.ts
