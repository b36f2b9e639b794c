"""What the three programs have in common: a log, a configuration argument, an HTTP server, an orderly end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from compose.ratelimiter.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

# How long requests that are under way may go on after SIGTERM.
DRAIN_S = 1.0


def run_program(description: str, main: Callable[[Path], Coroutine[object, object, None]]) -> int:
    """Parse `--config FILE`, set up the log on stderr and run `main` until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a signal, 3 where the configuration is wrong.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the configuration, JSON")
    arguments = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    try:
        asyncio.run(_until_signal(main(arguments.config)))
    except ConfigError as error:
        logging.getLogger("ratelimiter").error("%s", error)  # noqa: TRY400 - the message says all
        return 3
    return 0


async def _until_signal(work: Coroutine[object, object, None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        logging.getLogger("ratelimiter").info("stopped")


@asynccontextmanager
async def served(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve an application while the body runs.

    Raises:
        ConfigError: The address can't be listened on.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=DRAIN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, reuse_address=True).start()
        except OSError as error:
            raise ConfigError(f"can't listen on {host}:{port}: {error.strerror}") from error
        yield
    finally:
        await runner.cleanup()
