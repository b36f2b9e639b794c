"""One incident played from beginning to end, and judged by what can be seen from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, TypeVar

from bot.demo.errors import TooLate
from bot.demo.outside import Outside, SlackMessage, Ticket
from subjects.clock import Clock

FoundT = TypeVar("FoundT")

SUBJECT: Final = "ratelimiter"
NONE: Final = "none"
TWICE: Final = "twice"
TWICE_FAULT: Final = "node_down"
READY_S: Final = 60.0
THREAD_S: Final = 60.0
RESOLVED_S: Final = 90.0
SETTLED_S: Final = 60.0

Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went. Times are seconds since the fault was about to be injected."""

    subject: str
    fault: str
    ticket: int | None
    state: str | None
    healed_by: Literal["hand"]
    detected_s: float | None
    thread_s: float | None
    resolved_s: float | None
    threads: int
    violations: list[str]
    audit_entries: int
    audit_ok: bool

    def shape(self) -> dict[str, str | int | float | bool | list[str] | None]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Judged:
    """An outcome, and what about it is not as it should be."""

    outcome: Outcome
    faults: tuple[str, ...]


class Scenario:
    """Plays one fault of the world and has it mended by hand."""

    def __init__(self, outside: Outside, clock: Clock, progress: Progress) -> None:
        self._outside = outside
        self._clock = clock
        self._progress = progress

    async def play(self, fault: str, *, watch_s: float) -> Judged:
        """Play it; ``watch_s`` is how long ``none`` is watched. Raises ``DemoError``."""
        await self._wait("operator is ready", self._outside.is_ready, READY_S, every_s=0.1)
        await self._wait("every invariant holds", self._outside.all_holds, READY_S, every_s=0.2)
        if fault == NONE:
            return await self._play_none(watch_s)
        faults = await self._outside.faults()
        injected = TWICE_FAULT if fault == TWICE else fault
        breaks = sorted(faults[injected].breaks)
        began = self._clock.now()
        number, thread = await self._break_and_mend(injected, breaks, since=began)
        complaints: list[str] = []
        if fault == TWICE:
            self._progress("once more, within the flap window")
            again, _ = await self._break_and_mend(injected, breaks, since=self._clock.now())
            if again != number:
                complaints.append(f"ticket {again} was opened where ticket {number} was to be reopened")
            if (await self._outside.ticket(number)).reopened_at is None:
                complaints.append(f"ticket {number} was not reopened")
        return await self._judge(fault, number, thread, began, breaks, complaints)

    async def _break_and_mend(self, fault: str, breaks: list[str], *, since: datetime) -> tuple[int, SlackMessage]:
        """Inject, wait until the ticket and its thread show all of it, mend, wait until it is resolved."""
        self._progress(f"injecting {fault}")
        await self._outside.world("faults", fault)

        async def opened() -> Ticket | None:
            found = [each for each in await self._outside.tickets() if (each.reopened_at or each.opened_at) >= since]
            return found[0] if found and found[0].violated == breaks else None

        ticket = await self._wait(f"a ticket with {', '.join(breaks)}", opened, THREAD_S, every_s=0.3)
        number = ticket.ticket

        async def rooted() -> SlackMessage | None:
            roots = await self._outside.roots(number)
            return roots[0] if roots else None

        thread = await self._wait("its thread", rooted, THREAD_S, every_s=0.2)
        self._progress(f"ticket {number} has its thread; mending {fault} by hand")
        await self._outside.world("cures", fault)

        async def resolved() -> bool:
            found = await self._outside.ticket(number)
            return found.state == "resolved" and found.resolved_at is not None and found.resolved_at >= since

        await self._wait(f"the resolution of ticket {number}", resolved, RESOLVED_S, every_s=0.3)
        await self._wait("all of it in the thread", self._outside.has_caught_up, SETTLED_S, every_s=0.1)
        return number, thread

    async def _judge(
        self,
        fault: str,
        number: int,
        thread: SlackMessage,
        began: datetime,
        breaks: list[str],
        complaints: list[str],
    ) -> Judged:
        ticket = await self._outside.ticket(number)
        threads = len(await self._outside.roots())
        replies = await self._outside.replies(thread)
        audit = await self._outside.audit()
        every = [each.ticket for each in await self._outside.tickets()]
        for wrong, words in (
            (ticket.state != "resolved", f"ticket {number} is {ticket.state}"),
            (ticket.violated != breaks, f"broken were {ticket.violated}, and {breaks} was meant to be"),
            (threads != 1, f"there are {threads} threads"),
            (not replies, "nothing stands in the thread"),
            (every != [number], f"there are the tickets {every}"),
            (not audit.ok, "the audit log is not whole"),
        ):
            if wrong:
                complaints.append(words)
        outcome = Outcome(
            subject=SUBJECT,
            fault=fault,
            ticket=number,
            state=ticket.state,
            healed_by="hand",
            detected_s=_seconds(began, ticket.opened_at),
            thread_s=round(float(thread.ts) - began.timestamp(), 1),
            resolved_s=_seconds(began, ticket.resolved_at),
            threads=threads,
            violations=ticket.violated,
            audit_entries=audit.entries,
            audit_ok=audit.ok,
        )
        return Judged(outcome, tuple(complaints))

    async def _play_none(self, watch_s: float) -> Judged:
        self._progress(f"watching for {watch_s:g} s; nothing is injected")
        await asyncio.sleep(watch_s)
        every = await self._outside.tickets()
        threads = len(await self._outside.roots())
        audit = await self._outside.audit()
        holds = await self._outside.all_holds()
        complaints = [
            words
            for wrong, words in (
                (every, f"there are the tickets {[each.ticket for each in every]}"),
                (threads, f"there are {threads} threads"),
                (not holds, "not every invariant holds"),
                (not audit.ok, "the audit log is not whole"),
            )
            if wrong
        ]
        outcome = Outcome(
            subject=SUBJECT,
            fault=NONE,
            ticket=every[0].ticket if every else None,
            state=every[0].state if every else None,
            healed_by="hand",
            detected_s=None,
            thread_s=None,
            resolved_s=None,
            threads=threads,
            violations=sorted({name for each in every for name in each.violated}),
            audit_entries=audit.entries,
            audit_ok=audit.ok,
        )
        return Judged(outcome, tuple(complaints))

    async def _wait(
        self, what: str, look: Callable[[], Awaitable[FoundT | None]], within_s: float, *, every_s: float
    ) -> FoundT:
        """Look until there is something. Raises ``TooLate``."""
        self._progress(f"waiting for {what}")
        try:
            async with asyncio.timeout(within_s):
                while True:
                    if found := await look():
                        return found
                    await asyncio.sleep(every_s)
        except TimeoutError:
            raise TooLate(f"{what} did not come within {within_s:g} s") from None


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 1) if end is not None else None
