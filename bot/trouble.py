"""Something that is not as it should be for a while: said once, again each minute, and once when it is over."""

from __future__ import annotations

from typing import Final

import structlog

from subjects.clock import Clock

AGAIN_S: Final = 60.0
"""A trouble that lasts is logged again after so long."""


class Trouble:
    """One thing that can go wrong and right again. ``now`` is why, while it is wrong."""

    def __init__(self, what: str, over: str, clock: Clock, *, again_s: float = AGAIN_S) -> None:
        """``what`` and ``over`` are the log's lines for when it is wrong and when it is right again."""
        self._what = what
        self._over = over
        self._clock = clock
        self._again_s = again_s
        self._log = structlog.get_logger("main")
        self._since = 0.0
        self._said_at: float | None = None
        self._said = False
        self.now: str | None = None

    def met(self, error: Exception | str) -> None:
        """It is wrong."""
        moment = self._clock.monotonic()
        if self.now is None:
            self._since = moment
        self.now = words(error)
        if self._said_at is None or moment - self._said_at >= self._again_s:
            self._said_at, self._said = moment, True
            self._log.error(self._what, error=self.now)

    def over(self) -> None:
        """It is right."""
        if self.now is not None and self._said:
            self._said = False
            self._log.info(self._over, after_s=round(self._clock.monotonic() - self._since, 1))
        self.now = None


def words(error: Exception | str) -> str:
    """An error in one line."""
    text = str(error) or type(error).__name__
    return " ".join(text.split())
