"""``operator run``: watch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.options import Config, StateDir

if TYPE_CHECKING:
    from bot.main import Ready


def run(
    *,
    config: Config = None,
    state_dir: StateDir = None,
    host: Annotated[str | None, typer.Option(help="Where health and metrics are served.")] = None,
    port: Annotated[str | None, typer.Option(metavar="INTEGER", help="Their port; 0 takes any free one.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, human or json.")] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help='Written once all is up: {"pid", "web"}. For supervisors and tests.')
    ] = None,
) -> None:
    """Watch the configured subjects and work their incidents.

    Until SIGTERM or Ctrl-C. One process at a time runs on a state directory; a second one is refused with exit code 1.
    """
    import asyncio  # noqa: PLC0415  `--help` needs none of these

    from bot import logs, settings  # noqa: PLC0415

    chosen = settings.load(
        config=config,
        flags={
            "--state-dir": str(state_dir) if state_dir is not None else None,
            "--host": host,
            "--port": port,
            "--log-level": log_level,
            "--log-format": log_format,
        },
    )
    logs.configure(chosen.log, secrets=(chosen.slack.bot_token, chosen.slack.app_token))

    from bot import main  # noqa: PLC0415  after the log is set up, as its libraries log at import

    asyncio.run(main.run(chosen, ready=None if ready_file is None else lambda ready: _write(ready_file, ready)))


def _write(path: Path, ready: Ready) -> None:
    import json  # noqa: PLC0415  of use to few

    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps({"pid": ready.pid, "web": ready.web}))
    partial.replace(path)
