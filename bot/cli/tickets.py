"""``operator tickets``, ``operator ack``, ``operator take``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.exits import EPILOG
from bot.cli.options import Config, Json, StateDir, opened

if TYPE_CHECKING:
    from pathlib import Path

    from bot.reports import Story
    from bot.store.database import Store
    from bot.store.records import Ticket, Violation

app = typer.Typer(help="List tickets, and show one with its story.", no_args_is_help=True, rich_markup_mode=None)

Number = Annotated[int, typer.Argument(min=1, help="The ticket's number.", show_default=False)]


@app.command("list", epilog=EPILOG)
def listing(
    *,
    config: Config = None,
    state_dir: StateDir = None,
    json: Json = False,
    live: Annotated[bool, typer.Option("--live", help="Only those that are not resolved.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
) -> None:
    """List tickets, newest first."""
    from bot.cli import output, shapes  # noqa: PLC0415  `--help` needs none of these
    from bot.store import tickets  # noqa: PLC0415

    with opened(config, state_dir) as store:
        found = store.call(tickets.listing, live_only=live, limit=limit)
    if json:
        output.document({"tickets": [shapes.ticket(each) for each in found]})
    elif found:
        print_tickets(found)
    else:
        output.line("No live ticket." if live else "No ticket yet.")


@app.command(epilog=EPILOG)
def show(number: Number, *, config: Config = None, state_dir: StateDir = None, json: Json = False) -> None:
    """Show a ticket: what is broken, and its story.

    The story has the numbers of the audit log's entries.
    """
    from bot import reports  # noqa: PLC0415  `--help` needs none of these
    from bot.cli import output, shapes  # noqa: PLC0415

    with opened(config, state_dir) as store:
        found = store.call(reports.story, number)
    if json:
        output.document(shapes.story(found))
    else:
        _show(found)


def ack(number: Number, *, config: Config = None, state_dir: StateDir = None) -> None:
    """Acknowledge a ticket: you have seen it.

    Nobody is called again for it.
    """
    from bot import incidents  # noqa: PLC0415  `--help` needs it not

    _act(incidents.acknowledge, number, config, state_dir, done="is acknowledged by you")


def take(number: Number, *, config: Config = None, state_dir: StateDir = None) -> None:
    """Take a ticket over: you work on it. This acknowledges it too."""
    from bot import incidents  # noqa: PLC0415  `--help` needs it not

    _act(incidents.take_over, number, config, state_dir, done="is yours")


def _act(
    action: Callable[[Store, int, str], bool],
    number: int,
    config: Path | None,
    state_dir: Path | None,
    *,
    done: str,
) -> None:
    from bot.cli import output  # noqa: PLC0415  `--help` needs none of these
    from bot.cli.exits import CommandError  # noqa: PLC0415
    from bot.store import tickets  # noqa: PLC0415
    from bot.store.database import login  # noqa: PLC0415

    with opened(config, state_dir) as store:
        changed = store.call(action, store, number, login())
        ticket = store.call(tickets.get, number)
    if changed:
        output.line(f"Ticket {number} {done}.")
    elif not ticket.live:
        raise CommandError(f"ticket {number} is resolved already")
    else:
        who = f"acknowledged by {ticket.acknowledged_by}"
        if ticket.taken_by is not None:
            who += f", taken over by {ticket.taken_by}"
        output.line(f"Nothing to do: ticket {number} is {who} already.")


def print_tickets(found: Sequence[Ticket]) -> None:
    """One row each."""
    from bot.cli import output  # noqa: PLC0415  `--help` needs none of these
    from bot.words import moment  # noqa: PLC0415

    rows = [
        (
            str(ticket.id),
            ticket.subject,
            ticket.severity.value,
            ticket.state.value,
            _broken(ticket),
            moment(ticket.began_at),
            ticket.taken_by or ticket.acknowledged_by or "nobody",
        )
        for ticket in found
    ]
    output.table(("ticket", "subject", "severity", "state", "violations", "since", "seen by"), rows)


def _broken(ticket: Ticket) -> str:
    from bot.cli import output  # noqa: PLC0415  `--help` needs it not

    names = [str(each.fingerprint) for each in ticket.violations if each.cleared_at is None or not ticket.live]
    return output.some(list(dict.fromkeys(names)), 3)


def _show(found: Story) -> None:
    from bot.cli import output  # noqa: PLC0415  `--help` needs none of these
    from bot.words import moment, quantity  # noqa: PLC0415

    ticket = found.ticket
    output.line(f"Ticket {ticket.id} on {ticket.subject}: {ticket.state.value}, {ticket.severity.value}", style="bold")
    facts = {
        "opened": moment(ticket.opened_at),
        "reopened": moment(ticket.reopened_at) if ticket.reopened_at else None,
        "resolved": moment(ticket.resolved_at) if ticket.resolved_at else None,
        "acknowledged by": ticket.acknowledged_by,
        "taken over by": ticket.taken_by,
        "muted until": moment(ticket.muted_until) if ticket.muted_until else None,
        "thread": f"{found.thread.channel} {found.thread.ts}" if found.thread else "none yet",
    }
    for name, fact in facts.items():
        if fact is not None:
            output.line(f"  {name}: {fact}")
    headers = ("violation", "state", "value", "threshold", "since", "detail")
    output.table(
        headers,
        [
            (
                str(each.fingerprint),
                _state(each),
                quantity(each.value, each.unit),
                quantity(each.threshold, each.unit),
                moment(each.since),
                each.detail,
            )
            for each in ticket.violations
        ],
    )
    output.table(
        ("entry", "at", "actor", "kind", "facts"),
        [
            (str(entry.seq), moment(entry.at), entry.actor, entry.kind, output.facts(entry.payload))
            for entry in found.entries
        ],
    )


def _state(violation: Violation) -> str:
    if violation.cleared_at is not None:
        return "resolved"
    if violation.holds_since is not None:
        return "holds"
    return "unclear" if violation.interrupted else "broken"
