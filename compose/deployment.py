"""The files of a world: tokens, and the configurations of its programs."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compose.ports import LOOPBACK, Ports
from compose.ratelimiter.config import (
    BatchConfig,
    LoadConfig,
    NodeConfig,
    SeedLimit,
    Stream,
    load_config,
    save_config,
)

DEFAULT_LIMITS = {
    "per-user": SeedLimit(limit=20, window_ms=2000),
    "per-ip": SeedLimit(limit=60, window_ms=3000),
    "login": SeedLimit(limit=5, window_ms=2000),
}
# About 80 checks per second. Each hot key asks for more than its limit; per-ip's alone would need 60/s for 3x.
DEFAULT_STREAMS = [
    Stream(limit="per-user", prefix="user", keys=40, hot_per_s=30, tail_per_s=8),
    Stream(limit="per-ip", prefix="10.0.0", keys=40, hot_per_s=26, tail_per_s=5),
    Stream(limit="login", prefix="account", keys=20, hot_per_s=7.5, tail_per_s=2.5),
]

Job = Literal["aggregate", "rebuild"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of a world stands in its directory."""

    root: Path

    def prepare(self) -> None:
        """Create the directories; only their owner may look inside."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.root / "redis", self.root / "logs", self.root / "pids", self.root / "config"):
            folder.mkdir(exist_ok=True)

    @property
    def world_file(self) -> Path:
        """What others read to find the world."""
        return self.root / "world.json"

    @property
    def lock_file(self) -> Path:
        """Held while a world runs here."""
        return self.root / "lock"

    @property
    def ports_file(self) -> Path:
        """The ports, for the next start."""
        return self.root / "ports.json"

    @property
    def token_file(self) -> Path:
        """The token for writes to the rate limiter."""
        return self.root / "token"

    @property
    def world_token_file(self) -> Path:
        """The token for writes to the world's control API."""
        return self.root / "world-token"

    def config(self, name: str) -> Path:
        """The configuration of one program."""
        return self.root / "config" / f"{name}.json"

    def log(self, name: str) -> Path:
        """The output of one program."""
        return self.root / "logs" / f"{name}.log"

    def pid(self, name: str) -> Path:
        """The process id of one program while it runs."""
        return self.root / "pids" / f"{name}.pid"

    def writes(self, name: str) -> Path:
        """The management writes that one node did."""
        return self.root / "logs" / f"{name}.writes.jsonl"


def ensure_token(path: Path) -> str:
    """The token in a file that only its owner may read; a new one where there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    token = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
    return token


def write_configs(layout: Layout, limiters: list[str], ports: Ports, redis_url: str) -> None:
    """Write every program's configuration as it is when nothing is broken."""
    for name in limiters:
        save_config(
            layout.config(name),
            NodeConfig(
                name=name,
                port=ports[name],
                redis_url=redis_url,
                token_file=str(layout.token_file),
                writes_file=str(layout.writes(name)),
                limits=DEFAULT_LIMITS,
            ),
        )
    save_config(
        layout.config("load"),
        LoadConfig(
            port=ports["load"],
            nodes={name: f"http://{LOOPBACK}:{ports[name]}" for name in limiters},
            streams=DEFAULT_STREAMS,
        ),
    )
    save_config(layout.config("batch"), BatchConfig(port=ports["batch"], redis_url=redis_url))


def set_batch_job(layout: Layout, job: Job) -> None:
    """Change the batch client's job; it counts from its next start."""
    config = load_config(layout.config("batch"), BatchConfig)
    save_config(layout.config("batch"), config.model_copy(update={"job": job}))


def batch_job(layout: Layout) -> Job:
    """The batch client's job at its next start."""
    return load_config(layout.config("batch"), BatchConfig).job


def configured_redis_url(layout: Layout, name: str) -> str:
    """Where a node looks for Redis, by its configuration."""
    return load_config(layout.config(name), NodeConfig).redis_url
