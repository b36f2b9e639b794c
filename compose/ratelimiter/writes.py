"""Management writes: who may, how often, and a line per write in a file that outlives the process."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from compose.ratelimiter.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from aiohttp import web

    from compose.ratelimiter.clock import Clock
    from compose.ratelimiter.identity import Identity

Operation = Literal["update_limit", "reset_counter", "set_config", "publish_limit"]
OPERATIONS: tuple[Operation, ...] = ("update_limit", "reset_counter", "set_config", "publish_limit")

log = logging.getLogger("ratelimiter.writes")


def read_token(path: Path) -> str:
    """The token that writes must carry.

    Raises:
        ConfigError: There is none.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the token can't be read: {error}") from error
    if len(token) < 16:
        raise ConfigError(f"{path}: the token must have at least 16 characters")
    return token


def require_token(request: web.Request, token: str) -> None:
    """Let a request pass that carries the token.

    Raises:
        RequestError: 401 without a token, 403 with a wrong one.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise RequestError(
            401,
            "unauthorized",
            "writes need the header Authorization: Bearer TOKEN",
            {"WWW-Authenticate": 'Bearer realm="ratelimiter"'},
        )
    if not hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token.encode()):
        raise RequestError(403, "forbidden", "the token is not this cluster's")


class WriteLog:
    """Counts the writes since the node's start and appends each to a file."""

    def __init__(self, path: Path, identity: Identity, clock: Clock) -> None:
        self._path = path
        self._identity = identity
        self._clock = clock
        self._counts: Counter[Operation] = Counter()
        self._lock = asyncio.Lock()

    def counts(self) -> dict[str, int]:
        """Writes since the node's start, by operation."""
        return {operation: self._counts[operation] for operation in OPERATIONS}

    async def note(self, operation: Operation, **details: str | int | bool) -> None:
        """Count a write that was done, and append it."""
        async with self._lock:
            self._counts[operation] += 1
            line = json.dumps(
                {
                    "at": round(self._clock.wall(), 3),
                    "node": self._identity.name,
                    "boot_id": self._identity.boot_id,
                    "operation": operation,
                    **details,
                }
            )
            await asyncio.to_thread(self._append, line + "\n")
        log.info("write %s", line)

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)
