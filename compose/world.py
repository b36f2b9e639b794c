"""A world to watch: Redis, the nodes of a rate limiter, their users, and a batch client. `python -m compose.world`.

Everything stands in one directory and every process ends with the world, however that ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
import tempfile
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from compose.deployment import Layout, ensure_token, write_configs
from compose.errors import ConflictError, DeployError, NotFoundError
from compose.ports import LOOPBACK, Ports
from compose.processes import Process
from compose.redis_server import answers_ping, find_redis_server, redis_command
from compose.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    import aiohttp

    from compose.node_api import NodeApi
    from compose.processes import Kind

Verb = Literal["start", "stop", "restart", "pause", "resume"]
VERBS: tuple[Verb, ...] = ("start", "stop", "restart", "pause", "resume")
HEALTHY_WITHIN_S = 15.0
PROGRAMS_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done to the world: when (seconds since the epoch) and what."""

    at: float
    what: str


class World:
    """The processes and where they answer.

    Args:
        root: The directory that everything stands in.
        limiters: How many rate limiter nodes there are.
        wall: Seconds since the epoch, for the history.

    Attributes:
        layout: Where the files are.
        limiters: The names of the rate limiter nodes.
        history: What was done so far.
        busy: Held while something is being done to the world.
    """

    def __init__(self, root: Path, *, limiters: int, wall: Callable[[], float]) -> None:
        self.layout = Layout(root.resolve())
        self.limiters = [f"rl-{number}" for number in range(1, limiters + 1)]
        self.history: list[Event] = []
        self.busy = asyncio.Lock()
        self._wall = wall
        self._ports = Ports(self.layout.ports_file)
        self._processes: dict[str, Process] = {}
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self.control_token = ""

    @property
    def redis_url(self) -> str:
        """Where Redis is."""
        return f"redis://{LOOPBACK}:{self._ports['redis']}/0"

    @property
    def closed_redis_url(self) -> str:
        """An address where nothing ever listens."""
        return f"redis://{LOOPBACK}:{self._ports['closed']}/0"

    @property
    def control_port(self) -> int:
        """The port of the control API."""
        return self._ports["control"]

    @property
    def processes(self) -> Sequence[Process]:
        """All of them, in the order in which they are started."""
        return tuple(self._processes.values())

    def process(self, name: str) -> Process:
        """One process.

        Raises:
            NotFoundError: There is none of that name.
        """
        try:
            return self._processes[name]
        except KeyError:
            known = ", ".join(self._processes)
            raise NotFoundError(f"there is no node {name!r}; there are {known}") from None

    def api(self, name: str) -> NodeApi:
        """The HTTP API of one process, as somebody with the token uses it."""
        from compose.node_api import NodeApi  # noqa: PLC0415 - see `_open_session`

        if self._session is None:
            raise ConflictError("the world is not running")
        return NodeApi(self._session, self.process(name).url, self._token)

    def note(self, what: str) -> None:
        """Add to the history."""
        self.history.append(Event(self._wall(), what))

    async def do(self, name: str, verb: Verb) -> None:
        """Start, stop, restart, freeze or resume one process, and return once that has taken.

        Raises:
            NotFoundError: There is none of that name.
            ConflictError: Not possible in its present state.
        """
        process = self.process(name)
        match verb:
            case "start":
                await process.start()
            case "stop":
                await process.stop()
            case "restart":
                await process.restart()
            case "pause":
                await process.pause()
            case "resume":
                await process.resume()
        self.note(f"{verb} {name}")

    @asynccontextmanager
    async def running(self, *, control_port: int = 0) -> AsyncIterator[None]:
        """The world while the body runs: started and healthy before, every process gone after.

        Raises:
            DeployError: It can't be started.
        """
        self.layout.prepare()
        with _locked(self.layout.lock_file):
            try:
                self._deploy(control_port)
                for process in self.processes:
                    await process.spawn()
                self._session = _open_session()
                await self._wait_healthy()
                self.note("started")
                yield
            finally:
                await self._end()

    def _deploy(self, control_port: int) -> None:
        binary = find_redis_server()
        self._token = ensure_token(self.layout.token_file)
        self.control_token = ensure_token(self.layout.world_token_file)
        names = ["redis", *self.limiters, "load", "batch"]
        self._ports.hold([*names, "control", "closed"], {"control": control_port})
        write_configs(self.layout, self.limiters, self._ports, self.redis_url)
        self._add(
            "redis",
            "redis",
            redis_command(binary, port=self._ports["redis"], directory=self.layout.root / "redis"),
        )
        for name in self.limiters:
            self._add(name, "limiter", self._program("node", name))
        self._add("load", "load", self._program("load", "load"))
        self._add("batch", "batch", self._program("batch", "batch"))

    def _program(self, module: str, name: str) -> tuple[str, ...]:
        config = str(self.layout.config(name))
        return (sys.executable, "-m", f"compose.ratelimiter.{module}", "--config", config)

    def _add(self, name: str, kind: Kind, command: Sequence[str]) -> None:
        port = self._ports[name]

        async def ready() -> bool:
            return await (answers_ping(LOOPBACK, port) if kind == "redis" else self.api(name).healthy())

        self._processes[name] = Process(
            name=name,
            kind=kind,
            url=self.redis_url if kind == "redis" else f"http://{LOOPBACK}:{port}",
            command=command,
            directory=PROGRAMS_ROOT,
            log=self.layout.log(name),
            pid_file=self.layout.pid(name),
            ready=ready,
        )

    async def _wait_healthy(self) -> None:
        for process in self.processes:
            await process.wait_ready()
        for name in self.limiters:
            try:
                await until(
                    lambda name=name: self._healthy(name),  # type: ignore[misc]
                    within_s=HEALTHY_WITHIN_S,
                    what=f"{name} has no limits or no subscription",
                )
            except ConflictError as error:
                raise DeployError(f"{error}:\n{self.process(name).log_tail()}") from error

    async def _healthy(self, name: str) -> bool:
        status = await self.api(name).status()
        return status.redis.connected and status.subscription.connected and bool(status.limits)

    async def _end(self) -> None:
        """End every process, those first that use the others, and give everything back."""
        self.layout.world_file.unlink(missing_ok=True)
        by_kind: tuple[Kind, ...] = ("load", "batch", "limiter", "redis")
        for kind in by_kind:
            async with asyncio.TaskGroup() as group:
                for process in self.processes:
                    if process.kind == kind:
                        group.create_task(process.end())
        if self._session is not None:
            await self._session.close()
        self._ports.release()

    def write_world_file(self) -> None:
        """Tell others where everything is, now that all of it is ready."""
        described = {
            "control_url": f"http://{LOOPBACK}:{self.control_port}",
            "redis_url": self.redis_url,
            "token_file": str(self.layout.token_file),
            "world_token_file": str(self.layout.world_token_file),
            "nodes": {name: self._where(name) for name in self.limiters},
            "load": self._where("load"),
            "batch": self._where("batch"),
        }
        write_atomically(self.layout.world_file, json.dumps(described, indent=2) + "\n")

    def _where(self, name: str) -> dict[str, str | int]:
        return {"url": self.process(name).url, "port": self._ports[name]}


def _open_session() -> aiohttp.ClientSession:
    """An HTTP client; its import takes as long as the children's own, which run meanwhile."""
    import aiohttp  # noqa: PLC0415 - see above

    return aiohttp.ClientSession()


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file; it ends with this process, however that ends."""
    with path.open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeployError(f"a world runs in {path.parent} already; stop it, or choose another --dir") from None
        yield


if __name__ == "__main__":
    from compose.world_cli import main

    main()
