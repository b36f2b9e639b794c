"""`/api/METHOD`: authentication, limits, scopes, arguments, the method, and the faults that are on.

Also `/actions/...`, where response_urls lead.
"""

import asyncio
import socket
import struct

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from compose.slack.catalog import MethodSpec
from compose.slack.context import LocalSlack
from compose.slack.errors import ApiError, RateLimitedError
from compose.slack.faults import FaultSpec
from compose.slack.methods import METHODS
from compose.slack.records import JsonObject
from compose.slack.wire import Call, read_call

_HTML = "<!doctype html><title>Error</title><h1>Something went wrong</h1><p>local Slack (stand-in), on request</p>"
_OBJECT: TypeAdapter[JsonObject] = TypeAdapter(JsonObject)
_WITHOUT_TOKEN = frozenset({"api.test"})
_WITH_APP_TOKEN = frozenset({"apps.connections.open"})


class WebApi:
    """Answers Web API calls."""

    def __init__(self, slack: LocalSlack) -> None:
        self._slack = slack

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to serve."""
        return [
            web.get("/api/{method}", self._serve),
            web.post("/api/{method}", self._serve),
            web.post("/actions/{team}/{key}", self._respond),
        ]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        try:
            call = await read_call(request, method)
        except ApiError as error:
            return self._json(error.body(), method)
        fault = self._slack.faults.strike(call)
        if fault is None:
            return self._finish(call, None)
        return await self._faulty(request, call, fault)

    async def _faulty(self, request: web.Request, call: Call, fault: FaultSpec) -> web.StreamResponse:
        match fault.kind:
            case "slow":
                await asyncio.sleep(fault.delay)
                return self._finish(call, fault)
            case "reset_after_apply":
                response = self._finish(call, fault)
                _reset(request)
                return response
            case "down" | "reset_before":
                self._slack.calls.add(call, status=0, result={}, fault=fault.kind)
                if fault.kind == "down" and request.transport is not None:
                    request.transport.close()
                else:
                    _reset(request)
                return web.Response(status=503)
            case "http_500" | "html":
                status = 500 if fault.kind == "http_500" else 200
                self._slack.calls.add(call, status=status, result={}, fault=fault.kind)
                return web.Response(status=status, text=_HTML, content_type="text/html")
            case "ratelimited":
                return self._limited(call, RateLimitedError(fault.retry_after), fault.kind)
            case "error":
                return self._answer(call, ApiError(fault.error).body(), fault.kind)

    def _finish(self, call: Call, fault: FaultSpec | None) -> web.Response:
        kind = None if fault is None else fault.kind
        try:
            result = self._call(call)
        except RateLimitedError as error:
            return self._limited(call, error, kind)
        except ApiError as error:
            result = error.body()
        return self._answer(call, result, kind)

    def _answer(self, call: Call, result: JsonObject, fault: str | None) -> web.Response:
        body: JsonObject = {"ok": True} | result
        self._slack.calls.add(call, status=200, result=body, fault=fault)
        return self._json(body, call.method)

    def _limited(self, call: Call, error: RateLimitedError, fault: str | None) -> web.Response:
        body: JsonObject = {"ok": False, "error": "ratelimited"}
        self._slack.calls.add(call, status=429, result=body, fault=fault)
        return web.json_response(body, status=429, headers={"Retry-After": str(error.retry_after)})

    def _call(self, call: Call) -> JsonObject:
        method = METHODS.get(call.method)
        spec = self._slack.catalog.methods.get(call.method)
        if method is None or spec is None:
            raise ApiError("unknown_method", req_method=call.method)
        self._authorize(call, spec)
        self._slack.limiter.check(call.method, spec, call.token or "")
        missing = [name for name in spec.required if call.args.get(name) in {None, ""}]
        if missing:
            raise ApiError("invalid_arguments", *(f"missing required field: {name}" for name in missing))
        return method(self._slack, call)

    def _authorize(self, call: Call, spec: MethodSpec) -> None:
        if call.method in _WITHOUT_TOKEN:
            return
        identity = self._slack.workspace.identity
        if call.token is None:
            raise ApiError("not_authed")
        if call.token not in {identity.bot_token, identity.app_token}:
            raise ApiError("invalid_auth")
        if (call.token == identity.app_token) != (call.method in _WITH_APP_TOKEN):
            raise ApiError("not_allowed_token_type")
        provided = self._slack.manifest.scopes
        if spec.scopes and not spec.scopes & provided:
            raise ApiError("missing_scope", needed=",".join(sorted(spec.scopes)), provided=",".join(sorted(provided)))

    def _json(self, body: JsonObject, method: str) -> web.Response:
        spec = self._slack.catalog.methods.get(method)
        headers = {
            "x-slack-req-id": self._slack.ids.uuid().replace("-", ""),
            "x-oauth-scopes": ",".join(sorted(self._slack.manifest.scopes)),
            "x-accepted-oauth-scopes": ",".join(sorted(spec.scopes)) if spec else "",
            "Cache-Control": "private, no-cache, no-store",
        }
        return web.json_response(body, headers=headers)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        try:
            body = _OBJECT.validate_json(await request.read())
            self._slack.interactivity.respond(request.match_info["key"], body)
        except ValidationError:
            return web.Response(status=400, text="invalid_payload")
        except ApiError as error:
            status = 404 if error.code in {"expired_url", "used_url"} else 400
            return web.json_response(error.body(), status=status)
        return web.Response(text="ok")


def _reset(request: web.Request) -> None:
    """Make the connection end with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.Transport):
        transport.abort()
