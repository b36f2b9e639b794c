"""Running a world in the foreground."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import typer

from compose.ports import LOOPBACK
from compose.ratelimiter.clock import system_clock
from compose.world import World, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


async def run_world(root: Path, *, limiters: int, control_port: int, ready_file: Path | None) -> None:
    """Start a world, say where it is, and keep it until SIGTERM, SIGINT or POST /stop.

    Raises:
        DeployError: It can't be started.
    """
    started = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    world = World(root, limiters=limiters, wall=system_clock().wall)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with world.running(control_port=control_port):
        # Imported now: the children's own imports run beside, and a world starts faster.
        from aiohttp import web  # noqa: PLC0415 - see above

        from compose.control import Control  # noqa: PLC0415 - see above

        runner = web.AppRunner(Control(world, stop).app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, world.control_port, reuse_address=True).start()
            world.write_world_file()
            if ready_file is not None:
                write_atomically(ready_file, world.layout.world_file.read_text(encoding="utf-8"))
            _announce(world, time.monotonic() - started)
            await stop.wait()
        finally:
            await runner.cleanup()


def _announce(world: World, seconds: float) -> None:
    typer.echo(f"World ready after {seconds:.1f} s in {world.layout.root}")
    for process in world.processes:
        typer.echo(f"  {process.name:6} {process.url}")
    typer.echo(f"  control http://{LOOPBACK}:{world.control_port}")
    typer.echo("Ctrl-C ends it and every process of it.")
