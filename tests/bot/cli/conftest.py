from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.events import ThreadOpened
from bot.incidents import Incidents
from bot.store import control
from bot.store.database import Store, Unit
from bot.store.records import Watch
from tests.bot.bench import RULES, SLOW, UP_1, Bench
from tests.bot.running import Running, prepared
from tests.clock import ManualClock


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Running]:
    """Settings without a database."""
    with prepared(tmp_path / "scene") as made:
        yield made


@pytest.fixture
def past(scene: Running) -> Running:
    """Settings, and a database with a resolved ticket 1, a live ticket 2 with a thread, and a blind subject."""
    scene.state_dir.mkdir()
    clock = ManualClock()
    store = Store(scene.database, clock)
    store.open(migrate=True)
    try:
        bench = Bench(store, clock)
        bench.incidents = Incidents(store, RULES)
        bench.tick(UP_1)
        for _ in range(8):
            bench.tick()
        clock.advance(3600)
        bench.tick(SLOW, UP_1, blind="it is dark \x1b[31mhere")
        store.call(_more, store)
    finally:
        store.close()
    return scene


def _more(store: Store) -> None:
    with store.unit() as unit:
        unit.append(ThreadOpened("C123", "171.5"), ticket=2)
        control.beat(unit, [_watch(unit)])


def _watch(unit: Unit) -> Watch:
    return Watch("s", "The service", 5.0, 2, 3, 2, 0, unit.at, 0.1, 9, 1, 0)
