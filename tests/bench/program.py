"""The program as people run it: how soon it is ready and tells, what it takes, how fast a command answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.figures import Figure, figure

OPERATOR = str(Path(sys.executable).with_name("operator"))


def measure(folder: Path) -> list[Figure]:
    return [*_incidents(), *_commands(folder)]


def _incidents(runs: int = 5) -> list[Figure]:
    """Fault to ticket and to thread, as the demo reads them back from outside."""
    played = [
        json.loads(
            subprocess.run(
                [OPERATOR, "demo", "ratelimiter", "--fault", "node_down", "--heal-by-hand", "--headless", "--json"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()[-1]
        )
        for _ in range(runs)
    ]
    aim = "2.6 (interval 1 + grace 1.5 + 0.1)"
    return [
        figure("node_down: fault to ticket", "s", [one["detected_s"] for one in played], aim=aim),
        figure("node_down: fault to thread in Slack", "s", [one["thread_s"] for one in played], aim=aim),
    ]


def _commands(folder: Path) -> list[Figure]:
    bare = _seconds([sys.executable, "-c", "pass"], folder)
    return [
        figure(
            "operator status",
            "ms",
            [seconds * 1000 for seconds in _seconds([OPERATOR, "status"], folder)],
            aim="300",
            floor=sorted(bare)[len(bare) // 2] * 1000,
            note="floor: python -c pass",
        )
    ]


def _seconds(command: list[str], folder: Path, runs: int = 10) -> list[float]:
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        took.append(time.perf_counter() - began)
    return took
