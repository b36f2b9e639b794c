"""Who runs, and how the checks are going.

The lock is the operating system's, on a file beside the database: it ends with the process, however that ends,
so a start after SIGKILL waits for nothing. The row only tells who it is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from bot.events import OperatorStarted, OperatorStopped
from bot.store.database import Store, Unit
from bot.store.lock import lock, locked, note
from bot.store.models import LeaseRow, WatchRow
from bot.store.records import Lease, Watch

NAME = "run"


class RunLease:
    """The right to run on a state directory; one process has it at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file: IO[str] | None = None
        self.epoch = 0

    def take(self, version: str) -> None:
        """Take it, and say so in the log. Raises ``LeaseHeld`` with who has it."""
        file = lock(self._store.path)
        note(
            file,
            f"process {os.getpid()} on {socket.gethostname()}, since {self._store.clock.now():%Y-%m-%d %H:%M:%S} UTC",
        )
        self._file = file
        self.epoch = self._store.call(self._write_taken, version)

    def release(self, reason: str) -> None:
        """Give it back, and say so in the log. Idempotent."""
        if self._file is None:
            return
        try:
            self._store.call(self._write_released, reason)
        finally:
            self._file.close()
            self._file = None

    def _write_taken(self, version: str) -> int:
        with self._store.unit() as unit:
            last = lease()
            epoch = last.epoch + 1 if last else 1
            host, pid = socket.gethostname(), os.getpid()
            LeaseRow.delete().where(LeaseRow.name == NAME).execute()
            LeaseRow.create(name=NAME, epoch=epoch, host=host, pid=pid, taken_at=unit.at, beat_at=unit.at)
            unit.append(OperatorStarted(version, host, pid, epoch))
        return epoch

    def _write_released(self, reason: str) -> None:
        with self._store.unit() as unit:
            unit.append(OperatorStopped(self.epoch, reason))


def running(path: Path) -> bool:
    """Whether a process holds the lease of the database at ``path`` at this moment."""
    return locked(path)


def lease() -> Lease | None:
    """Who runs, or ran last."""
    row = LeaseRow.get_or_none(LeaseRow.name == NAME)
    return Lease(row.epoch, row.host, row.pid, row.taken_at, row.beat_at) if row else None


def beat(unit: Unit, watches: Iterable[Watch]) -> None:
    """Note that the process lives and how its checks are going; subjects that are no longer watched are dropped."""
    LeaseRow.update(beat_at=unit.at).where(LeaseRow.name == NAME).execute()
    rows = [_row(watch) for watch in watches]
    WatchRow.delete().execute()
    for start in range(0, len(rows), 500):
        WatchRow.insert_many(rows[start : start + 500]).execute()


def watches() -> list[Watch]:
    """How the checks were going at the last beat, by subject."""
    return [
        Watch(
            subject=row.subject,
            title=row.title,
            interval_s=row.interval_s,
            invariants=row.invariants,
            keys=row.keys,
            broken=row.broken,
            unknown=row.unknown,
            ticked_at=row.ticked_at,
            tick_s=row.tick_s,
            ticks=row.ticks,
            missed=row.missed,
            overlong=row.overlong,
        )
        for row in WatchRow.select().order_by(WatchRow.subject)
    ]


def _row(watch: Watch) -> dict[str, object]:
    # What peewee's insert_many takes; goes no further.
    return {name: getattr(watch, name) for name in Watch.__slots__}
