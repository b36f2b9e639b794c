"""The demo as people start it: it comes up, says where, and leaves nothing behind, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.bot.demo.processes import alive, descendants
from tests.waiting import until

DEMO = (sys.executable, "-m", "bot.cli", "demo")


@dataclass
class Started:
    process: subprocess.Popen[bytes]
    folder: Path
    out: Path
    err: Path

    def said(self) -> str:
        return self.out.read_text() + self.err.read_text()


@contextlib.asynccontextmanager
async def started(folder: Path, *arguments: str, shows: str) -> AsyncIterator[Started]:
    """The demo, once it has printed ``shows``."""
    out, err = folder / "out", folder / "err"
    stage = folder / "stage"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPERATOR_", "SLACK_"))}
    with out.open("wb") as to_out, err.open("wb") as to_err:
        process = subprocess.Popen(
            [*DEMO, *arguments, "--dir", str(stage)],
            cwd=folder,
            env={**environment, "OPERATOR_WEB__PORT": "not a port", "SLACK_BOT_TOKEN": "xoxb-somewhere-else"},
            stdin=subprocess.DEVNULL,
            stdout=to_out,
            stderr=to_err,
        )
    made = Started(process, stage, out, err)
    try:
        await until(lambda: shows in made.said() or process.poll() is not None, "the demo is up", within_s=90)
        assert process.poll() is None, made.said()
        yield made
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def gone(process: subprocess.Popen[bytes], signal_: signal.Signals) -> int:
    """Send the signal; the demo and all under it are gone in the end."""
    under = descendants(process.pid)
    # The world with its redis, load, batch client and three nodes, of which one may be down; the local Slack; operator.
    assert len(under) >= 8
    process.send_signal(signal_)
    await until(lambda: process.poll() is not None, "the demo ends", within_s=40)
    await until(lambda: not alive(under), "nothing is left")
    return int(process.returncode)


async def test_it_says_where_to_look_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    async with started(tmp_path, shows="Ctrl-C ends everything") as demo:
        said = demo.out.read_text()
        lines = said.splitlines()
        assert len(lines) == 5
        url = re.search(r"Slack: +(http://127\.0\.0\.1:\d+/)  \(a local stand-in", said)
        assert url is not None
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(url[1])).status_code == 200
        command = re.search(r"(\S+ -m compose\.world) break (node_down --dir \S+)", said)
        assert command is not None
        told = subprocess.run([*command[1].split(), "break", *command[2].split()], capture_output=True, check=False)
        assert told.returncode == 0, told.stderr

        def ticket() -> bool:
            listed = subprocess.run(
                [*DEMO[:-1], "tickets", "list", "--json", "--state-dir", str(demo.folder / "state")],
                capture_output=True,
                check=True,
            )
            return bool(json.loads(listed.stdout)["tickets"])

        await until(ticket, "a ticket", within_s=30)
        assert await gone(demo.process, signal.SIGINT) == 0
        assert "ending everything" in demo.said()
        assert "ended at once" not in (demo.folder / "logs" / "operator.log").read_text()


async def test_a_second_one_in_the_folder_is_refused_and_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    async with started(tmp_path, shows="Ctrl-C ends everything") as demo:
        second = subprocess.run(
            [*DEMO, "--dir", str(demo.folder)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        url = re.search(r"http://127\.0\.0\.1:\d+/", demo.said())
        assert url is not None
        refused = f"operator: a demo runs in {demo.folder} already, at {url[0]}; end it with Ctrl-C first"
        assert second.stderr.splitlines()[1:] == [refused]
        assert demo.process.poll() is None
        assert await gone(demo.process, signal.SIGKILL) == -signal.SIGKILL


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("world", "slack")), "operator"]
)
async def test_a_process_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path, name: str) -> None:
    async with started(tmp_path, shows="Ctrl-C ends everything") as demo:
        under = descendants(demo.process.pid)
        module = {"world": "compose.world", "slack": "compose.slack", "operator": "bot.cli"}[name]
        (pid,) = [
            pid
            for pid, _ in under
            if f"\0{module}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
            and f"\0{demo.process.pid} ".encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(pid, signal.SIGKILL)
        process = demo.process
        await until(lambda: process.poll() is not None, "the demo ends", within_s=40)
        assert process.returncode == 4
        said = demo.err.read_text()
        assert f"operator: {name} ended by signal 9; its log ends:\n" in said
        assert f"everything is kept in {demo.folder}\n" in said
        assert "Traceback" not in said
        await until(lambda: not alive(under), "nothing is left")


@pytest.mark.slow
async def test_an_interrupted_incident_leaves_nothing_behind(tmp_path: Path) -> None:
    play = ("--fault", "node_down", "--heal-by-hand", "--headless", "--json")
    async with started(tmp_path, *play, shows="injecting node_down") as demo:
        assert await gone(demo.process, signal.SIGTERM) == 130
        assert demo.out.read_text() == ""
