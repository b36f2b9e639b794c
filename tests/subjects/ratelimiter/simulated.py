"""Simulated nodes behind ``httpx.MockTransport``: what the real ones answer, and strict about what they are asked.

The live tests hold the real service against the same client.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from subjects.ratelimiter.subject import RateLimiter, RateLimiterConfig
from tests.subjects.ratelimiter.samples import LIMITS, NODES

Document: TypeAlias = dict[str, Any]
Answering: TypeAlias = Callable[[httpx.Request], Awaitable[httpx.Response]]


def status_document(node: str) -> Document:
    return {
        "node": node,
        "boot_id": f"boot-of-{node}",
        "pid": 4711,
        "uptime_s": 12.5,
        "redis": {"url": "redis://127.0.0.1:6379/0", "connected": True, "since_s": 12.1, "error": None},
        "limits": {
            "per-user": {"limit": 20, "window_ms": 2000, "version": 1},
            "per-ip": {"limit": 60, "window_ms": 3000, "version": 1},
            "login": {"limit": 5, "window_ms": 2000, "version": 1},
        },
        "subscription": {"connected": True},
        "write_behind": {"pending": 3, "stuck_for_s": 0.0, "error": None},
        "admitted": {"per-user": 100, "per-ip": 50},
        "denied": {"per-user": 30},
        "latency": {"le": [0.005, 0.1, 1, "+Inf"], "counts": [150, 180, 180, 180]},
        "writes": {"update_limit": 0},
    }


def shared_document() -> Document:
    return {
        "limits": status_document("rl-1")["limits"],
        "nodes": [
            {"name": node, "address": "127.0.0.1:1", "boot_id": f"boot-of-{node}", "heartbeat_age_s": 0.4}
            for node in NODES
        ],
        "tallies": [
            {
                "node": node,
                "boot_id": f"boot-of-{node}",
                "counts": {"per-user": 98, "per-ip": 50},
                "error": None,
            }
            for node in NODES
        ],
        "counters": [
            {"limit": "per-user", "key": "user-1", "count": 20, "ttl_ms": 1990},
            {"limit": "login", "key": "user-7", "count": 5, "ttl_ms": None},
        ],
    }


def response(document: object) -> httpx.Response:
    return httpx.Response(200, content=json.dumps(document).encode(), headers={"Content-Type": "application/json"})


@dataclass
class SimulatedNodes:
    """All nodes at once; ``special`` answers for a path ``rl-2/v1/status`` instead of the usual."""

    special: dict[str, Answering] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        assert request.content == b""
        assert request.url.query == b""
        assert "authorization" not in request.headers
        node = request.url.host
        path = f"{node}{request.url.path}"
        self.asked.append(path)
        if path in self.special:
            return await self.special[path](request)
        if request.url.path == "/v1/status":
            return response(status_document(node))
        if request.url.path == "/v1/shared":
            return response(shared_document())
        raise AssertionError(f"nobody answers {path}")

    def subject(self, *, interval_s: float = 1.0) -> RateLimiter:
        config = RateLimiterConfig(nodes={node: f"http://{node}:8080" for node in NODES}, limits=list(LIMITS))
        return RateLimiter("ratelimiter", config, interval_s=interval_s, transport=httpx.MockTransport(self))


def always(document: object) -> Answering:
    async def answer(_request: httpx.Request) -> httpx.Response:
        return response(document)

    return answer


def failing(status: int, document: object = None) -> Answering:
    async def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=json.dumps(document).encode())

    return answer


async def never(_request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def refused(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("All connection attempts failed") from ConnectionRefusedError(111, "refused")
