"""``operator demo``: everything on this machine, to break and to watch."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.exits import FAILED, INTERRUPTED, UNREACHABLE
from bot.cli.options import Json

if TYPE_CHECKING:
    from bot.demo.scenario import Judged
    from bot.demo.stage import Stage

ENDED_WITHIN_S = 30.0
"""All of the demo's processes have ended by then."""
KINDS = ("ratelimiter",)
FAULTS = (
    "none",
    "node_down",
    "node_frozen",
    "redis_down",
    "redis_cut",
    "high_latency",
    "counter_drift",
    "ghost_allowing",
    "stuck_key",
    "twice",
    "two",
)
"""What can be played: the world's faults, and ``twice``, which is node_down twice within the flap window."""


def demo(
    subject: Annotated[str, typer.Argument(help="What is watched: ratelimiter.")] = KINDS[0],
    *,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Where everything is kept. [default: a temporary folder]")
    ] = None,
    fault: Annotated[str | None, typer.Option(help=f"Play this incident: {', '.join(FAULTS)}.")] = None,
    heal_by_hand: Annotated[bool, typer.Option("--heal-by-hand", help="Mend it as a person would.")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="Play without a browser, then end.")] = False,
    watch_s: Annotated[float, typer.Option(min=0, help="How long the fault none is watched, seconds.")] = 8.0,
    json: Json = False,
) -> None:
    """Start a cluster to break, a local Slack and operator.

    Everything runs on this machine, the local Slack is a stand-in, and Ctrl-C ends it all. With --fault,
    --heal-by-hand and --headless one incident is played; exit code 0 only if it went as it should.
    """
    import asyncio  # noqa: PLC0415  `--help` needs none of these

    if subject not in KINDS:
        raise typer.BadParameter(f"there is no demo of {subject}; there is {', '.join(KINDS)}", param_hint="SUBJECT")
    if fault is None and (headless or heal_by_hand or json):
        raise typer.BadParameter(
            f"--headless, --heal-by-hand and --json play an incident; say which: {', '.join(FAULTS)}",
            param_hint="--fault",
        )
    if fault is not None and fault not in FAULTS:
        raise typer.BadParameter(f"there is no fault {fault}; there are {', '.join(FAULTS)}", param_hint="--fault")
    if fault is not None and not (headless and heal_by_hand):
        raise typer.BadParameter(
            "an incident is played with --headless and --heal-by-hand; without --fault you break and mend yourself",
            param_hint="--fault",
        )
    code = asyncio.run(_demo(folder, fault, watch_s, json=json))
    if code:
        raise typer.Exit(code)


async def _demo(folder: Path | None, fault: str | None, watch_s: float, *, json: bool) -> int:
    import asyncio  # noqa: PLC0415  `--help` needs none of these

    from bot.cli import output  # noqa: PLC0415
    from bot.cli.exits import CommandError  # noqa: PLC0415
    from bot.demo.errors import AlreadyRuns, DemoError  # noqa: PLC0415
    from bot.demo.show import look, play  # noqa: PLC0415
    from bot.ending import Ending  # noqa: PLC0415

    ending = Ending(within_s=ENDED_WITHIN_S)
    ending.watch()
    place = await asyncio.to_thread(_made, folder)
    work: asyncio.Task[Judged | None]
    if fault is None:
        work = asyncio.create_task(look(place, _announce, output.note))
    else:
        work = asyncio.create_task(play(place, fault, watch_s, output.note))
    asked = asyncio.create_task(ending.asked())
    keep = folder is not None
    try:
        await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            output.note("ending everything")
            work.cancel()
            await asyncio.wait((work,))
            return 0 if fault is None else INTERRUPTED
        judged = work.result()
    except AlreadyRuns as error:
        raise CommandError(str(error)) from error
    except DemoError as error:
        keep = True
        raise CommandError(f"{error}\neverything is kept in {place}", UNREACHABLE) from error
    else:
        keep = keep or (judged is not None and bool(judged.faults))
        return 0 if judged is None else _tell(judged, place, json=json)
    finally:
        asked.cancel()
        if not keep:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _tell(judged: Judged, place: Path, *, json: bool) -> int:
    from bot.cli import output  # noqa: PLC0415  `--help` needs it not

    shape = judged.outcome.shape()
    if json:
        output.document(shape)
    else:
        for name, value in shape.items():
            output.line(f"{name}: {value}")
    for words in judged.faults:
        output.note(f"not as it should be: {words}")
    if judged.faults:
        output.note(f"everything is kept in {place}")
    return FAILED if judged.faults else 0


def _made(folder: Path | None) -> Path:
    from bot.cli.exits import CommandError  # noqa: PLC0415  `--help` needs none of these

    if folder is None:
        return Path(tempfile.mkdtemp(prefix="operator-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--dir: {folder} can't be used ({error.strerror}); name another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(f"--dir: {folder} can't be written; name another folder")
    return folder.resolve()


def _announce(stage: Stage) -> None:
    from bot.cli import output  # noqa: PLC0415  `--help` needs it not

    world = shlex.quote(str(stage.folder / "world"))
    python = shlex.quote(sys.executable)
    output.line(f"Slack:  {stage.slack.url}  (a local stand-in; open it in a browser)", style="bold")
    output.line(f"Break:  from its World panel, or  {python} -m compose.world break node_down --dir {world}")
    output.line(f"Mend:   likewise, or              {python} -m compose.world mend node_down --dir {world}")
    output.line(f"Look:   {python} -m bot.cli status --state-dir {shlex.quote(str(stage.state_dir))}")
    output.line(f"Ctrl-C ends everything. Logs are in {stage.folder / 'logs'}")
