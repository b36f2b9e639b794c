"""``operator audit``: read and check the log of everything."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from bot.cli.exits import EPILOG, FAILED
from bot.cli.options import Config, Json, StateDir, opened

app = typer.Typer(help="Read the audit log, and check that it is whole.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list", epilog=EPILOG)
def listing(
    *,
    config: Config = None,
    state_dir: StateDir = None,
    json: Json = False,
    ticket: Annotated[int | None, typer.Option(min=1, help="Only entries of this ticket.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind, such as TicketOpened.")] = None,
    after: Annotated[int | None, typer.Option(min=0, help="From the entry after this one on, oldest first.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
) -> None:
    """List entries, oldest first: the newest ones, or those after a number or of a kind."""
    from bot.cli import output, shapes  # noqa: PLC0415  `--help` needs none of these
    from bot.store import audit  # noqa: PLC0415
    from bot.words import moment  # noqa: PLC0415

    with opened(config, state_dir) as store:
        if after is None and kind is None:
            found = store.call(audit.tail, limit, ticket=ticket)
        else:
            found = store.call(audit.entries, after=after or 0, ticket=ticket, kind=kind, limit=limit)
    if json:
        output.document({"entries": [shapes.entry(each) for each in found]})
        return
    output.table(
        ("entry", "at", "actor", "ticket", "kind", "facts"),
        [
            (str(each.seq), moment(each.at), each.actor, str(each.ticket or ""), each.kind, output.facts(each.payload))
            for each in found
        ],
    )


@app.command(epilog=EPILOG)
def show(
    seq: Annotated[int, typer.Argument(min=1, help="The entry's number.")],
    *,
    config: Config = None,
    state_dir: StateDir = None,
    json: Json = False,
) -> None:
    """Show one entry in full."""
    from bot.cli import output, shapes  # noqa: PLC0415  `--help` needs none of these
    from bot.cli.exits import CommandError  # noqa: PLC0415
    from bot.store import audit  # noqa: PLC0415

    with opened(config, state_dir) as store:
        found = store.call(audit.entry, seq)
    if found is None:
        raise CommandError(f"there is no entry {seq}; `operator audit list` has the newest ones")
    shape = shapes.entry(found)
    if json:
        output.document(shape)
        return
    for name, value in shape.items():
        output.line(f"{name}: {found.payload if name == 'payload' else value}")


@app.command(epilog=EPILOG)
def verify(
    *,
    config: Config = None,
    state_dir: StateDir = None,
    json: Json = False,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="SEQ:HASH", help="An entry as it was noted elsewhere, such as in a resolved ticket's thread."
        ),
    ] = None,
) -> None:
    """Check every entry's number, link and hash; exit code 1 if one is not what was written."""
    from bot.cli import output  # noqa: PLC0415  `--help` needs none of these
    from bot.store import audit  # noqa: PLC0415

    noted = _anchor(anchor) if anchor is not None else None
    with opened(config, state_dir) as store:
        found = store.call(audit.verify, noted)
    if json:
        output.document(
            {
                "ok": found.ok,
                "entries": found.entries,
                "head": found.head,
                "broken_at": found.broken_at,
                "why": found.why,
            }
        )
    elif found.ok:
        output.line(f"All {found.entries} entries are what was written; the newest is {found.entries}:{found.head}")
    else:
        output.line(f"The log is not what was written: {found.why}.", style="bold red")
    if not found.ok:
        raise typer.Exit(FAILED)


def _anchor(text: str) -> tuple[int, str]:
    match = re.fullmatch(r"(\d{1,18}):([0-9a-f]{12,64})", text.strip().lower())
    if match is None:
        raise typer.BadParameter(
            "write the entry's number, a colon and at least 12 digits of its hash, like 57:1f0c9a77b2e4",
            param_hint="--anchor",
        )
    return int(match[1]), match[2]
