"""The command line, ``operator``: a command per module, each of which imports what it needs when it runs."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from bot.cli import audit, check, demo, mute, run, status, subjects, tickets
from bot.cli.exits import EPILOG, report

app = typer.Typer(
    name="operator",
    help="Watches distributed systems and works their incidents in Slack. Start with: operator demo",
    epilog=EPILOG,
    no_args_is_help=True,
    # Plain help and errors: drawn ones cost each command a third of its time.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for command in (
    run.run,
    status.status,
    check.check,
    tickets.ack,
    tickets.take,
    mute.mute,
    subjects.subjects,
    demo.demo,
):
    app.command(epilog=EPILOG)(command)
app.add_typer(tickets.app, name="tickets", epilog=EPILOG)
app.add_typer(audit.app, name="audit", epilog=EPILOG)


def _version(asked: bool) -> None:
    if asked:
        from bot.version import version  # noqa: PLC0415  asked for rarely

        typer.echo(f"operator {version()}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 gets a ? and not a fault
    try:
        app(prog_name="operator")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        told = report(error)
        if told is None:
            typer.echo(f"operator: a fault of its own: {type(error).__name__}: {error}", err=True)
            raise
        code, words = told
        for line in words.splitlines():
            typer.echo(f"operator: {line}", err=True)
        sys.exit(code)
