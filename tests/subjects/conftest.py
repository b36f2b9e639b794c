"""A real rate limiter cluster with a Redis of its own, under load."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.compose.running_world import WorldProcess, run_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldProcess]:
    """One world for all tests of a worker: a test leaves it as it found it."""
    with run_world(tmp_path_factory.mktemp("watched")) as running:
        yield running


@pytest.fixture
async def control(world: WorldProcess) -> AsyncIterator[httpx.AsyncClient]:
    """The world's control API."""
    async with httpx.AsyncClient(
        base_url=world.where.control_url,
        headers={"Authorization": f"Bearer {world.world_token()}"},
        timeout=60,
        trust_env=False,
    ) as client:
        yield client
