from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compose.slack.harness import Local, local_slack, options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Local]:
    async with local_slack(options(tmp_path / "slack")) as running:
        yield running
