"""The audit log: a hash chain over everything that happened.

``hash`` is SHA-256 over the canonical JSON of ``[seq, at, actor, ticket, kind, payload, prev_hash]``. The head
is read inside the writing transaction: two writers with a remembered head would fork the chain. A cut at the
end of the log, which no chain can show from inside, shows against a head noted elsewhere: in the ticket's
thread, where every resolution posts it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.events import Event, encode
from bot.store.models import AuditEntry, database, from_text, to_text
from bot.store.records import GENESIS, Entry

_COLUMNS: Final = "seq, at, actor, ticket, kind, payload, prev_hash, hash"
_INSERT: Final = f"INSERT INTO audit_entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants
_HEAD: Final = f"SELECT {_COLUMNS} FROM audit_entries ORDER BY seq DESC LIMIT 1"  # noqa: S608  constants
_ALL: Final = f"SELECT {_COLUMNS} FROM audit_entries ORDER BY seq"  # noqa: S608  constants


def digest(seq: int, at: str, actor: str, ticket: int | None, kind: str, payload: str, prev_hash: str) -> str:
    """The hash of an entry, from its columns as they are stored."""
    content = json.dumps([seq, at, actor, ticket, kind, payload, prev_hash], ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def append(event: Event, *, at: datetime, actor: str, ticket: int | None) -> Entry:
    """Add ``event`` to the chain; only inside a unit of work, whose transaction holds the write lock."""
    last = head()
    seq = last.seq + 1 if last else 1
    prev_hash = last.hash if last else GENESIS
    payload = encode(event)
    hash_ = digest(seq, to_text(at), actor, ticket, event.kind, payload, prev_hash)
    database.execute_sql(
        _INSERT,
        (seq, to_text(at), actor, ticket, event.kind, payload, prev_hash, hash_),
    )
    return Entry(seq, at, actor, ticket, event.kind, payload, prev_hash, hash_)


def head() -> Entry | None:
    """The newest entry."""
    rows = database.execute_sql(_HEAD).fetchall()
    return _entry(rows[0]) if rows else None


def entries(
    *, after: int = 0, ticket: int | None = None, kind: str | None = None, limit: int | None = None
) -> list[Entry]:
    """Entries with a seq above ``after``, oldest first, of one ticket or kind if asked."""
    query = AuditEntry.select().where(AuditEntry.seq > after).order_by(AuditEntry.seq)
    if ticket is not None:
        query = query.where(AuditEntry.ticket == ticket)
    if kind is not None:
        query = query.where(AuditEntry.kind == kind)
    if limit is not None:
        query = query.limit(limit)
    return [_record(row) for row in query]


def entry(seq: int) -> Entry | None:
    """One entry."""
    row = AuditEntry.get_or_none(AuditEntry.seq == seq)
    return _record(row) if row else None


def tail(limit: int, *, ticket: int | None = None) -> list[Entry]:
    """The newest entries, oldest of them first."""
    query = AuditEntry.select().order_by(AuditEntry.seq.desc()).limit(limit)
    if ticket is not None:
        query = query.where(AuditEntry.ticket == ticket)
    return [_record(row) for row in reversed(list(query))]


@dataclass(frozen=True, slots=True)
class Verification:
    """What checking the whole chain found.

    ``broken_at`` is the seq of the first entry that is not what was written, with ``why``; None when all are.
    ``head`` is the hash of the last entry checked.
    """

    entries: int
    head: str
    broken_at: int | None = None
    why: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every entry is what was written."""
        return self.broken_at is None


def verify(anchor: tuple[int, str] | None = None) -> Verification:
    """Check every entry's number, link and hash, in order; stop at the first that is wrong.

    ``anchor`` is a ``(seq, hash)`` noted elsewhere: the log must contain that entry with that hash. A hash
    may be shortened to its first 12 digits or more.
    """
    count, previous = 0, GENESIS
    anchored = anchor is None
    for seq, at, actor, ticket, kind, payload, prev_hash, hash_ in _raw():
        expected = count + 1
        if seq != expected:
            return Verification(count, previous, expected, f"entry {expected} is missing; the next one is {seq}")
        if prev_hash != previous:
            return Verification(count, previous, seq, f"entry {seq} does not follow entry {seq - 1}")
        if not _as_written(seq, at, actor, ticket, kind, payload, prev_hash, hash_):
            return Verification(count, previous, seq, f"entry {seq} was altered")
        if anchor is not None and seq == anchor[0]:
            if not hash_.startswith(anchor[1]):
                return Verification(count, previous, seq, f"entry {seq} is not the one that was anchored")
            anchored = True
        count, previous = seq, hash_
    if anchor is not None and not anchored:
        return Verification(count, previous, count + 1, f"the log ends at {count}, before the anchored {anchor[0]}")
    return Verification(count, previous)


_Raw = tuple[int, str, str, int | None, str, str, str, str]


def _raw() -> Iterator[_Raw]:
    # The driver's own cursor: a million entries must not become a million model objects. What a tamperer left there
    # need not be UTF-8; read like this it differs from all that was ever written, where else it could not be read.
    connection = database.connection()
    before = connection.text_factory
    connection.text_factory = _lenient
    try:
        yield from database.execute_sql(_ALL)
    finally:
        connection.text_factory = before


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _as_written(*row: *_Raw) -> bool:
    if any(isinstance(column, bytes) for column in row):  # a BLOB, which we never write
        return False
    seq, at, actor, ticket, kind, payload, prev_hash, hash_ = row
    return digest(seq, at, actor, ticket, kind, payload, prev_hash) == hash_


def _entry(row: _Raw) -> Entry:
    seq, at, actor, ticket, kind, payload, prev_hash, hash_ = row
    return Entry(seq, from_text(at), actor, ticket, kind, payload, prev_hash, hash_)


def _record(row: AuditEntry) -> Entry:
    return Entry(row.seq, row.at, row.actor, row.ticket, row.kind, row.payload, row.prev_hash, row.hash)
