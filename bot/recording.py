"""From the checks to the store, without the checks ever waiting for it.

A database that is locked or a disk that is full must not stop the looking. A report that could not be written is
merged with the next one, each key as badly as it was seen: what broke and healed in between still opens its
ticket, and a hold time that was broken meanwhile begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from bot.store.errors import StoreError
from bot.trouble import Trouble
from scheduler.debounce import Report

RETRY_S: Final = 1.0
"""What could not be written is tried again after this, or with the next report."""


def merge(earlier: Report, later: Report) -> Report:
    """One report that says of each key the worst of the two: broken, then unclear, then holding."""
    broken = {finding.fingerprint: finding for finding in (*earlier.broken, *later.broken)}
    unclear = {
        fingerprint: why
        for fingerprint, why in {**earlier.unclear, **later.unclear}.items()
        if fingerprint not in broken
    }
    holding = later.holding.difference(broken, unclear)
    gap = earlier.gap or later.gap
    return replace(later, broken=tuple(broken.values()), unclear=unclear, holding=holding, gap=gap)


class Recorder:
    """Writes reports in the background, the newest of each subject."""

    def __init__(self, write: Callable[[Report], Awaitable[None]], store: Trouble, fault: Trouble) -> None:
        """``store`` is told what the database can't do, ``fault`` of anything else that ``write`` raises."""
        self._write = write
        self._store = store
        self._fault = fault
        self._waiting: dict[str, Report] = {}
        self._failing: set[str] = set()
        self._unstored: set[str] = set()
        self._arrived = asyncio.Event()

    @property
    def stored(self) -> bool:
        """Whether the database took every report that was last offered to it."""
        return not self._unstored

    async def take(self, report: Report) -> None:
        """Take in a report; returns at once."""
        self._wait(report.subject, report)
        self._arrived.set()

    async def run(self) -> None:
        """Write what arrives, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            for subject in list(self._waiting):
                await self._record(self._waiting.pop(subject))
            if self._waiting and not self._arrived.is_set():
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(RETRY_S):
                await self._arrived.wait()
        except TimeoutError:
            self._arrived.set()

    async def _record(self, report: Report) -> None:
        try:
            await self._write(report)
        except StoreError as error:
            self._store.met(error)
            self._unstored.add(report.subject)
        except Exception as error:  # noqa: BLE001  a fault of ours must not end the watch; it is logged and shown
            self._fault.met(error)
            self._failing.add(report.subject)
        else:
            self._unstored.discard(report.subject)
            self._failing.discard(report.subject)
            if not self._failing:  # another subject's success says nothing of those
                self._fault.over()
            return
        newer = self._waiting.get(report.subject)
        self._waiting[report.subject] = report if newer is None else merge(report, newer)

    def _wait(self, subject: str, report: Report) -> None:
        waiting = self._waiting.get(subject)
        self._waiting[subject] = report if waiting is None else merge(waiting, report)
