"""The demo from start to end: to look at, or one incident played."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx

from bot.demo.outside import Outside
from bot.demo.scenario import Judged, Progress, Scenario
from bot.demo.stage import Stage, Times, staged
from subjects.clock import SystemClock


async def look(folder: Path, announce: Callable[[Stage], None], progress: Progress) -> None:
    """Start everything and keep it up until cancelled. Raises ``DemoError`` where one of the processes ends."""
    progress("starting a rate limiter cluster, a local Slack and operator")
    async with staged(folder, Times()) as stage:
        announce(stage)
        raise await stage.died()


async def play(folder: Path, fault: str, watch_s: float, progress: Progress) -> Judged:
    """Start everything, play one incident, end everything. Raises ``DemoError`` where it can't be played."""
    progress("starting a rate limiter cluster, a local Slack and operator")
    async with staged(folder, Times()) as stage, httpx.AsyncClient(trust_env=False) as http:
        died = asyncio.create_task(stage.died())
        scenario = Scenario(Outside(stage, http), SystemClock(), progress)
        playing = asyncio.create_task(scenario.play(fault, watch_s=watch_s))
        try:
            await asyncio.wait((died, playing), return_when=asyncio.FIRST_COMPLETED)
            if died.done():
                raise died.result()
            return playing.result()
        finally:
            died.cancel()
            playing.cancel()
            await asyncio.gather(died, playing, return_exceptions=True)
