from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import events
from bot.store import audit
from bot.store.database import Store
from bot.store.models import to_text
from bot.store.records import Entry
from subjects.clock import SystemClock
from subjects.protocols import Severity

EVENTS = [
    events.TicketOpened("ratelimiter", Severity.CRITICAL),
    events.TicketAcknowledged(),
    events.SlackRefused("line:3", 'a "quoted" ünïcode\nline\x00'),
    events.TicketVerifying(3.0),
]


def write(store: Store, count: int) -> list[Entry]:
    with store.unit() as unit:
        return [unit.append(EVENTS[index % len(EVENTS)], ticket=index % 3 or None) for index in range(count)]


def tamper(store: Store, *statements: str) -> None:
    """As someone with the file in hand would: the triggers are no obstacle."""
    with sqlite3.connect(store.path) as connection:
        for trigger in ("audit_entries_no_update", "audit_entries_no_delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        for statement in statements:
            connection.execute(statement)


def test_a_chain_that_nobody_touched_verifies_and_replays(store: Store) -> None:
    written = store.call(write, store, 50)
    result = store.call(audit.verify)
    assert result.ok
    assert (result.entries, result.head) == (50, written[-1].hash)
    assert [entry.event for entry in store.call(audit.entries)] == [EVENTS[i % len(EVENTS)] for i in range(50)]


@pytest.mark.parametrize("column", ["at", "actor", "ticket", "kind", "payload", "prev_hash", "hash"])
def test_any_altered_column_is_found_at_its_entry(store: Store, column: str) -> None:
    store.call(write, store, 20)
    value = {"ticket": "99", "at": "'2020-01-01T00:00:00.000000Z'"}.get(column, f"'{'a' * 64}'")
    tamper(store, f"UPDATE audit_entries SET {column} = {value} WHERE seq = 13")  # noqa: S608  the attack itself
    result = store.call(audit.verify)
    assert not result.ok
    assert result.broken_at == 13


@pytest.mark.parametrize("column", ["at", "actor", "ticket", "kind", "payload", "prev_hash", "hash"])
@pytest.mark.parametrize("value", ["X'00ff'", "CAST(X'ff41' AS TEXT)", "CAST(payload AS BLOB)"])
def test_what_is_no_text_at_all_is_found_at_its_entry(store: Store, column: str, value: str) -> None:
    store.call(write, store, 20)
    tamper(store, f"UPDATE audit_entries SET {column} = {value} WHERE seq = 13")  # noqa: S608  the attack itself
    result = store.call(audit.verify)
    assert result.broken_at == 13
    assert store.call(audit.head) is not None, "and reading goes on as before"


@pytest.mark.parametrize(
    ("statements", "broken_at"),
    [
        (["DELETE FROM audit_entries WHERE seq = 7"], 7),
        (["DELETE FROM audit_entries WHERE seq = 1"], 1),
        (["UPDATE audit_entries SET seq = 100 WHERE seq = 5"], 5),
        (
            [
                "UPDATE audit_entries SET seq = 1000 WHERE seq = 8",
                "UPDATE audit_entries SET seq = 8 WHERE seq = 9",
                "UPDATE audit_entries SET seq = 9 WHERE seq = 1000",
            ],
            8,
        ),
    ],
    ids=["deleted", "first deleted", "renumbered", "swapped"],
)
def test_entries_removed_or_reordered_are_found(store: Store, statements: list[str], broken_at: int) -> None:
    store.call(write, store, 20)
    tamper(store, *statements)
    result = store.call(audit.verify)
    assert result.broken_at == broken_at


def test_an_altered_entry_with_its_hash_made_right_breaks_the_link_to_the_next(store: Store) -> None:
    entry = store.call(write, store, 20)[12]
    forged = audit.digest(
        entry.seq, to_text(entry.at), "os:mallory", entry.ticket, entry.kind, entry.payload, entry.prev_hash
    )
    tamper(store, f"UPDATE audit_entries SET actor = 'os:mallory', hash = '{forged}' WHERE seq = 13")  # noqa: S608  the attack itself
    result = store.call(audit.verify)
    assert result.broken_at == 14
    assert "does not follow" in str(result.why)


def test_a_cut_tail_and_a_rewritten_log_show_against_an_anchor(store: Store) -> None:
    written = store.call(write, store, 20)
    anchor = (written[-1].seq, written[-1].hash[:12])
    assert store.call(audit.verify, anchor).ok
    tamper(store, "DELETE FROM audit_entries WHERE seq > 15")
    assert store.call(audit.verify).ok, "a chain can't show its own cut end"
    cut = store.call(audit.verify, anchor)
    assert "ends at 15" in str(cut.why)
    store.call(write, store, 5)  # someone writes another ending
    assert store.call(audit.verify).ok
    rewritten = store.call(audit.verify, anchor)
    assert rewritten.broken_at == anchor[0]


def test_the_database_itself_refuses_changes_by_mistake(store: Store) -> None:
    store.call(write, store, 3)
    with sqlite3.connect(store.path) as connection:
        for statement in ("UPDATE audit_entries SET actor = 'x'", "DELETE FROM audit_entries"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_a_unit_that_fails_leaves_neither_state_nor_event(store: Store) -> None:
    def fail() -> None:
        with store.unit() as unit:
            unit.append(EVENTS[0])
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        store.call(fail)
    assert store.call(audit.head) is None


WRITER = """
import sys
from pathlib import Path
from bot import events
from bot.store.database import Store
from bot.store.models import to_text
from subjects.clock import SystemClock
from subjects.protocols import Severity

store = Store(Path(sys.argv[1]), SystemClock())
store.open()
def write():
    with store.unit(f"os:{sys.argv[2]}") as unit:
        unit.append(events.TicketAcknowledged())
for _ in range(int(sys.argv[3])):
    store.call(write)
store.close()
"""


def test_writers_in_several_processes_do_not_fork_the_chain(tmp_path: Path) -> None:
    store = Store(tmp_path / "operator.db", SystemClock())
    store.open(migrate=True)
    try:
        writers = [
            subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(store.path), str(n), "150"])
            for n in range(3)
        ]
        assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
        result = store.call(audit.verify)
        assert result.ok
        assert result.entries == 450
    finally:
        store.close()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.floats(allow_nan=False, allow_infinity=False)
any_event = st.one_of(
    st.builds(events.SlackRefused, texts, texts),
    st.builds(events.TicketVerifying, numbers),
    st.builds(
        events.SubjectBlind, texts, st.datetimes(timezones=st.just(UTC)), texts,
        st.lists(texts, max_size=3).map(tuple),
    ),
    st.builds(events.InvariantHolds, texts, texts, texts, numbers),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(any_event, min_size=1, max_size=5))
def test_whatever_is_written_verifies_and_comes_back_the_same(store: Store, wanted: list[events.Event]) -> None:
    def write_all() -> list[Entry]:
        with store.unit() as unit:
            return [unit.append(event) for event in wanted]

    written = store.call(write_all)
    assert store.call(audit.verify).ok
    read = store.call(audit.entries, after=written[0].seq - 1)
    assert [entry.event for entry in read] == wanted
    assert read == written
