"""`python -m compose.slack`: run the local Slack."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from compose.slack.app import Options, Server, run
from compose.slack.errors import StartError
from compose.slack.manifest import load_manifest
from compose.slack.timings import Timings


def main(
    directory: Annotated[Path, typer.Option("--dir", help="Where the workspace lives; made if it is not there.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0: the port of last time, or a free one at the first start.")
    ] = 0,
    world_file: Annotated[
        Path | None, typer.Option(help="The demo's world.json; the page then shows its nodes and faults.")
    ] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Also write slack.json here, when ready.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="Another app manifest (JSON).", exists=True)] = None,
    compress: Annotated[
        float, typer.Option(min=1, help="Divide the waits before an event is sent again (0 s, 60 s, 300 s).")
    ] = 1.0,
    limits: Annotated[bool, typer.Option(help="Slack's rate limits.")] = True,
    verbose: Annotated[bool, typer.Option(help="Log more than warnings.")] = False,
) -> None:
    """Run a Slack-compatible server on 127.0.0.1. It is a stand-in for tests and demos, not Slack."""
    level = logging.INFO if verbose else logging.WARNING
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    options = Options(
        directory,
        port=port,
        world_file=world_file,
        ready_file=ready_file,
        manifest=load_manifest(manifest),
        timings=Timings().compressed(compress),
        limits=limits,
    )
    try:
        asyncio.run(_serve(options))
    except StartError as error:
        typer.echo(f"local Slack (stand-in) can't start: {error}", err=True)
        raise typer.Exit(1) from None


async def _serve(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def started(server: Server) -> None:
        typer.echo(f"local Slack (stand-in): {server.url}")

    await run(options, stop, started)


if __name__ == "__main__":
    typer.run(main)
