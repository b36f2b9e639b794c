"""``operator mute``: call nobody for a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.options import Config, StateDir, opened

if TYPE_CHECKING:
    from bot.store.database import Store

OFF = "off"


def mute(
    target: Annotated[str, typer.Argument(metavar="TICKET|SUBJECT", help="A ticket's number or a subject's name.")],
    duration: Annotated[str, typer.Argument(metavar="[DURATION|off]", help="30m, 2h, 1d, or off to end it.")] = "1h",
    *,
    config: Config = None,
    state_dir: StateDir = None,
) -> None:
    """Call nobody for a ticket or for a whole subject, for a time. The watch and the thread go on."""
    from bot import incidents  # noqa: PLC0415  `--help` needs none of these
    from bot.cli import output  # noqa: PLC0415
    from bot.store.database import login  # noqa: PLC0415
    from bot.words import moment, parse_duration  # noqa: PLC0415

    try:
        seconds = 0 if duration == OFF else parse_duration(duration)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="DURATION") from error
    with opened(config, state_dir) as store:
        what = _target(store, target)
        until = store.call(incidents.mute, store, what, seconds, login())
    named = f"Ticket {what}" if isinstance(what, int) else str(what)
    output.line(f"{named} is muted until {moment(until)}." if seconds else f"{named} is no longer muted.")


def _target(store: Store, text: str) -> int | str:
    if text.isascii() and text.isdigit():
        return int(text)
    from bot.cli.exits import CommandError  # noqa: PLC0415  `--help` needs none of these
    from bot.config_sources import near  # noqa: PLC0415
    from bot.store import control, tickets  # noqa: PLC0415

    known = {watch.subject for watch in store.call(control.watches)}
    known |= {ticket.subject for ticket in store.call(tickets.listing, live_only=True)}
    if text not in known:
        raise CommandError(f"there is no ticket or watched subject {text}; {near(text, sorted(known))}")
    return text
