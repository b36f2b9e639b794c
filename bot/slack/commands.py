"""``/operator``: what people may ask and say. The same facts as the CLI, from the same functions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot import incidents, reports
from bot.slack import answers, escape
from bot.slack.answers import SlackState
from bot.slack.cards import MUTE_S, Content, SubjectCard
from bot.slack.people import People
from bot.slack.posting import Posting
from bot.store import tickets
from bot.store.database import Store
from bot.store.errors import NotFound
from bot.store.records import Ticket
from bot.words import parse_duration

NAMES: Final = ("status", "tickets", "show", "mute", "help")
OFF: Final = frozenset({"off", "end", "none", "0"})
_NUMBER: Final = re.compile(r"#?(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command as it was given: by whom, and what stood behind ``/operator``."""

    user: str
    team: str
    channel: str
    text: str
    trigger: str


class _Misunderstood(Exception):  # noqa: N818  the name is the sentence
    """The words say what was wrong, safe to show."""


class Commands:
    """Answers them. ``state`` tells how Slack is; ``wake`` is called after something changed."""

    def __init__(
        self,
        store: Store,
        posting: Posting,
        people: People,
        subjects: Mapping[str, SubjectCard],
        state: Callable[[], SlackState],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._posting = posting
        self._people = people
        self._subjects = subjects
        self._state = state
        self._wake = wake

    async def answer(self, command: Command) -> Content:
        """The answer, always; what was wrong with the command is one."""
        refusal = await self._people.refusal(command.user, command.team)
        if refusal is not None:
            return answers.said(f"Sorry: {escape.prose(refusal)}.")
        words = command.text.split()
        name = words[0].lower() if words else "help"
        try:
            return await self._answer(name, words[1:], f"slack:{command.user}")
        except _Misunderstood as error:
            return answers.said(str(error))
        except NotFound as error:
            return answers.said(escape.prose(str(error)))

    async def _answer(self, name: str, rest: Sequence[str], actor: str) -> Content:
        match name:
            case "help":
                return answers.help_text()
            case "status":
                return await self._status()
            case "tickets":
                listing = await self._store.run(tickets.listing, limit=2 * answers.MOST_TICKETS)
                return answers.tickets(listing, self._subjects, await self._links(listing))
            case "show":
                return await self._show(rest)
            case "mute":
                return await self._mute(rest, actor)
        return answers.help_text(f"There is no command {escape.code(name, 60)}.{_meant(name, NAMES)}")

    async def _status(self) -> Content:
        status = await self._store.run(reports.status, self._store)
        return answers.status(status, self._state(), self._subjects, await self._links(status.live))

    async def _show(self, rest: Sequence[str]) -> Content:
        if len(rest) != 1:
            raise _Misunderstood(f"Which ticket? {escape.code('/operator show 7')}")
        story = await self._store.run(reports.story, _number(rest[0], "show"))
        actors = {entry.actor for entry in story.entries}
        await self._people.learn(actors)
        thread = story.thread
        link = self._posting.permalink(thread.channel, thread.ts) if thread else None
        return answers.story(story, self._subjects, self._people.names(actors), link)

    async def _mute(self, rest: Sequence[str], actor: str) -> Content:
        if not rest:
            raise _Misunderstood(
                f"Mute what? {escape.code('/operator mute 7 2h')}, or a subject: "
                f"{', '.join(escape.code(f'/operator mute {name} 30m', 80) for name in list(self._subjects)[:5])}"
            )
        target = self._target(rest[0])
        seconds = _seconds(" ".join(rest[1:]))
        if isinstance(target, int):
            ticket = await self._store.run(tickets.get, target)
            if not ticket.live:
                raise _Misunderstood(f"Ticket {target} is resolved; nobody is called for it any more.")
        until: datetime = await self._store.run(incidents.mute, self._store, target, seconds, actor)
        self._wake()
        what = f"Ticket {target}" if isinstance(target, int) else f"Everything on {escape.code(target, 60)}"
        return answers.muted(what, until if seconds else None)

    def _target(self, word: str) -> int | str:
        if word in self._subjects:
            return word
        if _NUMBER.fullmatch(word):
            return _number(word, "mute")
        raise _Misunderstood(
            f"{escape.code(word, 60)} is neither a ticket's number nor a subject.{_meant(word, self._subjects)}"
        )

    async def _links(self, listing: Sequence[Ticket]) -> Mapping[int, str]:
        found = {}
        for ticket in listing:
            thread = (await self._store.run(reports.story, ticket.id)).thread
            if thread is not None:
                found[ticket.id] = self._posting.permalink(thread.channel, thread.ts)
        return found


def _number(word: str, command: str) -> int:
    match = _NUMBER.fullmatch(word)
    if match is None:
        example = escape.code(f"/operator {command} 7")
        raise _Misunderstood(f"{escape.code(word, 60)} is not a ticket's number; write it like {example}")
    return int(match[1])


def _seconds(text: str) -> int:
    if not text:
        return MUTE_S
    if text.lower() in OFF:
        return 0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise _Misunderstood(f"{escape.prose(str(error))}, or {escape.code('off')}.") from None


def _meant(word: str, names: Mapping[str, object] | Sequence[str]) -> str:
    close = difflib.get_close_matches(word.lower(), list(names), n=1, cutoff=0.5)
    return f" Did you mean {escape.code(close[0], 60)}?" if close else ""
