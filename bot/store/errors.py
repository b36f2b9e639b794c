"""What can go wrong with the database.

StoreError              its words say what, where, and how to mend it
├── CannotOpen          the file or its folder can't be used
├── DatabaseDamaged     SQLite says that the file is not, or no longer, a database
├── DatabaseLocked      another program has held it for longer than we wait
├── DiskFull            nothing more can be written
├── SchemaMismatch      the file was written by another version
├── LeaseHeld           another process runs on this state directory
└── NotFound            no such ticket
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peewee


class StoreError(Exception):
    """Base of this package's errors."""


class CannotOpen(StoreError):  # noqa: N818  the name is the sentence
    """The file or its folder can't be used."""


class DatabaseDamaged(StoreError):  # noqa: N818  the name is the sentence
    """SQLite says that the file is not, or no longer, a database."""


class DatabaseLocked(StoreError):  # noqa: N818  the name is the sentence
    """Another program has held the database for longer than we wait."""


class DiskFull(StoreError):  # noqa: N818  the name is the sentence
    """Nothing more can be written."""


class SchemaMismatch(StoreError):  # noqa: N818  the name is the sentence
    """The file was written by another version."""


class LeaseHeld(StoreError):  # noqa: N818  the name is the sentence
    """Another process runs on this state directory."""


class NotFound(StoreError):  # noqa: N818  the name is the sentence
    """No such ticket."""


def translated(error: Exception, path: Path) -> StoreError | None:
    """The error in our words, or None where it is not the database file's fault."""
    primary, text = _telling(error)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DatabaseDamaged(
            f"the database {path} is damaged ({text}); stop everything, keep a copy of the file, and restore a "
            f"backup or try: sqlite3 {path} .recover"
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseLocked(
            f"the database {path} has been locked by another program for too long; see who has it open: fuser {path}"
        )
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull(f"no space is left for the database {path}; free some: df -h {path.parent}")
    if primary == sqlite3.SQLITE_IOERR:
        return DiskFull(
            f"the database {path} can't be written ({text}); look at the disk: df -h {path.parent}; dmesg | tail"
        )
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return CannotOpen(
            f"the database {path} can't be opened for writing ({text}); "
            f"check the owner and the mode: ls -ld {path.parent}"
        )
    return None


def _telling(error: BaseException) -> tuple[int | None, str]:
    """The primary code and the words of the first error in the chain that has a telling one.

    After an error that has ended the transaction already, peewee's rollback fails as well, and its "no transaction is
    active" hides what it was.
    """
    link: BaseException | None = error
    while link is not None:
        code = getattr(link, "sqlite_errorcode", None)
        if isinstance(code, int) and code & 0xFF != sqlite3.SQLITE_ERROR:
            return code & 0xFF, str(link)
        link = link.__cause__ or link.__context__
    return None, str(error)


@contextmanager
def in_our_words(path: Path) -> Iterator[None]:
    """Turn the database's errors inside into ours; all others pass."""
    try:
        yield
    except (peewee.PeeweeException, sqlite3.Error) as error:
        ours = translated(error, path)
        if ours is None:
            raise
        raise ours from error
