"""The one door to Slack's Web API: paced, bounded in time, judged, and with a failpoint on either side of a change."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.failpoints import failpoint
from bot.slack.errors import LIMITED, AuthLost, SlackError, Unavailable, judged
from bot.slack.pace import Pace, Priority, Tempo
from subjects.clock import Clock

log = structlog.get_logger("slack")

Arguments: TypeAlias = Mapping[str, object]
"""A call's arguments, as they go over the wire."""
Prepare: TypeAlias = Callable[[], Awaitable[Arguments | None]]
"""Asked for the arguments once it is a call's turn, so that the newest state is sent; None: nothing is to be sent."""

CHANGES: Final = frozenset(
    {"chat.postMessage", "chat.update", "chat.delete", "chat.postEphemeral", "conversations.join"}
)
DEFAULT_WAIT_S: Final = 10.0
LONGEST_WAIT_S: Final = 300.0
"""Slack's own waits are seconds. One that asks for hours must not silence a method until a restart."""
MAX_LIMITED: Final = 5
"""So often is a call tried again at once after a 429; then its caller decides."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Slack answered with ``ok``, and the response's headers."""

    data: Mapping[str, object]
    headers: Mapping[str, str]


class Calls:
    """Calls Slack, and remembers how that goes.

    ``trouble`` says why Slack can't be used at present, None where it can; ``on_recovery`` is called when it
    answers again.
    """

    def __init__(self, client: AsyncWebClient, clock: Clock, tempo: Tempo) -> None:
        # Ambiguous failures must be seen, and limits kept, here: the SDK's own retries would post twice.
        client.retry_handlers = []
        self._client = client
        self._clock = clock
        self._tempo = tempo
        self._pace = Pace(clock.monotonic, tempo)
        self.trouble: str | None = None
        self.last_ok_at: datetime | None = None
        self.on_recovery: Callable[[], None] = lambda: None

    async def call(
        self, method: str, arguments: Arguments | None = None, *, priority: Priority = Priority.CHANGED, token: str = ""
    ) -> Answer:
        """Make one call. Raises a ``SlackError``."""

        async def prepare() -> Arguments:
            return arguments or {}

        answer = await self.prepared(method, prepare, priority=priority, token=token)
        if answer is None:
            raise Unavailable(f"{method} was not called", ambiguous=False)
        return answer

    async def prepared(
        self, method: str, prepare: Prepare, *, priority: Priority, channel: str = "", token: str = ""
    ) -> Answer | None:
        """Make one call with the arguments that ``prepare`` gives when its turn comes; None where it gives none."""
        for _ in range(MAX_LIMITED):
            async with self._pace.turn(method, channel, priority) as turn:
                arguments = await prepare()
                if arguments is None:
                    turn.unused()
                    return None
                answer = await self._once(method, arguments, token)
            if isinstance(answer, Answer):
                return answer
            log.warning("Slack limits a method", method=method, retry_after_s=answer)
            self._pace.hold(method, answer)
        raise Unavailable(f"Slack limits {method} again and again", ambiguous=False)

    async def _once(self, method: str, arguments: Arguments, token: str) -> Answer | float:
        """The answer, or for how many seconds Slack wants to be left alone."""
        changes = method in CHANGES
        if changes:
            failpoint("slack.before")
        try:
            response = await self._send(method, arguments, token)
        except SlackApiError as error:
            if (limited := _retry_after(error)) is not None:
                return limited
            raise self._failed(_judged(error, method, str(arguments.get("channel", "")))) from error
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            words = f"Slack can't be reached ({error.__class__.__name__})"
            raise self._failed(Unavailable(words, ambiguous=False)) from error
        except TimeoutError as error:
            words = f"Slack did not answer {method} within {self._tempo.timeout_s:g} s"
            raise self._failed(Unavailable(words, ambiguous=True)) from error
        # AttributeError: the SDK takes an answer of type text/plain for a record.
        except (aiohttp.ClientError, SlackClientError, OSError, ValueError, AttributeError) as error:
            words = f"the connection broke during {method} ({error.__class__.__name__})"
            raise self._failed(Unavailable(words, ambiguous=True)) from error
        if changes:
            failpoint("slack.after")
        self._succeeded()
        return Answer(_record(response.data), dict(response.headers))

    async def _send(self, method: str, arguments: Arguments, token: str) -> AsyncSlackResponse:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        # The session that the client was given bounds the time of each call.
        if method in CHANGES:
            return await self._client.api_call(method, json=dict(arguments), headers=headers)
        verb = "POST" if token else "GET"
        return await self._client.api_call(method, http_verb=verb, params=dict(arguments), headers=headers)

    def wait(self, method: str) -> float:
        """Seconds until the budget has room for one call of ``method``."""
        return self._pace.wait(method)

    def _succeeded(self) -> None:
        self.last_ok_at = self._clock.now()
        if self.trouble is not None:
            log.info("Slack answers again", after=self.trouble)
            self.trouble = None
            self.on_recovery()

    def _failed(self, error: SlackError) -> SlackError:
        if isinstance(error, Unavailable | AuthLost):
            if self.trouble is None:
                log.warning("Slack can't be used", why=str(error))
            self.trouble = str(error)
        else:
            self._succeeded()  # it answered; what it said is about one message
        return error


def _record(data: object) -> Mapping[str, object]:
    return data if isinstance(data, dict) else {}


def _retry_after(error: SlackApiError) -> float | None:
    response = error.response
    code = _record(getattr(response, "data", None)).get("error")
    if getattr(response, "status_code", None) != 429 and not (isinstance(code, str) and code in LIMITED):
        return None
    headers = {str(name).lower(): value for name, value in (getattr(response, "headers", None) or {}).items()}
    return wait_for(str(headers.get("retry-after", "")))


def wait_for(retry_after: str) -> float:
    """The seconds that a Retry-After header asks for, as far as they are believed; a default where it says nothing."""
    try:
        seconds = float(retry_after)
    except ValueError:
        return DEFAULT_WAIT_S
    return DEFAULT_WAIT_S if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_WAIT_S)


def _judged(error: SlackApiError, method: str, channel: str) -> SlackError:
    data = _record(getattr(error.response, "data", None))
    code = data.get("error")
    status = getattr(error.response, "status_code", None) or getattr(error.response, "status", "no")
    if not isinstance(code, str) or (isinstance(status, int) and status >= 500):
        # Whatever a failing server adds, it is no answer about the message.
        return Unavailable(f"Slack answers {method} with status {status} ({code or 'no record'})", ambiguous=True)
    metadata = data.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    detail = "; ".join(str(message) for message in messages[:3]) if isinstance(messages, list) else ""
    return judged(code, method=method, channel=channel, detail=detail[:500], needed=str(data.get("needed", "")))
