"""Socket Mode: tickets, connections, and envelopes that go to exactly one of them and want an answer in 3 s."""

import asyncio
import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog
from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import BaseModel, ConfigDict, ValidationError

from compose.slack.background import Background
from compose.slack.errors import NotDeliveredError
from compose.slack.ids import Ids
from compose.slack.records import JsonObject
from compose.slack.timings import Timings

log = structlog.get_logger(__name__)

MAX_CONNECTIONS: Final = 10
SLACKS_CONNECTION_TIME: Final = 18_060  # seconds that Slack's hello announces; the local one does not expire

DisconnectReason = Literal["warning", "refresh_requested", "link_disabled", "too_many_websockets"]
EnvelopeType = Literal["events_api", "slash_commands", "interactive"]


class _Ack(BaseModel):
    model_config = ConfigDict(extra="ignore")

    envelope_id: str
    payload: JsonObject | None = None


@dataclass(slots=True)
class _Connection:
    number: int
    socket: web.WebSocketResponse
    transport: asyncio.BaseTransport | None
    leaving: bool = False
    waiting: dict[str, asyncio.Future[JsonObject | None]] = field(default_factory=dict)


class SocketHub:
    """All sockets of the app."""

    def __init__(self, timings: Timings, ids: Ids, background: Background, now: Callable[[], float]) -> None:
        self._timings = timings
        self._ids = ids
        self._background = background
        self._now = now
        self._tickets: dict[str, float] = {}
        self._connections: dict[int, _Connection] = {}
        self._opened = 0
        self._came = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None
        self.deaf = False
        self.mute_pongs = False

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._connections)

    def ticket(self) -> str:
        """Return a ticket that opens one connection."""
        ticket = self._ids.uuid()
        self._tickets = {one: until for one, until in self._tickets.items() if until > self._now()}
        self._tickets[ticket] = self._now() + self._timings.ticket
        return ticket

    # Sockets

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer the WebSocket that a ticket stands for, until it closes."""
        until = self._tickets.pop(request.query.get("ticket", ""), None)
        if until is None or until <= self._now():
            return web.Response(status=408, text="The ticket is unknown, used or expired.")
        socket = web.WebSocketResponse(autoping=False, max_msg_size=4 * 1024 * 1024)
        await socket.prepare(request)
        if len(self._connections) >= MAX_CONNECTIONS:
            await self._send_disconnect(socket, "too_many_websockets")
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
            return socket
        self._opened += 1
        connection = _Connection(self._opened, socket, request.transport)
        self._connections[connection.number] = connection
        pinging = asyncio.create_task(self._ping(connection))
        try:
            await socket.send_str(json.dumps(self._hello(request)))
            self._came.set()
            self.on_change()
            await self._receive(connection)
        except ConnectionError:
            log.info("socket lost", connection=connection.number)
        finally:
            pinging.cancel()
            self._drop(connection)
        return socket

    def _hello(self, request: web.Request) -> JsonObject:
        return {
            "type": "hello",
            "num_connections": len(self._connections),
            "debug_info": {
                "host": "local-slack-stand-in",
                "build_number": 1,
                "approximate_connection_time": SLACKS_CONNECTION_TIME,
            },
            "connection_info": {"app_id": request.query.get("app_id", "")},
        }

    async def _receive(self, connection: _Connection) -> None:
        async for frame in connection.socket:
            if frame.type is WSMsgType.PING:
                if not self.mute_pongs:
                    await connection.socket.pong(frame.data)
            elif frame.type is WSMsgType.TEXT and not self.deaf:
                self._acknowledged(connection, str(frame.data))

    def _acknowledged(self, connection: _Connection, text: str) -> None:
        try:
            ack = _Ack.model_validate_json(text)
        except ValidationError:
            log.warning("a frame that is no acknowledgement", connection=connection.number, frame=text[:200])
            return
        answer = connection.waiting.pop(ack.envelope_id, None)
        if answer is None:
            log.info("acknowledged too late or twice", envelope=ack.envelope_id)
        elif not answer.done():
            answer.set_result(ack.payload)

    async def _ping(self, connection: _Connection) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(self._timings.server_ping)
                await connection.socket.ping(b"Ping from local-slack-stand-in")

    def _drop(self, connection: _Connection) -> None:
        self._connections.pop(connection.number, None)
        for answer in connection.waiting.values():
            if not answer.done():
                answer.set_exception(NotDeliveredError("connection_lost"))
        connection.waiting.clear()
        if not self._usable():
            self._came.clear()
        self.on_change()

    def _usable(self) -> list[_Connection]:
        return [one for one in self._connections.values() if not one.leaving]

    # Envelopes

    async def deliver(
        self,
        kind: EnvelopeType,
        payload: JsonObject,
        *,
        accepts_payload: bool = False,
        extra: JsonObject | None = None,
    ) -> JsonObject | None:
        """Send one envelope to one connection and return the payload of its acknowledgement.

        Raises NotDeliveredError("no_app") without a connection, "connection_lost" or "timeout" without an answer.
        """
        usable = self._usable()
        if not usable:
            raise NotDeliveredError("no_app")
        connection = self._ids.rng.choice(usable)
        envelope_id = self._ids.uuid()
        envelope: JsonObject = {
            "envelope_id": envelope_id,
            "payload": payload,
            "type": kind,
            "accepts_response_payload": accepts_payload,
        }
        answer: asyncio.Future[JsonObject | None] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope_id] = answer
        try:
            async with asyncio.timeout(self._timings.ack):
                if not self.deaf:
                    await connection.socket.send_str(json.dumps(envelope | (extra or {})))
                return await answer
        except TimeoutError:
            raise NotDeliveredError("timeout") from None
        except ConnectionError:
            raise NotDeliveredError("connection_lost") from None
        finally:
            connection.waiting.pop(envelope_id, None)

    async def wait_for_app(self) -> None:
        """Wait for a connection as long as an acknowledgement may take; raises NotDeliveredError("no_app")."""
        try:
            async with asyncio.timeout(self._timings.ack):
                await self._came.wait()
        except TimeoutError:
            raise NotDeliveredError("no_app") from None

    # Faults

    async def disconnect(self, reason: DisconnectReason | None) -> int:
        """Ask every client to leave, for one of Slack's reasons, or cut them all off (None); return how many."""
        connections = list(self._connections.values())
        for connection in connections:
            connection.leaving = True
            if reason is None:
                self._cut(connection)
                continue
            with contextlib.suppress(ConnectionError):
                await self._send_disconnect(connection.socket, reason)
            linger = self._timings.warning_linger if reason == "warning" else self._timings.disconnect_linger
            self._background.spawn(self._close_later(connection, linger), "socket.close")
        if not self._usable():
            self._came.clear()
        return len(connections)

    async def close(self) -> None:
        """Close every socket, when the server stops."""
        for connection in list(self._connections.values()):
            with contextlib.suppress(ConnectionError):
                await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    def _cut(self, connection: _Connection) -> None:
        if isinstance(connection.transport, asyncio.Transport):
            connection.transport.abort()

    async def _send_disconnect(self, socket: web.WebSocketResponse, reason: DisconnectReason) -> None:
        notice = {"type": "disconnect", "reason": reason, "debug_info": {"host": "local-slack-stand-in"}}
        await socket.send_str(json.dumps(notice))

    async def _close_later(self, connection: _Connection, linger: float) -> None:
        if math.isfinite(linger):
            await asyncio.sleep(linger)
        with contextlib.suppress(ConnectionError):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)
