"""The world's command line: run one, and break, mend, look at and stop the one in a directory.

Exit codes: 0 done, 1 not possible, 2 wrong usage, 4 no world there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compose.errors import NoWorldError, WorldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compose.world_client import WorldClient

DEFAULT_DIR = Path("state/world")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A rate limiter cluster to watch, and faults that really break it.",
)
node_app = typer.Typer(no_args_is_help=True, help="Start, stop, restart, pause or resume one process.")
app.add_typer(node_app, name="node")

Dir = Annotated[Path, typer.Option("--dir", metavar="DIR", help="The world's directory.")]
Node = Annotated[str | None, typer.Option("--node", metavar="NODE", help="At which node; usually rl-2.")]


@app.command()
def run(
    directory: Dir = DEFAULT_DIR,
    nodes: Annotated[int, typer.Option(min=1, max=9, help="How many rate limiter nodes.")] = 3,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The control API's port; 0: a free one.")] = 0,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written when everything is ready: a copy of world.json.")
    ] = None,
) -> None:
    """Run a world in the foreground until Ctrl-C."""
    from compose.world_run import run_world  # noqa: PLC0415 - the clients need none of it

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(run_world(directory, limiters=nodes, control_port=port, ready_file=ready_file))


@app.command("break")
def break_(
    fault: Annotated[str, typer.Argument(help="Which one; `faults` lists them.")],
    node: Node = None,
    directory: Dir = DEFAULT_DIR,
) -> None:
    """Break something, and say what alone mends it."""
    answer = _client(directory).post_fault("faults", fault, node)
    typer.echo(answer.done)
    typer.echo(f"Only cure: {answer.cure}")


@app.command()
def mend(
    fault: Annotated[str | None, typer.Argument(help="Which one; all that are there if left out.")] = None,
    node: Node = None,
    directory: Dir = DEFAULT_DIR,
) -> None:
    """Mend one fault, or all."""
    client = _client(directory)
    names = [fault] if fault is not None else client.state().faults
    if not names:
        typer.echo("Nothing is broken.")
    for name in names:
        typer.echo(client.post_fault("cures", name, node).done)


@app.command()
def state(
    directory: Dir = DEFAULT_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show every process and what is broken."""
    seen = _client(directory).state()
    if as_json:
        typer.echo(seen.model_dump_json(indent=2))
        return
    for name, process in seen.nodes.items():
        pid = "" if process.pid is None else f"pid {process.pid}"
        typer.echo(f"{name:6} {process.kind:8} {process.state:8} {pid:12} {process.url}")
    typer.echo(f"Broken: {', '.join(seen.faults) or 'nothing'}")


@app.command()
def faults(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the faults: what is done, what breaks, what alone mends it."""
    from dataclasses import asdict  # noqa: PLC0415 - beside the heavy import below

    from compose.faults import describe  # noqa: PLC0415 - the other commands start faster without it

    table = describe(["rl-1", "rl-2", "rl-3"])
    if as_json:
        typer.echo(json.dumps([asdict(info) for info in table], indent=2))
        return
    for info in table:
        typer.echo(f"{info.name}\n    does    {info.mechanism}")
        typer.echo(f"    breaks  {', '.join(info.breaks) or 'nothing'}\n    cure    {info.cure}")


@app.command()
def stop(directory: Dir = DEFAULT_DIR) -> None:
    """End the world and every process of it."""
    _client(directory).stop()
    typer.echo("The world has ended.")


def _node_command(verb: str, text: str) -> None:
    @node_app.command(verb, help=text)
    def command(
        name: Annotated[str, typer.Argument(help="rl-1, rl-2, …, redis, load or batch.")],
        directory: Dir = DEFAULT_DIR,
    ) -> None:
        done = _client(directory).post_verb(name, verb)
        typer.echo(f"{done.name} is {done.state}.")


_node_command("start", "Start a process that does not run.")
_node_command("stop", "End a process.")
_node_command("restart", "End a process, if it runs, and start it.")
_node_command("pause", "Freeze a process.")
_node_command("resume", "Let a frozen process go on.")


def _client(directory: Path) -> WorldClient:
    from compose.world_client import WorldClient  # noqa: PLC0415 - `run` starts faster without it

    return WorldClient(directory)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, with those arguments or the process's own.

    Raises:
        SystemExit: Always, with the exit code.
    """
    try:
        app(arguments, prog_name="python -m compose.world")
    except NoWorldError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(4)
    except WorldError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
