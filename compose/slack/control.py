"""The control API for tests and demos: faults, the record of calls, and acting as a person without a browser.

Every request needs `Authorization: Bearer` with the token of the file that slack.json names.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compose.slack.acting import RefusedError, parse_act, perform
from compose.slack.context import LocalSlack
from compose.slack.errors import LocalSlackError
from compose.slack.faults import FaultSpec
from compose.slack.interactivity import NotPossibleError
from compose.slack.records import JsonObject
from compose.slack.socket_mode import DisconnectReason

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SocketOrder(BaseModel):
    """A fault of the sockets; each part is optional.

    `reason` sends that disconnect to every socket, "abrupt" cuts them off without a word. `deaf` swallows every
    envelope and acknowledgement while the socket stays open; `mute_pongs` leaves pings unanswered as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: DisconnectReason | None = None
    abrupt: bool = False
    deaf: bool | None = None
    mute_pongs: bool | None = None


class LimitsOrder(BaseModel):
    """Turn the rate limits on or off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool


class _CallsQuery(BaseModel):
    since: Annotated[int, Field(ge=0)] = 0
    method: str | None = None


class Control:
    """Serves `/control/...`."""

    def __init__(self, slack: LocalSlack) -> None:
        self._slack = slack

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to serve."""
        return [
            web.get("/control/state", self._guarded(self._state)),
            web.get("/control/calls", self._guarded(self._calls)),
            web.get("/control/events", self._guarded(self._events)),
            web.get("/control/faults", self._guarded(self._list_faults)),
            web.post("/control/faults", self._guarded(self._add_fault)),
            web.delete("/control/faults", self._guarded(self._clear_faults)),
            web.post("/control/socket/disconnect", self._guarded(self._socket)),
            web.post("/control/limits", self._guarded(self._limits)),
            web.post("/control/act", self._guarded(self._act)),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def check(request: web.Request) -> web.StreamResponse:
            expected = f"Bearer {self._slack.workspace.identity.control_token}"
            if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
                return _problem(401, "unauthorized", "Send `Authorization: Bearer` with the control token.")
            try:
                return await handler(request)
            except ValidationError as error:
                return _problem(400, "invalid", str(error))
            except (RefusedError, NotPossibleError) as error:
                return _problem(409, "refused", str(error))
            except LocalSlackError as error:
                return _problem(400, "failed", str(error))

        return check

    async def _state(self, _: web.Request) -> web.Response:
        workspace = self._slack.workspace
        return web.json_response(
            {
                "connections": self._slack.hub.connections,
                "deaf": self._slack.hub.deaf,
                "limits": self._slack.limiter.enabled,
                "pending_events": len(workspace.deliveries),
                "messages": {
                    one.name or one.id: len(workspace.messages(one.id)) for one in workspace.channels.values()
                },
            }
        )

    async def _calls(self, request: web.Request) -> web.Response:
        query = _CallsQuery.model_validate(dict(request.query))
        return web.json_response({"calls": [asdict(one) for one in self._slack.calls.since(query.since, query.method)]})

    async def _events(self, _: web.Request) -> web.Response:
        return web.json_response({"attempts": [asdict(one) for one in self._slack.events.attempts]})

    async def _list_faults(self, _: web.Request) -> web.Response:
        listed: list[JsonObject] = [
            {"id": number} | spec.model_dump(mode="json", exclude_none=True)
            for number, spec in self._slack.faults.active()
        ]
        return web.json_response({"faults": listed})

    async def _add_fault(self, request: web.Request) -> web.Response:
        spec = FaultSpec.model_validate_json(await request.read())
        return web.json_response({"id": self._slack.faults.add(spec)}, status=201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._slack.faults.clear()
        return web.json_response({"faults": []})

    async def _socket(self, request: web.Request) -> web.Response:
        order = SocketOrder.model_validate_json(await request.read())
        if order.deaf is not None:
            self._slack.hub.deaf = order.deaf
        if order.mute_pongs is not None:
            self._slack.hub.mute_pongs = order.mute_pongs
        told = 0
        if order.abrupt or order.reason is not None:
            told = await self._slack.hub.disconnect(None if order.abrupt else order.reason)
        return web.json_response({"disconnected": told, "deaf": self._slack.hub.deaf})

    async def _limits(self, request: web.Request) -> web.Response:
        order = LimitsOrder.model_validate_json(await request.read())
        self._slack.limiter.enabled = order.enabled
        return web.json_response({"enabled": order.enabled})

    async def _act(self, request: web.Request) -> web.Response:
        result = await perform(self._slack, parse_act(await request.read()))
        return web.json_response(result.shape())


def _problem(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"ok": False, "error": {"code": code, "message": message}}, status=status)
