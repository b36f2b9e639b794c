"""The parts of a running local Slack, handed to whatever serves it."""

from collections.abc import Callable
from dataclasses import dataclass

from compose.slack.catalog import Catalog
from compose.slack.events import Events
from compose.slack.faults import CallLog, Faults
from compose.slack.ids import Ids
from compose.slack.interactivity import Interactivity
from compose.slack.limits import Limiter
from compose.slack.manifest import Manifest
from compose.slack.messaging import Messaging
from compose.slack.socket_mode import SocketHub
from compose.slack.state import Workspace


@dataclass(frozen=True, slots=True)
class LocalSlack:
    """One workspace with its app. `now` gives unix seconds; `base_url` ends with a slash."""

    workspace: Workspace
    messaging: Messaging
    interactivity: Interactivity
    events: Events
    hub: SocketHub
    manifest: Manifest
    catalog: Catalog
    limiter: Limiter
    faults: Faults
    calls: CallLog
    ids: Ids
    now: Callable[[], float]
    base_url: Callable[[], str]
