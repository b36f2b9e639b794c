"""How operator itself is: what is wrong at this moment, for the web, the heartbeat and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from bot.trouble import Trouble
from scheduler.loop import Loop


class SlackHealth(Protocol):
    """How the link to Slack is. ``behind`` counts entries not yet shown, ``refused`` what Slack would not take."""

    @property
    def connected(self) -> bool:
        """Whether events arrive and calls succeed."""

    @property
    def why(self) -> str:
        """Why not."""

    @property
    def last_ok_at(self) -> datetime | None:
        """When Slack last answered well."""

    @property
    def behind(self) -> int:
        """Entries of the log that are not yet shown."""

    @property
    def refused(self) -> int:
        """Messages that Slack refused for good."""


class Vitals:
    """Gathers what the parts say of themselves. ``slack`` gives None where Slack is not configured."""

    def __init__(self, loop: Loop, database: Trouble, fault: Trouble, slack: Callable[[], SlackHealth | None]) -> None:
        self.loop = loop
        self.database = database
        self._fault = fault
        self.slack = slack

    def problems(self) -> list[str]:
        """Why operator can't do its work at this moment, a sentence each; none when all is well."""
        found = [f"the subject {name} has not been looked at for too long" for name in self.loop.late()]
        if self.database.now is not None:
            found.append(self.database.now)
        if self._fault.now is not None:
            found.append(f"what was found can't be recorded: {self._fault.now}")
        slack = self.slack()
        if slack is not None and not slack.connected:
            found.append(f"Slack is not connected: {slack.why}")
        return found
