from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from compose.slack.app import Options, Server
from compose.slack.manifest import Manifest, load_manifest
from tests.bot.slack.stage import Stage, StageClock, database, settings_of

MANIFEST = Path(__file__).resolve().parents[3] / "bot" / "slack" / "manifest.json"


@asynccontextmanager
async def staged(folder: Path, manifest: Manifest) -> AsyncIterator[Stage]:
    clock = StageClock()
    async with await Server.start(Options(folder / "slack", manifest=manifest, limits=False)) as server:
        store = database(folder, clock)
        group = next(one.id for one in server.slack.workspace.usergroups.values() if one.handle == "oncall-primary")
        try:
            yield Stage(server, store, clock, settings_of(server, call={"critical": group}))
        finally:
            store.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """With the manifest that people install: what it does not grant, Slack does not give."""
    async with staged(tmp_path, load_manifest(MANIFEST)) as made:
        yield made


@pytest.fixture
async def chatty_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """With an app that somebody has subscribed to events which nothing listens to."""
    async with staged(tmp_path, load_manifest()) as made:
        yield made
