"""Ports of the loopback interface that stay ours while the world runs, and the same at its next start.

A port is held by a socket that is bound and never listens. A program may bind and listen on it beside that
socket (both allow reuse), nobody else is given it, and while no program listens a connection to it is refused.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from compose.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"

_PORTS = TypeAdapter(dict[str, int])


class Ports:
    """The ports by the name of who uses them.

    Args:
        path: The file that remembers them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: list[socket.socket] = []
        self._ports: dict[str, int] = {}

    def hold(self, names: Sequence[str], wanted: dict[str, int]) -> None:
        """Take a port for each name: the wanted one, else the one of the last time, else a free one.

        Raises:
            DeployError: A wanted port is taken, or the file can't be read.
        """
        try:
            before = _PORTS.validate_json(self._path.read_bytes()) if self._path.exists() else {}
        except (OSError, ValidationError) as error:
            raise DeployError(f"{self._path}: not a list of ports; delete it") from error
        for name in names:
            self._ports[name] = self._bind(name, wanted.get(name, 0), before.get(name, 0))
        self._path.write_text(json.dumps(self._ports, indent=2) + "\n", encoding="utf-8")

    def _bind(self, name: str, wanted: int, before: int) -> int:
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.append(held)
        try:
            held.bind((LOOPBACK, wanted or before))
        except OSError as error:
            if wanted:
                raise DeployError(f"port {wanted} for {name} is taken; choose another, or 0") from error
            # Somebody took it while no world was running: the address changes, and world.json says so.
            held.bind((LOOPBACK, 0))
        return int(held.getsockname()[1])

    def __getitem__(self, name: str) -> int:
        return self._ports[name]

    def release(self) -> None:
        """Give all of them back."""
        for held in self._held:
            held.close()
        self._held.clear()
