"""`operator run` as people and supervisors meet it: its start, its troubles, its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from tests.bot.running import Running, prepared, run_cli, running
from tests.waiting import until


def metric(text: str, name: str) -> float:
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


async def test_it_watches_says_so_and_ends_orderly(tmp_path: Path) -> None:
    calls: list[str] = []

    async def count(request: web.Request) -> web.Response:
        calls.append(request.path_qs)
        return web.Response()

    app = web.Application()
    app.router.add_get("/ping", count)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with running(tmp_path, extra=f'heartbeat_url = "http://127.0.0.1:{port}/ping?secret=sesame"') as operator:
        assert (await operator.get("/healthz")).status_code == 200
        ready = await operator.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert ready.json() == {"ready": True, "problems": []}
        await until(lambda: calls, "the heartbeat")
        status = operator.read("status")
        assert status["healthy"] is True
        assert operator.cli("status").returncode == 0
        operator.break_("a")
        await until(lambda: operator.read("tickets", "list")["tickets"], "a ticket")
        assert operator.cli("status").returncode == 1
        await operator.stop()
        with pytest.raises(httpx.ConnectError):
            await operator.get("/healthz")
        assert operator.cli("status").returncode == 1
        entries = operator.read("audit", "list")["entries"]
        assert entries[0]["kind"] == "OperatorStarted"
        assert entries[-1]["kind"] == "OperatorStopped"
        assert entries[-1]["payload"]["reason"] == "SIGTERM was received"
        assert calls == ["/ping?secret=sesame"]
        assert "sesame" not in operator.log()
        said = [event["event"] for event in operator.events()]
        assert [word.partition(":")[0] for word in said] == ["Slack is not configured", "watching", "ending"]
    await runner.cleanup()


async def test_a_second_process_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    async with running(tmp_path) as operator:
        assert operator.process is not None
        done = operator.cli("run")
        assert done.returncode == 1
        assert done.stdout == ""
        last = done.stderr.splitlines()[-1]
        assert last.startswith(
            f"operator: operator already runs on {operator.state_dir}: process {operator.process.pid} "
        )
        assert "stop it first, or set another state_dir" in last
        assert operator.process.poll() is None
        # A lease ends with its process, however that ends.
        operator.process.kill()
        operator.process.wait()
        await operator.start()
        await operator.stop()
        started = operator.read("audit", "list", "--kind", "OperatorStarted")["entries"]
        assert [entry["payload"]["epoch"] for entry in started] == [1, 2]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program that holds the database's write lock."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_a_locked_database_stops_neither_the_looking_nor_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as operator:
        with locked(operator.database):
            operator.break_("a")

            async def says_so() -> bool:
                answer = await operator.get("/readyz")
                return answer.status_code == 503 and "has been locked by another program" in answer.text

            await until(says_so, "readyz says that the database is locked", within_s=30)
            before = metric((await operator.get("/metrics")).text, "operator_ticks_total")

            async def looks_on() -> bool:
                return metric((await operator.get("/metrics")).text, "operator_ticks_total") > before + 10

            await until(looks_on, "detection goes on")
            assert (await operator.get("/healthz")).status_code == 200
            operator.break_()  # healed while nothing could be written: the ticket must come all the same

        async def ready() -> bool:
            return (await operator.get("/readyz")).status_code == 200

        await until(ready, "it recovers by itself", within_s=30)
        await until(
            lambda: [ticket["state"] for ticket in operator.read("tickets", "list")["tickets"]] == ["resolved"],
            "the ticket of what broke meanwhile",
        )
        troubles = [event for event in operator.events() if event["level"] == "error"]
        assert len(troubles) == 1, troubles
        # What it waits for never comes: it ends all the same.
        with locked(operator.database):
            assert operator.process is not None
            operator.process.send_signal(signal.SIGTERM)
            assert await operator.ended() == 1
        assert operator.log().endswith("operator: the orderly end took too long; ended at once\n")


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as operator:
        assert operator.process is not None
        with locked(operator.database):
            operator.process.send_signal(signal.SIGINT)
            await until(lambda: "SIGINT was received" in operator.log(), "the first signal is noticed")
            operator.process.send_signal(signal.SIGINT)
            assert await operator.ended() == -signal.SIGINT


async def test_a_full_disk_is_said_once_and_survived(tmp_path: Path) -> None:
    async with running(tmp_path) as operator:
        assert operator.process is not None
        # No file may grow beyond what its size is now: for the database that is a full disk.
        _, hard = resource.prlimit(operator.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(operator.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
        operator.break_("a")

        async def says_so() -> bool:
            answer = await operator.get("/readyz")
            return answer.status_code == 503 and str(operator.database) in answer.text

        await until(says_so, "readyz says that nothing can be written", within_s=30)
        before = metric((await operator.get("/metrics")).text, "operator_ticks_total")

        async def looks_on() -> bool:
            return metric((await operator.get("/metrics")).text, "operator_ticks_total") > before + 20

        await until(looks_on, "detection goes on")
        resource.prlimit(operator.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await until(lambda: operator.read("tickets", "list", "--live")["tickets"], "the ticket", within_s=30)

        async def ready() -> bool:
            return (await operator.get("/readyz")).status_code == 200

        await until(ready, "it recovers by itself", within_s=30)
        troubles = [event for event in operator.events() if event["level"] == "error"]
        assert len(troubles) == 1, troubles
        assert operator.read("audit", "verify")["ok"] is True
        await operator.stop()


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What it said before it ended; no traceback."""
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("operator: ")
    return lines[0]


def test_a_damaged_database_is_named_with_the_way_out(tmp_path: Path) -> None:
    with prepared(tmp_path) as operator:
        operator.state_dir.mkdir()
        operator.database.write_bytes(b"this was never a database" * 400)
        for arguments in (["run"], ["status"], ["tickets", "list"], ["audit", "verify"]):
            done = operator.cli(*arguments)
            assert done.returncode == 4
            assert re.search(r"the database .* is damaged .*\.recover", one_line(done))


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with prepared(tmp_path) as operator:
        done = operator.cli("run", "--state-dir", "/proc/nowhere")
        assert done.returncode == 4
        assert "the state directory /proc/nowhere can't be used" in one_line(done)


def test_a_state_directory_without_write_permission_is_named(tmp_path: Path) -> None:
    # Root may write anywhere; without this capability it may not either.
    held = ["setpriv", "--bounding-set", "-dac_override"] if os.getuid() == 0 else []
    with prepared(tmp_path) as operator:
        operator.state_dir.mkdir(mode=0o500)
        done = run_cli([*held, *operator.command("run")], tmp_path, operator.environment)
        assert done.returncode == 4, done.stderr
        assert "can't be used (Permission denied)" in one_line(done)


def test_a_port_that_is_taken_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with prepared(tmp_path) as operator, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = operator.cli("run", "--port", port)
        assert done.returncode == 3
        assert f"web.port: can't listen on 127.0.0.1:{port}" in one_line(done)
        entries = operator.read("audit", "list")["entries"]
        assert [entry["kind"] for entry in entries] == ["OperatorStarted", "OperatorStopped"]
        assert "web.port" in entries[-1]["payload"]["reason"]


async def test_blindness_of_a_subject_that_is_gone_ends_and_its_ticket_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as operator:
        operator.break_("a")
        await until(lambda: operator.read("tickets", "list")["tickets"], "a ticket")
        await operator.stop()
        with contextlib.closing(sqlite3.connect(operator.database)) as connection:
            connection.execute(
                "INSERT INTO blindness (subject, since, why, ticket, seq) "
                "VALUES ('scripted', '2026-03-01T00:00:00.000000Z', 'dark', 1, 3)"
            )
            connection.commit()
        operator.prepare(subject="other")
        await operator.start()
        seen = operator.read("audit", "list", "--kind", "SubjectSeen")["entries"]
        assert [(entry["ticket"], entry["payload"]["subject"]) for entry in seen] == [(1, "scripted")]
        status = operator.read("status")
        assert status["blind"] == []
        assert [ticket["ticket"] for ticket in status["live"]] == [1]
        assert any(event["event"].startswith("a ticket stays live") for event in operator.events())
        await operator.stop()


def test_a_subject_that_cannot_be_made_ends_it_before_anything_is_written(tmp_path: Path) -> None:
    with prepared(tmp_path) as operator:
        (tmp_path / "operator.toml").write_text('[subjects.x]\nkind = "scripted"\n')
        done = operator.cli("run")
        assert done.returncode == 3
        assert one_line(done).endswith('operator.toml: subjects.x: file is missing; write file = "…"')
        assert not operator.state_dir.exists()


async def test_what_the_command_line_writes_reaches_slack_and_wrong_tokens_end_the_start(tmp_path: Path) -> None:
    from tests.program.stage import stage  # noqa: PLC0415  brings a local Slack

    async with stage(tmp_path) as scene:
        good = dict(scene.environment)
        scene.environment["SLACK_BOT_TOKEN"] = "xoxb-wrong"  # noqa: S105  not a secret: it is refused
        scene.start()
        assert scene.process is not None
        process = scene.process
        await until(lambda: process.poll() is not None, "it ends")
        assert process.returncode == 3, scene.log()
        assert "operator: " in scene.log().splitlines()[-1]
        assert "Traceback" not in scene.log()
        assert "xoxb-wrong" not in scene.log()
        scene.environment = good
        scene.start()
        scene.break_("a")

        async def rooted() -> list[dict[str, Any]]:
            return await scene.slack.roots()

        await until(rooted, "a thread", within_s=30)
        subprocess.run(
            [*Running(tmp_path).command("ack", "1")], cwd=tmp_path, env=scene.environment, check=True, text=True
        )

        async def shown() -> bool:
            replies = await scene.slack.replies((await scene.slack.roots())[0]["ts"])
            return "acknowledge" in json.dumps(replies).lower()

        await until(shown, "the acknowledgement is in the thread")
        await scene.stop()
        # Slack's libraries set the levels of loggers that they think are theirs.
        assert "SIGTERM was received" in scene.log()
