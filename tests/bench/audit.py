"""The audit log: entries per second, and how long a million of them take to verify."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from bot import events
from bot.store import audit
from bot.store.database import Store, default_path
from subjects.clock import SystemClock
from tests.bench.figures import Figure, figure

EVENT = events.InvariantHolds("ratelimiter", "node_down", "rl-2", 12.5)


def measure(folder: Path, *, million: int = 1_000_000) -> list[Figure]:
    store = Store(default_path(folder), SystemClock())
    store.open(migrate=True)
    try:
        singles = [_rate(store, units=300, per_unit=1) for _ in range(5)]
        batches = [_rate(store, units=3, per_unit=5000) for _ in range(5)]
        there = store.call(audit.verify).entries
        for _ in range((million - there) // 20_000):
            store.call(_write, store, 1, 20_000)
        verifications = []
        for _ in range(3):
            began = time.perf_counter()
            entries = store.call(audit.verify).entries
            verifications.append((time.perf_counter() - began) * million / entries)
    finally:
        store.close()
    return [
        figure(
            "audit: entries/s, one per transaction",
            "1/s",
            singles,
            floor=_floor(folder),
            note="floor: a bare sqlite3 insert per transaction, synchronous=FULL",
        ),
        figure("audit: entries/s, 5,000 per transaction", "1/s", batches),
        figure("audit: verify 10^6 entries", "s", verifications),
    ]


def _write(store: Store, units: int, per_unit: int) -> None:
    for _ in range(units):
        with store.unit() as unit:
            for _ in range(per_unit):
                unit.append(EVENT, ticket=1)


def _rate(store: Store, *, units: int, per_unit: int) -> float:
    began = time.perf_counter()
    store.call(_write, store, units, per_unit)
    return units * per_unit / (time.perf_counter() - began)


def _floor(folder: Path) -> float:
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("PRAGMA synchronous=full")
    connection.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, payload TEXT)")
    began = time.perf_counter()
    for _ in range(300):
        connection.execute("INSERT INTO entries (payload) VALUES (?)", ("x" * 200,))
    rate = 300 / (time.perf_counter() - began)
    connection.close()
    return rate
