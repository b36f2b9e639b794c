"""The program as people run it: how soon it is ready and tells, what it takes, how fast a command answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.bench.figures import Figure, figure
from tests.program.stage import Stage, stage
from tests.waiting import until

OPERATOR = str(Path(sys.executable).with_name("operator"))


def measure(folder: Path) -> list[Figure]:
    return [*_incidents(), *asyncio.run(_runs(folder)), *_commands(folder)]


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


LIBRARIES = "import aiohttp, apscheduler, httpx, peewee, prometheus_client, pydantic_settings, slack_bolt.async_app"


async def _runs(folder: Path, runs: int = 5) -> list[Figure]:
    """From `operator run` to /readyz, with the local Slack and one subject; then what it takes at rest."""
    ready, memory = [], []
    for run in range(runs):
        async with stage(folder / str(run), interval_s=1.0) as made:
            began = time.perf_counter()
            made.start()
            await until(lambda made=made: _is_ready(made), "operator is ready", within_s=60)
            ready.append(time.perf_counter() - began)
            await asyncio.sleep(10)  # at rest is what is measured
            assert made.process is not None
            memory.append(_resident_mb(made.process.pid))
            await made.stop()
    imports = _seconds([sys.executable, "-c", LIBRARIES], folder, runs)
    show = f"{LIBRARIES}; print(open('/proc/self/status').read())"
    floor = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    return [
        figure("operator run to /readyz", "s", ready, aim="2", floor=sorted(imports)[runs // 2], note=_IMPORTING),
        figure("memory at rest", "MB", memory, aim="100", floor=_kilobytes(floor) / 1024, note=_IMPORTING),
    ]


_IMPORTING = "floor: a Python that imports the same libraries"


async def _is_ready(made: Stage) -> bool:
    if not made.ready_file.exists():
        return False
    address = json.loads(made.ready_file.read_text())["web"]
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{address}/readyz")).status_code == 200


def _resident_mb(pid: int) -> float:
    return _kilobytes(Path(f"/proc/{pid}/status").read_text()) / 1024


def _kilobytes(status: str) -> int:
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


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
