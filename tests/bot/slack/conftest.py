from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compose.slack.app import Options, Server
from tests.bot.slack.stage import Stage, StageClock, database, settings_of


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock = StageClock()
    async with await Server.start(Options(tmp_path / "slack", limits=False)) as server:
        store = database(tmp_path, clock)
        group = next(one.id for one in server.slack.workspace.usergroups.values() if one.handle == "oncall-primary")
        try:
            yield Stage(server, store, clock, settings_of(server, call={"critical": group}))
        finally:
            store.close()
