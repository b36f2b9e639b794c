"""The world's control API, on loopback: what there is, faults and their cures, and every process.

Reads are open. Writes need `Authorization: Bearer` with the token in the world's directory. A request whose Host
is not loopback is refused, so that no web page reaches it through a name of its own.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from compose import runbook
from compose.errors import ConflictError, NotFoundError, WorldError
from compose.faults import describe, make_fault
from compose.ratelimiter.config import Strict
from compose.ratelimiter.errors import RequestError
from compose.ratelimiter.http_json import BODY_BOUND, error_answer, errors_as_json, parse_body
from compose.world import VERBS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from compose.fault_kind import Fault
    from compose.world import World

PRESENT_WITHIN_S = 1.0
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

log = logging.getLogger("world.control")


class NodeChoice(Strict):
    """The body of a fault or a cure."""

    node: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What a write did.

    Attributes:
        fault: The fault's name.
        done: What was done, in a sentence.
        cure: The only thing that mends it.
    """

    fault: str
    done: str
    cure: str


class Control:
    """The handlers.

    Args:
        world: What is controlled.
        stop: Set when somebody asks the world to end.
    """

    def __init__(self, world: World, stop: asyncio.Event) -> None:
        self._world = world
        self._stop = stop
        self._active: dict[str, Fault] = {}

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(middlewares=[errors_as_json, self._guard], client_max_size=BODY_BOUND)
        app.add_routes(
            [
                web.get("/", self.state),
                web.get("/state", self.state),
                web.get("/faults", self.faults),
                web.get("/runbook", self.runbook),
                web.post("/faults/{fault}", self.break_),
                web.post("/cures/{fault}", self.mend),
                web.post("/nodes/{name}/{verb}", self.node),
                web.post("/stop", self.stop),
            ]
        )
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if host not in LOOPBACK_HOSTS:
            raise RequestError(403, "forbidden_host", "the Host header must be 127.0.0.1, localhost or [::1]")
        if request.method not in {"GET", "HEAD"}:
            self._authorize(request)
        try:
            return await handler(request)
        except NotFoundError as error:
            return error_answer(404, "not_found", str(error))
        except ConflictError as error:
            return error_answer(409, "conflict", str(error))
        except WorldError as error:
            return error_answer(500, "world_error", str(error))

    def _authorize(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise RequestError(
                401,
                "unauthorized",
                "writes need the header Authorization: Bearer TOKEN, from the world's world-token file",
                {"WWW-Authenticate": 'Bearer realm="world"'},
            )
        wanted = self._world.control_token
        if not hmac.compare_digest(given.strip().encode(errors="surrogateescape"), wanted.encode()):
            raise RequestError(403, "forbidden", "the token is not this world's")

    async def state(self, _request: web.Request) -> web.Response:
        """Tell every process, the faults whose mechanism is in place, and what was done."""
        await self._forget_mended()
        return web.json_response(
            {
                "nodes": {
                    process.name: {
                        "kind": process.kind,
                        "pid": process.pid,
                        "state": process.state,
                        "url": process.url,
                    }
                    for process in self._world.processes
                },
                "faults": sorted(self._active),
                "history": [asdict(event) for event in self._world.history],
            }
        )

    async def faults(self, _request: web.Request) -> web.Response:
        """Tell every fault that the world can have."""
        return web.json_response([asdict(info) for info in describe(self._world.limiters)])

    async def runbook(self, _request: web.Request) -> web.Response:
        """Show what mends what, as a page for people."""
        return web.Response(text=runbook.page(describe(self._world.limiters)), content_type="text/html")

    async def break_(self, request: web.Request) -> web.Response:
        """Break something, and return once that has taken."""
        choice = await _choice(request)
        name = request.match_info["fault"]
        fault = make_fault(self._world, name, choice.node)
        async with self._world.busy:
            await self._forget_mended()
            if name in self._active:
                raise ConflictError(f"{name} is there already; mend it first")
            done = await fault.inject()
            self._world.note(f"fault {name}: {done}")
            if await fault.present():
                self._active[name] = fault
        return web.json_response(asdict(Done(name, done, fault.remedy)))

    async def mend(self, request: web.Request) -> web.Response:
        """Mend something as a person would, and return once that has taken."""
        choice = await _choice(request)
        name = request.match_info["fault"]
        async with self._world.busy:
            fault = self._active.get(name)
            if fault is None or choice.node not in {None, fault.node}:
                fault = make_fault(self._world, name, choice.node)
            done = await fault.cure()
            self._active.pop(name, None)
            self._world.note(f"cure {name}: {done}")
        return web.json_response(asdict(Done(name, done, fault.remedy)))

    async def node(self, request: web.Request) -> web.Response:
        """Do something to one process, and return once that has taken."""
        await _choice(request)
        name, asked = request.match_info["name"], request.match_info["verb"]
        verb = next((verb for verb in VERBS if verb == asked), None)
        if verb is None:
            raise NotFoundError(f"there is no verb {asked!r}; there are {', '.join(VERBS)}")
        async with self._world.busy:
            await self._world.do(name, verb)
        process = self._world.process(name)
        return web.json_response({"name": name, "pid": process.pid, "state": process.state})

    async def stop(self, request: web.Request) -> web.Response:
        """End the world soon after this answer."""
        await _choice(request)
        self._stop.set()
        return web.json_response({"stopping": True})

    async def _forget_mended(self) -> None:
        """Take the faults off the list whose mechanism somebody has undone."""
        faults = dict(self._active)
        for name, there in zip(
            faults, await asyncio.gather(*(_is_there(fault) for fault in faults.values())), strict=True
        ):
            if not there and self._active.get(name) is faults[name]:
                del self._active[name]
                faults[name].tidy()
                self._world.note(f"mended otherwise: {name}")


async def _is_there(fault: Fault) -> bool:
    """Whether a fault is in place; one that can't be looked at is taken to be."""
    try:
        async with asyncio.timeout(PRESENT_WITHIN_S):
            return await fault.present()
    except (ConflictError, TimeoutError) as error:
        log.info("%s can't be looked at now: %s", fault.name, error)
        return True


async def _choice(request: web.Request) -> NodeChoice:
    return await parse_body(request, NodeChoice) if request.can_read_body else NodeChoice()
