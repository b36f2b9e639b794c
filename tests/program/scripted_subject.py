"""A subject from another package: what is broken stands in a file that the test writes.

The file has one key a line; a key in it is broken, all others hold.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from subjects.clock import Clock
from subjects.protocols import Broken, Holds, Invariant, Observation, Severity, SubjectConfigError, Verdict

KEYS = ("a", "b", "c")
ROOT = Path(__file__).resolve().parents[2]


class ScriptedSubject:
    title = "Scripted"
    runbook = None

    def __init__(self, name: str, file: Path, keys: tuple[str, ...]) -> None:
        self.name = name
        self._file = file
        self.invariants: Sequence[Invariant[frozenset[str]]] = [
            Invariant("up", "It is up.", Severity.CRITICAL, 1, "x", 0.0, keys, self._up)
        ]

    async def observe(self) -> frozenset[str]:
        return frozenset((await asyncio.to_thread(self._file.read_text)).split())

    async def aclose(self) -> None:
        pass

    def _up(self, observation: Observation[frozenset[str]]) -> Mapping[str, Verdict]:
        return {
            key: Broken(2, f"{key} is down.") if key in observation.snapshot else Holds()
            for key in self.invariants[0].expected
        }


def build(name: str, config: Mapping[str, object], clock: Clock, interval_s: float) -> ScriptedSubject:
    del clock, interval_s
    file = config.get("file")
    if not isinstance(file, str):
        raise SubjectConfigError('file is missing; write file = "…"')
    many = config.get("many", 0)
    return ScriptedSubject(name, Path(file), KEYS + tuple(f"k{n}" for n in range(many if isinstance(many, int) else 0)))


def install(site: Path) -> dict[str, str]:
    """Install this module as a package of its own into ``site``; returns the environment that finds it there."""
    information = site / "scripted-1.0.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[operator.subjects]\nscripted = {__name__}:build\n")
    return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{site}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
