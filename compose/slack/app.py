"""Puts the local Slack together and runs it: state from the directory, one server on loopback."""

import asyncio
import errno
import fcntl
import json
import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import structlog
from aiohttp import web

from compose.slack.background import Background
from compose.slack.catalog import load_catalog
from compose.slack.context import LocalSlack
from compose.slack.control import Control
from compose.slack.errors import DirectoryInUseError, PortTakenError
from compose.slack.events import Events
from compose.slack.faults import CallLog, Faults
from compose.slack.guard import add_headers, guard
from compose.slack.ids import Ids
from compose.slack.interactivity import Interactivity
from compose.slack.journal import Journal
from compose.slack.limits import Limiter
from compose.slack.manifest import Manifest, load_manifest
from compose.slack.messaging import Messaging
from compose.slack.page import Page
from compose.slack.records import JsonObject
from compose.slack.seed import new_workspace
from compose.slack.socket_mode import SocketHub
from compose.slack.state import Workspace
from compose.slack.timings import Timings
from compose.slack.webapi import WebApi
from compose.slack.world_proxy import WorldProxy

log = structlog.get_logger(__name__)

MAX_REQUEST: Final = 8 * 1024 * 1024
HOST: Final = "127.0.0.1"


def system_clock() -> float:
    """Return unix seconds."""
    return time.time()  # noqa: TID251 - the one place where the server's clock comes from


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. `port` 0 means the port of last time, or a free one."""

    directory: Path
    port: int = 0
    world_file: Path | None = None
    ready_file: Path | None = None
    manifest: Manifest | None = None
    timings: Timings = field(default_factory=Timings)
    limits: bool = True
    now: Callable[[], float] = system_clock
    rng: random.Random | None = None


class Server:
    """A running local Slack; `async with await Server.start(options)` stops it at the end."""

    def __init__(
        self, options: Options, slack: LocalSlack, journal: Journal, background: Background, lock: int
    ) -> None:
        self._options = options
        self._journal = journal
        self._background = background
        self._lock = lock
        self._runner: web.AppRunner | None = None
        self._page = Page(slack)
        self._world = WorldProxy(options.world_file)
        self.slack = slack

    @classmethod
    async def start(cls, options: Options) -> Self:
        """Open the directory, listen, and write slack.json. Raises StartError."""
        options.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _lock(options.directory)
        try:
            server = cls._assemble(options, lock)
        except BaseException:
            os.close(lock)
            raise
        try:
            await server.listen()
        except BaseException:
            await server.stop()
            raise
        return server

    @classmethod
    def _assemble(cls, options: Options, lock: int) -> Self:
        ids = Ids(options.rng)
        manifest = options.manifest or load_manifest()
        journal, entries = Journal.open(options.directory / "journal.jsonl")
        workspace = Workspace(journal, entries, options.now)
        if workspace.is_new:
            workspace.make(new_workspace(ids, options.now(), bot_name=manifest.features.bot_user.display_name))
        background = Background()
        hub = SocketHub(options.timings, ids, background, options.now)
        messaging = Messaging(workspace, ids, options.now)

        def base_url() -> str:
            return f"http://{HOST}:{workspace.port}/"

        slack = LocalSlack(
            workspace=workspace,
            messaging=messaging,
            interactivity=Interactivity(
                workspace, messaging, hub, manifest, options.timings, ids, options.now, base_url
            ),
            events=Events(workspace, hub, manifest, options.timings, ids, background, options.now),
            hub=hub,
            manifest=manifest,
            catalog=load_catalog(),
            limiter=Limiter(options.now, enabled=options.limits),
            faults=Faults(options.now),
            calls=CallLog(options.now),
            ids=ids,
            now=options.now,
            base_url=base_url,
        )
        return cls(options, slack, journal, background, lock)

    async def listen(self) -> None:
        """Bind the port, serve, and write slack.json; `start` does this."""
        workspace = self.slack.workspace
        listener = _bind(self._options.port or workspace.port or 0)
        port: int = listener.getsockname()[1]
        workspace.bind_port(port)
        app = web.Application(middlewares=[guard(lambda: port)], client_max_size=MAX_REQUEST)
        app.on_response_prepare.append(add_headers)
        app.add_routes(WebApi(self.slack).routes())
        app.add_routes(Control(self.slack).routes())
        app.add_routes([web.get("/link/", self.slack.hub.serve)])
        app.add_routes(self._page.routes(has_world=self._options.world_file is not None))
        app.add_routes(self._world.routes())
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        self.slack.events.start()
        self._announce()

    def _announce(self) -> None:
        token_file = self._options.directory / "control.token"
        _write_atomically(token_file, self.slack.workspace.identity.control_token + "\n")
        text = json.dumps(self.description(), indent=2) + "\n"
        _write_atomically(self._options.directory / "slack.json", text)
        if self._options.ready_file is not None:
            _write_atomically(self._options.ready_file, text)
        log.info("local Slack (stand-in) is up", page=self.url)

    @property
    def url(self) -> str:
        """The page's address."""
        return self.slack.base_url()

    def description(self) -> JsonObject:
        """Return what slack.json says."""
        workspace = self.slack.workspace
        identity = workspace.identity
        return {
            "label": "local Slack (stand-in)",
            "url": self.url,
            "api_url": f"{self.url}api/",
            "bot_token": identity.bot_token,
            "app_token": identity.app_token,
            "control_url": f"{self.url}control",
            "control_token_file": str((self._options.directory / "control.token").resolve()),
            "channels": {one.name: one.id for one in workspace.channels.values() if not one.is_im},
            "users": {one.name: one.id for one in workspace.users.values()},
            "usergroups": {one.handle: one.id for one in workspace.usergroups.values()},
            "team_id": identity.team_id,
        }

    def drop_pages(self) -> None:
        """Close the connection of every open page, as a restart does; they come back by themselves."""
        self._page.close()

    async def stop(self) -> None:
        """Close every socket and stream, stop listening, and release the directory."""
        self.drop_pages()
        await self.slack.hub.close()
        await self._background.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._world.close()
        self._journal.close()
        os.close(self._lock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def _lock(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DirectoryInUseError(
            f"Another local Slack runs on {directory}. Stop it, or give --dir another directory."
        ) from None
    return descriptor


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTakenError(
            f"Port {port} is taken. Stop what uses it, or give --port another one (an app that is already "
            "connected must then be told the new address)."
        ) from None
    return listener


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


async def run(options: Options, stop: asyncio.Event, started: Callable[[Server], None]) -> None:
    """Serve until `stop` is set."""
    async with await Server.start(options) as server:
        started(server)
        await stop.wait()
