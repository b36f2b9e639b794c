"""How the process ends: orderly at the first signal, at once at the second, and never later than a deadline."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Final

WITHIN_S: Final = 4.5
"""Whatever hangs by then (a database that another program holds, say) is left behind."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Waits for SIGTERM or SIGINT; the process is gone ``within_s`` seconds after it, whatever happens."""

    def __init__(self, within_s: float = WITHIN_S) -> None:
        self._within_s = within_s
        self._asked = asyncio.Event()
        self.reason = ""

    def watch(self) -> None:
        """From now on the first signal asks for an orderly end, the second ends the process at once."""
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._ask, number)

    def unwatch(self) -> None:
        """Leave the signals to their defaults again."""
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    async def asked(self) -> None:
        """Return when the end was asked for."""
        await self._asked.wait()

    def _ask(self, number: signal.Signals) -> None:
        self.reason = f"{number.name} was received"
        self._asked.set()
        self.unwatch()
        # A thread, as the event loop may be what hangs.
        deadline = threading.Timer(self._within_s, _end_now)
        deadline.daemon = True
        deadline.start()


def _end_now() -> None:
    os.write(2, b"operator: the orderly end took too long; ended at once\n")
    os._exit(1)
