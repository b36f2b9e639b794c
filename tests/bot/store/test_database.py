from __future__ import annotations

import fcntl
import os
import pwd
import sqlite3
import threading
from pathlib import Path

import peewee
import pytest

from bot import events
from bot.store import audit, tickets
from bot.store.control import RunLease, beat, running, watches
from bot.store.database import MIGRATIONS, Store, default_path, login
from bot.store.errors import CannotOpen, DatabaseDamaged, DatabaseLocked, LeaseHeld, NotFound, SchemaMismatch
from bot.store.lock import note
from bot.store.models import Table, TicketRow, ViolationRow, database
from bot.store.records import Watch
from subjects.clock import SystemClock
from subjects.protocols import Fingerprint, Severity
from tests.clock import ManualClock


def test_the_schema_of_the_migrations_is_the_one_the_models_expect(store: Store) -> None:
    def columns() -> dict[str, set[str]]:
        return {
            model._meta.table_name: {column.name for column in database.get_columns(model._meta.table_name)}
            for model in Table.__subclasses__()
        }

    expected = {
        model._meta.table_name: {field.column_name for field in model._meta.sorted_fields}
        for model in Table.__subclasses__()
    }
    assert store.call(columns) == expected


def test_durability_is_what_the_design_promises(store: Store) -> None:
    def pragmas() -> list[object]:
        return [database.pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")]

    assert store.call(pragmas) == ["wal", 2, 1]
    assert store.path.stat().st_mode & 0o077 == 0


def test_one_live_ticket_per_subject_is_the_databases_own_rule(store: Store, clock: ManualClock) -> None:
    def insert_two() -> None:
        with store.unit():
            tickets.insert("s", Severity.WARNING, clock.now())
            tickets.insert("s", Severity.WARNING, clock.now())

    with pytest.raises(peewee.IntegrityError):
        store.call(insert_two)

    def insert_resolve_insert() -> int:
        with store.unit():
            tickets.resolve(tickets.insert("s", Severity.WARNING, clock.now()), clock.now())
            return tickets.insert("s", Severity.WARNING, clock.now())

    assert store.call(insert_resolve_insert)


def test_one_live_violation_per_fingerprint_is_the_databases_own_rule(store: Store, clock: ManualClock) -> None:
    def add_two() -> None:
        with store.unit():
            number = tickets.insert("s", Severity.WARNING, clock.now())
            for _ in range(2):
                tickets.add_violation(
                    number, Fingerprint("s", "i", "k"), severity=Severity.WARNING, value=1, threshold=0, unit="x",
                    detail="d", since=clock.now(), at=clock.now(),
                )  # fmt: skip

    with pytest.raises(peewee.IntegrityError):
        store.call(add_two)
    assert store.call(lambda: (TicketRow.select().count(), ViolationRow.select().count())) == (0, 0)


def test_a_missing_ticket_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="no ticket 41"):
        store.call(tickets.get, 41)


def opened(path: Path, *, migrate: bool = True) -> None:
    store = Store(path, SystemClock())
    try:
        store.open(migrate=migrate)
    finally:
        store.close()


def test_reading_does_not_make_a_database(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match=r"there is no database at .* `operator run` makes one"):
        opened(tmp_path / "operator.db", migrate=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_said_to_be_damaged_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "operator.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseDamaged, match=str(path)):
        opened(path)
    assert path.read_bytes() == b"not a database" * 1000


def test_damage_in_the_middle_is_found_when_it_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "operator.db", SystemClock())
    store.open(migrate=True)

    def fill() -> None:
        with store.unit() as unit:
            for index in range(400):
                unit.append(events.SlackRefused(str(index), "x" * 200))

    store.call(fill)
    store.close()
    with store.path.open("r+b") as file:
        for page in range(3, store.path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    with pytest.raises(DatabaseDamaged, match=r"recover"):
        damaged(store.path)


def damaged(path: Path) -> None:
    store = Store(path, SystemClock())
    try:
        store.open()
        store.call(lambda: database.execute_sql("SELECT * FROM audit_entries").fetchall())
    finally:
        store.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotOpen, match="state_dir"):
        opened(tmp_path / "file" / "state" / "operator.db")


def test_a_newer_schema_is_refused_and_an_older_one_only_read_after_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "operator.db"
    opened(path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_migration (name, applied) VALUES ('9999_future', '2030-01-01')")
    with pytest.raises(SchemaMismatch, match=r"newer version .*9999_future"):
        opened(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM schema_migration")
    with pytest.raises(SchemaMismatch, match="older version"):
        opened(path, migrate=False)


def test_another_programs_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.database.BUSY_TIMEOUT_MS", 50)
    store = Store(tmp_path / "operator.db", SystemClock())
    store.open(migrate=True)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def write() -> None:
        with store.unit() as unit:
            unit.append(events.TicketAcknowledged())

    try:
        with pytest.raises(DatabaseLocked, match="fuser"):
            store.call(write)
        other.execute("ROLLBACK")
        store.call(write)
    finally:
        other.close()
        store.close()


def test_the_second_process_is_told_who_runs_and_a_released_lease_can_be_taken(store: Store) -> None:
    first, second = RunLease(store), RunLease(store)
    first.take("1")
    assert running(store.path)
    with pytest.raises(LeaseHeld, match=r"already runs on .*: process \d+ on .*, since"):
        second.take("1")
    first.release("done")
    first.release("done")
    assert not running(store.path)
    second.take("1")
    assert second.epoch == first.epoch + 1
    second.release("done")


def test_someone_who_asks_whether_it_runs_does_not_keep_it_from_starting(store: Store) -> None:
    with store.path.with_suffix(".lock").open("a") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        ends = threading.Timer(0.05, fcntl.flock, (asking, fcntl.LOCK_UN))
        ends.start()
        lease = RunLease(store)
        lease.take("1.0")
        ends.join()
    assert running(store.path)
    lease.release("done")
    assert not running(store.path)


def test_nothing_is_migrated_beneath_a_process_that_runs(tmp_path: Path) -> None:
    path = default_path(tmp_path)
    with path.with_suffix(".lock").open("a") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        newer = Store(path, SystemClock())
        with pytest.raises(LeaseHeld, match="already runs"):
            newer.open(migrate=True)
        newer.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'tickets'").fetchall() == []
    newer = Store(path, SystemClock())
    newer.open(migrate=True)
    newer.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_full_disk_hinders_nobody_from_holding_the_lock() -> None:
    with Path("/dev/full").open("a+") as file:
        note(file, "process 1")


def test_a_file_deleted_or_replaced_beneath_us_is_said_not_written_to(store: Store) -> None:
    aside = store.path.with_name("aside.db")
    store.path.rename(aside)
    with pytest.raises(CannotOpen, match="deleted or replaced"):
        store.call(write_one, store)
    store.path.touch()
    with pytest.raises(CannotOpen, match="deleted or replaced"):
        store.call(write_one, store)
    aside.rename(store.path)
    store.call(write_one, store)
    assert store.call(audit.verify).entries == 1


def write_one(store: Store) -> None:
    with store.unit() as unit:
        unit.append(events.TicketAcknowledged(), ticket=1)


def test_a_login_is_what_the_system_says_not_what_the_environment_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    before = login()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert login() == before == f"os:{pwd.getpwuid(os.getuid()).pw_name}"


def test_every_migration_has_a_number_of_its_own() -> None:
    numbers = [path.name.split("_")[0] for path in MIGRATIONS.glob("[0-9]*.py")]
    assert sorted(numbers) == [f"{n:04}" for n in range(1, len(numbers) + 1)]


def test_watches_are_as_of_the_last_beat(store: Store, clock: ManualClock) -> None:
    def write(names: list[str]) -> None:
        with store.unit() as unit:
            beat(unit, [Watch(name, "T", 1.0, 2, 3, 0, 0, clock.now(), 0.1, 5, 0, 0) for name in names])

    store.call(write, [f"s{n:04}" for n in range(1200)])
    assert len(store.call(watches)) == 1200
    store.call(write, ["s1"])
    assert [watch.subject for watch in store.call(watches)] == ["s1"]
