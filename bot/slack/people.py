"""The people of the workspace: how they are called, and who may press buttons."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError

from bot.slack.calls import Calls
from bot.slack.errors import Refused, SlackError, Unavailable
from bot.slack.pace import Priority
from subjects.clock import Clock

NAME_S: Final = 3600.0
"""A display name is asked for anew after this."""
NAME_WAIT_S: Final = 2.0
"""No message waits longer than this for the names in it: Slack may hold back users.info for a minute."""
STANDING_S: Final = 60.0
"""Whether someone may act is: an account that is deactivated stops within this time."""


class _Profile(BaseModel):
    real_name: str = ""
    display_name: str = ""


class _User(BaseModel):
    id: str
    team_id: str = ""
    name: str = ""
    real_name: str = ""
    deleted: bool = False
    is_bot: bool = False
    is_app_user: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    profile: _Profile = _Profile()

    @property
    def shown(self) -> str:
        return self.real_name or self.profile.real_name or self.profile.display_name or self.name or self.id


class _Info(BaseModel):
    user: _User


@dataclass(frozen=True, slots=True)
class _Known:
    user: _User
    at: float


class People:
    """Asks Slack about users, and remembers the answers for a while."""

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._unknown: dict[str, float] = {}
        self.team_id = ""

    async def learn(self, actors: Iterable[str]) -> None:
        """Ask for the names of those actors who are people in Slack, where they are not known."""
        await asyncio.gather(*(self._learn(user_id) for user_id in _in_slack(actors)))

    async def _learn(self, user_id: str) -> None:
        now = self._clock.monotonic()
        if now - self._unknown.get(user_id, -math.inf) < STANDING_S:
            return
        try:
            async with asyncio.timeout(NAME_WAIT_S):
                await self._user(user_id, NAME_S)
        except (SlackError, TimeoutError):
            # The name is an ornament: without it the id is shown, and it is asked for again later.
            self._unknown[user_id] = now

    def names(self, actors: Iterable[str]) -> Mapping[str, str]:
        """Display names by actor, as far as they are known; asks nobody."""
        return {f"slack:{one}": self._known[one].user.shown for one in _in_slack(actors) if one in self._known}

    async def refusal(self, user_id: str, team_id: str) -> str | None:
        """Why this user may not act; None where they may: a full member of our workspace, and a person.

        Raises ``Unavailable`` where Slack does not tell.
        """
        if team_id and team_id != self.team_id:
            return "you belong to another workspace; ask someone of this one"
        try:
            user = await self._user(user_id, STANDING_S)
        except Refused:
            return "Slack does not know you here"
        return next((why for applies, why in self._reasons(user) if applies), None)

    def _reasons(self, user: _User) -> Iterable[tuple[bool, str]]:
        elsewhere = user.is_stranger or user.team_id not in ("", self.team_id)
        return (
            (elsewhere, "you belong to another workspace; ask someone of this one"),
            (user.deleted, "your account is deactivated"),
            (user.is_bot or user.is_app_user or user.id == "USLACKBOT", "apps and bots can't do this; a person must"),
            (
                user.is_restricted or user.is_ultra_restricted,
                "guests can't do this; ask a full member of the workspace",
            ),
        )

    async def _user(self, user_id: str, at_most_s: float) -> _User:
        now = self._clock.monotonic()
        known = self._known.get(user_id)
        if known is not None and now - known.at < at_most_s:
            return known.user
        answer = await self._calls.call("users.info", {"user": user_id}, priority=Priority.CHANGED)
        try:
            user = _Info.model_validate(answer.data).user
        except ValidationError as error:
            raise Unavailable("Slack's answer to users.info is not one", ambiguous=False) from error
        self._known[user_id] = _Known(user, now)
        return user


def _in_slack(actors: Iterable[str]) -> list[str]:
    return sorted({actor.removeprefix("slack:") for actor in actors if actor.startswith("slack:")})
