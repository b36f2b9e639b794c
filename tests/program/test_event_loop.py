"""Nothing of ours blocks the event loop, through a whole incident."""

from __future__ import annotations

from pathlib import Path

from tests.program.stage import stage
from tests.program.story import examine, play


async def test_nothing_blocks_the_event_loop(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        made.forbid_blocking()
        made.start()
        await play(made)
        await made.stop()
        await examine(made)
        assert "Blocking" not in made.log()
        assert made.deaths == 0
