"""``operator status``: how everything is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bot.cli.exits import FAILED
from bot.cli.options import Config, Json, StateDir, opened

if TYPE_CHECKING:
    from datetime import datetime

    from bot.reports import Status
    from bot.store.records import Watch


def status(*, config: Config = None, state_dir: StateDir = None, json: Json = False) -> None:
    """Show who runs, what is watched, broken, or can't be seen.

    Exit code 0 when operator runs, sees everything and nothing is broken; 1 otherwise.
    """
    from bot import reports  # noqa: PLC0415  `--help` needs none of these
    from bot.cli import output, shapes  # noqa: PLC0415

    with opened(config, state_dir) as store:
        found = store.call(reports.status, store)
    if json:
        output.document(shapes.status(found))
    else:
        _show(found)
    if not found.healthy:
        raise typer.Exit(FAILED)


def _show(found: Status) -> None:
    from bot.cli import output  # noqa: PLC0415  `--help` needs none of these
    from bot.cli.tickets import print_tickets  # noqa: PLC0415
    from bot.words import duration, moment  # noqa: PLC0415

    output.line(_who(found), style="green" if found.running and not found.stuck else "bold red")
    if found.watches:
        headers = ("subject", "title", "every", "last look", "keys", "broken", "unknown", "missed")
        output.table(headers, [_row(watch, found.at) for watch in found.watches])
    else:
        output.line("No subject has been watched yet.")
    for blind in found.blind:
        since = f"{moment(blind.since)} ({duration((found.at - blind.since).total_seconds())})"
        output.line(f"{blind.subject} can't be seen since {since}: {blind.why}", style="yellow")
    if found.live:
        print_tickets(found.live)
    else:
        output.line(f"No live ticket; {found.tickets} in all.")


def _who(found: Status) -> str:
    from bot.words import duration, moment  # noqa: PLC0415  `--help` needs none of these

    lease = found.lease
    if lease is None:
        return "operator has never run here"
    who = f"process {lease.pid} on {lease.host}"
    ago = duration(max(0.0, (found.at - lease.beat_at).total_seconds()))
    if not found.running:
        return f"operator does not run; last sign of life {ago} ago, {who}"
    if found.stuck:
        return f"operator is stuck: {who} runs, but gave no sign of life for {ago}; look at its log"
    return f"operator runs since {moment(lease.taken_at)}, {who}"


def _row(watch: Watch, now: datetime) -> tuple[str, ...]:
    from bot.words import duration  # noqa: PLC0415  `--help` needs none of these

    last = "never" if watch.ticked_at is None else f"{duration(max(0.0, (now - watch.ticked_at).total_seconds()))} ago"
    return (
        watch.subject,
        watch.title,
        duration(watch.interval_s),
        last,
        str(watch.keys),
        str(watch.broken),
        str(watch.unknown),
        str(watch.missed + watch.overlong),
    )
