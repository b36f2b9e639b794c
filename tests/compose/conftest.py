"""Fixtures that start the real things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.compose.running_world import Client, WorldProcess, run_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session")
def world_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldProcess]:
    """One world for all tests of a worker: a test leaves it as it found it."""
    with run_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
async def world(world_process: WorldProcess) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        client = Client(world_process, session)
        await client.wait_healthy()
        yield client
        # A test that failed must not make the others fail.
        for fault in (await client.state()).faults:
            await client.control("POST", f"/cures/{fault}")
