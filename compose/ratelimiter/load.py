"""The rate limiter's users: `python -m compose.ratelimiter.load --config FILE`.

Open loop: a check is sent when it is due, however slow the answers are. What can't be sent because too many
answers are outstanding, or because no node takes it, is dropped and counted.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest
from pydantic import BaseModel, ValidationError

from compose.ratelimiter.arrivals import arrivals
from compose.ratelimiter.clock import system_clock
from compose.ratelimiter.config import LoadConfig, Strict, load_config
from compose.ratelimiter.http_json import answer, build_app
from compose.ratelimiter.service import run_program, served

if TYPE_CHECKING:
    from pathlib import Path

    from compose.ratelimiter.arrivals import Arrival
    from compose.ratelimiter.clock import Clock

log = logging.getLogger("ratelimiter.load")


class TargetView(Strict):
    """What one node answered."""

    sent: int
    allowed: int
    denied: int
    errors: int


class LoadStatusView(Strict):
    """GET /v1/status."""

    uptime_s: float
    dropped: int
    nodes: dict[str, TargetView]


class _Answer(BaseModel):
    allowed: bool


@dataclass(slots=True)
class Target:
    """One node as the load generator sees it; it is left alone until `avoid_until`."""

    name: str
    url: str
    sent: int = 0
    allowed: int = 0
    denied: int = 0
    errors: int = 0
    avoid_until: float = field(default=float("-inf"))


class Load:
    """Sends the arrivals, round robin over the nodes that take requests."""

    def __init__(self, config: LoadConfig, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._config = config
        self._session = session
        self._clock = clock
        self._started = clock.monotonic()
        self.targets = [Target(name, url) for name, url in config.nodes.items()]
        self._turn = itertools.cycle(self.targets)
        self._outstanding = 0
        self._dropped = 0
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "load_checks", "Checks by node and outcome.", ["node", "outcome"], registry=self.registry
        )

    def status(self) -> LoadStatusView:
        """What was sent and answered since the start."""
        return LoadStatusView(
            uptime_s=self._clock.monotonic() - self._started,
            dropped=self._dropped,
            nodes={
                target.name: TargetView(
                    sent=target.sent, allowed=target.allowed, denied=target.denied, errors=target.errors
                )
                for target in self.targets
            },
        )

    async def run(self) -> None:
        """Send for ever."""
        async with asyncio.TaskGroup() as group:
            for arrival in arrivals(self._config.streams, self._config.seed):
                wait = self._started + arrival.at - self._clock.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                target = self._choose()
                if target is None or self._outstanding >= self._config.concurrency:
                    self._dropped += 1
                    # A backlog of due arrivals must not keep the loop from reading answers.
                    await asyncio.sleep(0)
                    continue
                self._outstanding += 1
                group.create_task(self._send(target, arrival))

    def _choose(self) -> Target | None:
        now = self._clock.monotonic()
        for target in itertools.islice(self._turn, len(self.targets)):
            if target.avoid_until <= now:
                return target
        return None

    async def _send(self, target: Target, arrival: Arrival) -> None:
        target.sent += 1
        try:
            async with self._session.post(
                f"{target.url}/v1/check", json={"limit": arrival.limit, "key": arrival.key}
            ) as response:
                body = await response.read()
                outcome = self._outcome(target, response.status, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if target.avoid_until <= self._clock.monotonic():
                log.warning("%s does not take requests: %s", target.name, str(error) or "no answer in time")
            target.avoid_until = self._clock.monotonic() + self._config.avoid_s
            target.errors += 1
            outcome = "error"
        finally:
            self._outstanding -= 1
        self._answers.labels(target.name, outcome).inc()

    def _outcome(self, target: Target, status: int, body: bytes) -> str:
        if status == 200:
            try:
                if _Answer.model_validate_json(body).allowed:
                    target.allowed += 1
                    return "allowed"
            except ValidationError:
                log.warning("%s answered something else than a decision: %.100r", target.name, body)
            else:
                target.denied += 1
                return "denied"
        target.errors += 1
        return "error"


async def run(path: Path) -> None:
    """Send until cancelled.

    Raises:
        ConfigError: The configuration is wrong, or its address is taken.
    """
    config = load_config(path, LoadConfig)
    timeout = aiohttp.ClientTimeout(total=config.timeout_s)
    connector = aiohttp.TCPConnector(limit=config.concurrency)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        load = Load(config, session, system_clock())

        async def healthz(_request: web.Request) -> web.Response:
            return web.Response(text="ok")

        async def status(_request: web.Request) -> web.Response:
            return answer(load.status())

        async def metrics(_request: web.Request) -> web.Response:
            return web.Response(
                body=generate_latest(load.registry),
                headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
            )

        app = build_app([web.get("/healthz", healthz), web.get("/v1/status", status), web.get("/metrics", metrics)])
        async with served(app, config.host, config.port):
            await load.run()


if __name__ == "__main__":
    raise SystemExit(run_program(__doc__, run))
