"""The waits of the protocol in seconds, in one place so that tests and demos can compress them."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Timings:
    """Defaults are Slack's."""

    ack: float = 3.0  # an envelope is acknowledged within this, or was not delivered
    event_retries: tuple[float, ...] = (0.0, 60.0, 300.0)  # waits before an event's attempts 1 to 3
    ticket: float = 30.0  # how long the URL of apps.connections.open opens
    server_ping: float = 10.0  # between the server's own pings
    warning_linger: float = 10.0  # a socket lives so long after `disconnect: warning`
    disconnect_linger: float = 1.0  # and so long after any other reason
    response_url: float = 1800.0  # life of a response_url
    trigger: float = 3.0  # life of a trigger_id

    def compressed(self, factor: float) -> Self:
        """Return the same with the waits between an event's attempts divided by `factor`."""
        return replace(self, event_retries=tuple(wait / factor for wait in self.event_retries))
