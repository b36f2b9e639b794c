"""A world in a process of its own, and the questions that tests ask it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from pydantic import BaseModel
from yarl import URL

from compose.ratelimiter.views import CheckView, SharedView, StatusView
from compose.world_client import WorldState
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPOSITORY = Path(__file__).resolve().parents[2]


class Place(BaseModel):
    url: str
    port: int


class WorldFile(BaseModel):
    control_url: str
    redis_url: str
    token_file: Path
    world_token_file: Path
    nodes: dict[str, Place]
    load: Place
    batch: Place


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> object:
        return json.loads(self.text)

    def error_code(self) -> str:
        body = self.json()
        assert isinstance(body, dict)
        assert set(body) == {"error"}, body
        assert set(body["error"]) == {"code", "message"}, body
        return str(body["error"]["code"])

    def error_message(self) -> str:
        body = self.json()
        assert isinstance(body, dict)
        return str(body["error"]["message"])


@dataclass(frozen=True, slots=True)
class WorldProcess:
    directory: Path
    process: subprocess.Popen[bytes]
    where: WorldFile

    def token(self) -> str:
        return self.where.token_file.read_text(encoding="ascii").strip()

    def world_token(self) -> str:
        return self.where.world_token_file.read_text(encoding="ascii").strip()

    def child_pids(self) -> dict[str, int]:
        return {path.stem: int(path.read_text(encoding="ascii")) for path in (self.directory / "pids").glob("*.pid")}


@contextmanager
def run_world(directory: Path, *arguments: str, path: str | None = None) -> Iterator[WorldProcess]:
    """A world while the body runs; it must end within seconds and leave nothing behind."""
    ready = directory / "ready.json"
    directory.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    environment = dict(os.environ) if path is None else {**os.environ, "PATH": path}
    output = directory / "world.out"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "compose.world", "run", "--dir", str(directory)),
                *("--ready-file", str(ready), *arguments),
            ],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for_file(ready, process, output)
        yield WorldProcess(directory, process, WorldFile.model_validate_json(ready.read_bytes()))
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()


def wait_for_file(ready: Path, process: subprocess.Popen[bytes], output: Path) -> None:
    for _ in range(600):
        if ready.exists():
            return
        try:
            code = process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the world ended with {code}: {output.read_text(encoding='utf-8')}")
    raise AssertionError(f"the world is not ready after 30 s: {output.read_text(encoding='utf-8')}")


class Client:
    """One test's questions to one world."""

    def __init__(self, world: WorldProcess, session: aiohttp.ClientSession) -> None:
        self.world = world
        self.session = session

    @property
    def nodes(self) -> list[str]:
        return list(self.world.where.nodes)

    async def ask(
        self,
        method: str,
        node: str,
        path: str,
        *,
        body: object = None,
        raw: bytes | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        url = f"{self.world.where.nodes[node].url}{path}"
        return await self.request(method, url, body=body, raw=raw, token=token, headers=headers)

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: object = None,
        raw: bytes | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = raw if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        # A string with %-escapes is sent as it is.
        async with self.session.request(
            method, URL(url, encoded=True), data=data, headers=sent, timeout=aiohttp.ClientTimeout(total=60)
        ) as response:
            return Reply(response.status, dict(response.headers), await response.text())

    async def manage(self, method: str, node: str, path: str, body: object = None) -> Reply:
        return await self.ask(method, node, path, body=body, token=self.world.token())

    async def check(self, node: str, limit: str, key: str, cost: int = 1) -> CheckView:
        reply = await self.ask("POST", node, "/v1/check", body={"limit": limit, "key": key, "cost": cost})
        assert reply.status == 200, reply
        return CheckView.model_validate_json(reply.text)

    async def status(self, node: str) -> StatusView:
        reply = await self.ask("GET", node, "/v1/status")
        assert reply.status == 200, reply
        return StatusView.model_validate_json(reply.text)

    async def answers(self, node: str) -> bool:
        """Whether the node answers /v1/status at once."""
        url = f"{self.world.where.nodes[node].url}/v1/status"
        try:
            async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=0.7)) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def shared(self, node: str = "rl-1") -> SharedView:
        reply = await self.ask("GET", node, "/v1/shared")
        assert reply.status == 200, reply
        return SharedView.model_validate_json(reply.text)

    async def control(self, method: str, path: str, body: object = None, token: str | None = None) -> Reply:
        return await self.request(
            method,
            f"{self.world.where.control_url}{path}",
            body=body,
            token=token or self.world.world_token(),
        )

    async def done(self, path: str, body: object = None) -> Reply:
        reply = await self.control("POST", path, body)
        assert reply.status == 200, reply
        return reply

    async def state(self) -> WorldState:
        reply = await self.control("GET", "/state")
        assert reply.status == 200, reply
        return WorldState.model_validate_json(reply.text)

    async def healthy(self) -> bool:
        """Every process runs, every node is connected and has the limits that stand in Redis."""
        state = await self.state()
        if state.faults or {process.state for process in state.nodes.values()} != {"running"}:
            return False
        stored = (await self.shared()).limits
        for node in self.nodes:
            status = await self.status(node)
            if not (status.redis.connected and status.subscription.connected and status.limits == stored):
                return False
        return True

    async def wait_healthy(self) -> None:
        await until(self.healthy, "the world is healthy")
