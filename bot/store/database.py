"""The database: opened, migrated, written to in units of work, on one thread of its own.

Every change of state goes through ``Store.unit``: a transaction that takes the write lock at once (``BEGIN
IMMEDIATE``), together with the events that tell of it. The functions of the sibling modules are plain and
synchronous; ``Store.run`` carries them to the store's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import peewee

from bot.events import SYSTEM, Event
from bot.failpoints import failpoint
from bot.store import audit
from bot.store.errors import CannotOpen, SchemaMismatch, in_our_words
from bot.store.lock import lock
from bot.store.models import database
from bot.store.records import Entry
from subjects.clock import Clock

P = ParamSpec("P")
R = TypeVar("R")

MIGRATIONS: Final = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS: Final = 5000


class Unit:
    """One unit of work: a transaction and the events that tell of it, all at the same instant."""

    def __init__(self, at: datetime, actor: str) -> None:
        self.at = at
        self.actor = actor
        self.entries: list[Entry] = []

    def append(self, event: Event, *, ticket: int | None = None, actor: str | None = None) -> Entry:
        """Add an event to the chain; returns its entry."""
        entry = audit.append(event, at=self.at, actor=actor or self.actor, ticket=ticket)
        self.entries.append(entry)
        return entry


class Store:
    """The database of one state directory. At most one is open in a process."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self._db = peewee.SqliteDatabase(
            str(path),
            pragmas={
                "journal_mode": "wal",
                "synchronous": "full",
                "foreign_keys": 1,
                "busy_timeout": BUSY_TIMEOUT_MS,
            },
            timeout=BUSY_TIMEOUT_MS / 1000,
            lock_type="IMMEDIATE",
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._listeners: list[Callable[[int], None]] = []
        self._file: tuple[int, int] | None = None

    def open(self, *, migrate: bool = False) -> None:
        """Open the file, which is created where ``migrate`` is set.

        Raises a ``StoreError`` that says how to mend it when the file can't be used, is damaged, or was written
        by another version.
        """
        self._thread.submit(self._open, migrate).result()

    def _open(self, migrate: bool) -> None:
        if migrate:
            self._make_folder()
        elif not self.path.exists():
            raise CannotOpen(f"there is no database at {self.path}; `operator run` makes one, or set state_dir")
        with in_our_words(self.path):
            database.initialize(self._db)
            self._db.connect(reuse_if_open=True)
            self._check_schema(migrate)
        self._file = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def _check_there(self) -> None:
        """SQLite goes on writing to a file that was deleted or replaced: all would seem well, and all be lost."""
        if self._identity() != self._file:
            raise CannotOpen(
                f"the database {self.path} was deleted or replaced while it was open; put it back, or "
                "start operator anew"
            )

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
        except OSError as error:
            raise CannotOpen(
                f"the state directory {self.path.parent} can't be used ({error.strerror}); "
                "set state_dir to a folder that this user can write to"
            ) from error

    def _check_schema(self, migrate: bool) -> None:
        there = {path.stem for path in MIGRATIONS.glob("[0-9]*.py")}
        applied = self._applied()
        if newer := sorted(applied - there):
            raise SchemaMismatch(
                f"the database {self.path} was written by a newer version of operator (it has {newer[-1]}); "
                "run that version, or restore an older backup"
            )
        if not there - applied:
            return
        if not migrate:
            raise SchemaMismatch(
                f"the database {self.path} was written by an older version of operator; `operator run` brings it "
                "up to date"
            )
        from playhouse.migrations import Runner  # noqa: PLC0415  only when there is something to migrate

        with lock(self.path):  # never beneath a process that runs, nor beside another that migrates
            Runner(self._db, str(MIGRATIONS)).up()

    def _applied(self) -> set[str]:
        if not self._db.table_exists("schema_migration"):
            return set()
        return {str(name) for (name,) in database.execute_sql("SELECT name FROM schema_migration").fetchall()}

    def close(self) -> None:
        """Close the file and end the thread. Idempotent."""
        with contextlib.suppress(RuntimeError):  # the executor was shut down before
            self._thread.submit(self._db.close).result()
        self._thread.shutdown()

    def on_commit(self, listener: Callable[[int], None]) -> None:
        """Call ``listener`` with the log's new head, on the store's thread, after each unit that wrote to it."""
        self._listeners.append(listener)

    @contextlib.contextmanager
    def unit(self, actor: str = SYSTEM) -> Iterator[Unit]:
        """A unit of work, on the store's thread: all of it is written or none, with its events."""
        unit = Unit(self.clock.now(), actor)
        with in_our_words(self.path):
            with self._db.atomic("IMMEDIATE"):
                self._check_there()
                yield unit
                failpoint("commit.before")
            failpoint("commit.after")
        if unit.entries:
            for listener in self._listeners:
                listener(unit.entries[-1].seq)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``function`` on the store's thread. A caller that is cancelled does not undo what it asked for."""
        future = self._thread.submit(self._call, partial(function, *args, **kwargs))
        return await asyncio.shield(asyncio.wrap_future(future))

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """``run`` for code without an event loop, such as the CLI."""
        return self._thread.submit(self._call, partial(function, *args, **kwargs)).result()

    def _call(self, function: Callable[[], R]) -> R:
        with in_our_words(self.path):
            return function()


def default_path(state_dir: Path) -> Path:
    """Where the database of a state directory is."""
    return state_dir / "operator.db"


def login() -> str:
    """The actor of someone at this machine's terminal: ``os:<login>``, by its user id, whatever LOGNAME says."""
    import pwd  # noqa: PLC0415  used by few

    try:
        return f"os:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"os:{os.getuid()}"
