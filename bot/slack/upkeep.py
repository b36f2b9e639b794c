"""Who is to be looked at, when, and how far the log is shown: the queue in front of the reconciler.

New entries of the log only mark owners of messages as dirty. The persisted cursor never passes an entry whose owner
is not done, so a crash at any moment costs doing some comparing again, and nothing is lost. A failure puts one owner
off, and none of the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from bot.slack.errors import AuthLost, ChannelUnusable, SlackError
from bot.slack.pace import Tempo
from bot.slack.standing import BLIND, TICKET, owners_in, unfinished
from bot.store import audit, messages
from bot.store.database import Store
from bot.store.errors import StoreError
from subjects.clock import Clock

log = structlog.get_logger("slack")

CURSOR: Final = "slack"
CHUNK: Final = 1000
MAX_ACTIVE: Final = 32
"""So many owners are looked after at once, and as many more of those that people wait for."""
URGENT: Final = frozenset({"TicketOpened", "TicketReopened", "TicketResolved", "PeopleCalled", "SubjectBlind"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of looking after an owner: whether all of it is shown, and when to look again (monotonic)."""

    done: bool
    again_at: float | None


DONE: Final = Outcome(done=True, again_at=None)


@dataclass(slots=True)
class _Due:
    """An owner to be looked at.

    ``since`` is the first entry that it has not shown, None where it has shown all; ``urgent``: people wait for it.
    """

    at: float
    since: int | None
    failures: int = 0
    urgent: bool = False
    again: bool = False


class Upkeep:
    """Calls ``reconcile`` for the owners that need it."""

    def __init__(
        self, store: Store, clock: Clock, tempo: Tempo, reconcile: Callable[[str], Awaitable[Outcome]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._tempo = tempo
        self._reconcile = reconcile
        self._due: dict[str, _Due] = {}
        self._active: set[str] = set()
        self._hurried: set[str] = set()
        self._wake = asyncio.Event()
        self._read = 0
        self._saved = 0
        self.stuck: dict[str, str] = {}
        """Owners that wait for a person to mend something, and what."""

    @property
    def behind(self) -> int:
        """How many entries of the log are not shown yet, at most."""
        return self._read - self._done()

    def wake(self) -> None:
        """There is something new in the log."""
        self._wake.set()

    def retry_now(self) -> None:
        """Slack answers again: whoever waits for another try need not."""
        for due in self._due.values():
            if due.failures:
                due.at = self._clock.monotonic()
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        begun = False
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                try:
                    if not begun:
                        await self._begin()
                        begun = True
                    await self._follow()
                    await self._save()
                except StoreError as error:
                    log.error("the log can't be read for Slack", why=str(error))  # noqa: TRY400  its words say it
                self._start(group)
                await self._pause()

    async def _begin(self) -> None:
        self._read = self._saved = await self._store.run(messages.cursor, CURSOR)
        for owner in await self._store.run(unfinished):
            self._mark(owner, None)

    async def _follow(self) -> None:
        while entries := await self._store.run(audit.entries, after=self._read, limit=CHUNK):
            for owner, since in await self._store.run(owners_in, entries):
                self._mark(owner, since)
            for entry in entries:
                for owner in (f"{TICKET}{entry.ticket}", f"{BLIND}{entry.seq}"):
                    if entry.kind in URGENT and owner in self._due:
                        self._due[owner].urgent = True
            self._read = entries[-1].seq

    def _mark(self, owner: str, since: int | None, at: float | None = None) -> None:
        due = self._due.get(owner)
        instant = self._clock.monotonic() if at is None else at
        if due is None:
            self._due[owner] = _Due(instant, since)
            return
        due.again = True
        if not due.failures:
            due.at = min(due.at, instant)
        if due.since is None:
            due.since = since

    def _start(self, group: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        ready = [owner for owner, due in self._due.items() if due.at <= now and owner not in self._active]
        ready.sort(key=lambda owner: (not self._due[owner].urgent, self._due[owner].since or 0))
        for owner in ready:
            urgent = self._due[owner].urgent
            if len(self._hurried if urgent else self._active - self._hurried) >= MAX_ACTIVE:
                continue  # many tickets' chatter, which waits for its budget, must not hold up a new thread
            self._active.add(owner)
            if urgent:
                self._hurried.add(owner)
            self._due[owner].again = False
            group.create_task(self._look_after(owner), name=f"slack {owner}")

    async def _pause(self) -> None:
        now = self._clock.monotonic()
        waits = [due.at - now for owner, due in self._due.items() if owner not in self._active]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.01, min([*waits, self._tempo.poll_s]))):
                await self._wake.wait()

    def _done(self) -> int:
        return min((due.since - 1 for due in self._due.values() if due.since is not None), default=self._read)

    async def _save(self) -> None:
        if (done := self._done()) > self._saved:
            await self._store.run(messages.advance, CURSOR, done)
            self._saved = done

    async def _look_after(self, owner: str) -> None:
        due = self._due[owner]
        try:
            outcome = await self._reconcile(owner)
        except SlackError as error:
            self._failed(owner, due, error, slow=isinstance(error, ChannelUnusable | AuthLost))
        except StoreError as error:
            self._failed(owner, due, error, slow=False)
        except Exception as error:  # a fault with one ticket must not silence the others
            log.exception("a thread could not be kept up to date", owner=owner)
            self._failed(owner, due, error, slow=True)
        else:
            self.stuck.pop(owner, None)
            due.failures = 0
            self._looked_after(owner, due, outcome)
        finally:
            self._active.discard(owner)
            self._hurried.discard(owner)
            self._wake.set()

    def _looked_after(self, owner: str, due: _Due, outcome: Outcome) -> None:
        if due.again:
            due.at = self._clock.monotonic()
            return
        due.urgent = False
        if outcome.again_at is None:
            del self._due[owner]
        else:
            due.at = outcome.again_at
            if outcome.done:
                due.since = None

    def _failed(self, owner: str, due: _Due, error: Exception, *, slow: bool) -> None:
        due.failures += 1
        backoff = min(self._tempo.retry_max_s, self._tempo.retry_s * 2 ** min(due.failures - 1, 16))
        due.at = self._clock.monotonic() + (self._tempo.slow_retry_s if slow else backoff)
        if slow and owner not in self.stuck:
            log.error("a message can't be posted", owner=owner, why=str(error))
        if slow:
            self.stuck[owner] = str(error)
