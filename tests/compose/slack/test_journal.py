"""What was answered is there after a SIGKILL, and a start on the same directory goes on where it was."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from compose.slack import state
from compose.slack.app import Server
from compose.slack.errors import DirectoryInUseError, JournalError, PortTakenError
from tests.compose.slack.harness import Local, local_slack, options
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from compose.slack.records import JsonObject


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[tuple[JsonObject, asyncio.subprocess.Process]]:
    """Run `python -m compose.slack` until it is killed here."""
    ready = directory / "ready.json"
    ready.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "compose.slack", "--dir", str(directory), "--no-limits", "--ready-file", str(ready)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: ready.exists() or process.returncode is not None, "the server")
        assert process.returncode is None
        yield json.loads(ready.read_text()), process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def post_until_killed(slack: JsonObject, worker: int, answered: dict[str, str]) -> None:
    """Post, edit and delete until the server is gone; keep what it answered."""
    channels = slack["channels"]
    assert isinstance(channels, dict)
    channel = str(channels["incidents"])
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=str(slack["bot_token"]), base_url=str(slack["api_url"]), session=session)
        client.retry_handlers = []
        number = 0
        while True:
            text = f"{worker}-{number}"
            number += 1
            try:
                ts = str((await client.chat_postMessage(channel=channel, text=text))["ts"])
                answered[ts] = text
                if number % 3 == 0:
                    answered[ts] = "?"  # between two answers: either text is right
                    await client.chat_update(channel=channel, ts=ts, text=f"{text} edited")
                    answered[ts] = f"{text} edited"
                elif number % 5 == 0:
                    answered[ts] = "?"
                    await client.chat_delete(channel=channel, ts=ts)
                    answered[ts] = ""
            except aiohttp.ClientError:
                return


async def test_a_kill_at_any_moment_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    rng = random.Random(20_261_123)
    answered: dict[str, str] = {}
    before: JsonObject | None = None
    for _ in range(3):
        async with running(tmp_path) as (slack, process):
            assert before is None or slack == before, "ids, tokens or port changed over a restart"
            before = slack
            goal = len(answered) + rng.randint(5, 60)
            async with asyncio.TaskGroup() as group:
                for worker in range(4):
                    group.create_task(post_until_killed(slack, worker, answered))
                await until(lambda goal=goal: len(answered) >= goal, "some answers")
                process.send_signal(signal.SIGKILL)
    async with running(tmp_path) as (slack, process):
        channels = slack["channels"]
        assert isinstance(channels, dict)
        found: dict[str, str] = {}
        async with aiohttp.ClientSession() as session:
            client = AsyncWebClient(token=str(slack["bot_token"]), base_url=str(slack["api_url"]), session=session)
            cursor: str | None = None
            while cursor != "":
                page = await client.conversations_history(channel=str(channels["incidents"]), limit=900, cursor=cursor)
                found |= {one["ts"]: one["text"] for one in page["messages"]}
                cursor = page["response_metadata"]["next_cursor"] if page["has_more"] else ""
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    for ts, text in answered.items():
        if text != "?":
            assert found.get(ts, "") == text


async def test_half_a_line_is_cut_off_and_a_broken_one_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    async with local_slack(options(tmp_path)) as local:
        await local.post("kept")
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines()[-1][:40])
    async with local_slack(options(tmp_path)) as local:
        assert local.texts() == ["kept"]
        await local.post("after")
    async with local_slack(options(tmp_path)) as local:
        assert local.texts() == ["kept", "after"]

    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b'{"kind": "nonsense"}\n', *lines[1:]]))
    with pytest.raises(JournalError, match="line 2"):
        await Server.start(options(tmp_path))


async def test_a_long_journal_is_put_together_at_a_start_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "COMPACT_ABOVE", 10)
    journal = tmp_path / "journal.jsonl"

    async def everything(local: Local) -> list[object]:
        history = await local.client.conversations_history(channel=local.incidents, include_all_metadata=True)
        thread = await local.client.conversations_replies(channel=local.incidents, ts=parent)
        return [(await local.client.auth_test()).data, history.data, thread.data]

    async with local_slack(options(tmp_path, seed=None)) as local:
        app = local.bolt()

        @app.event("message")
        async def take() -> None:
            """Acknowledge."""

        await local.connect(app)
        parent = await local.post("card")
        await local.post("reply", thread_ts=parent)
        for number in range(40):
            await local.client.chat_update(channel=local.incidents, ts=parent, text=f"step {number}")
        gone = await local.post("deleted")
        await local.client.chat_delete(channel=local.incidents, ts=gone)
        said = await everything(local)
        await until(lambda: not local.server.slack.workspace.deliveries, "every event delivered")
    long = len(journal.read_bytes().splitlines())
    for _ in range(2):
        async with local_slack(options(tmp_path, seed=None)) as local:
            assert await everything(local) == said
            assert await local.post("next", thread_ts=parent) > gone
            await local.client.chat_delete(channel=local.incidents, ts=(await _newest_reply(local, parent)))
    assert len(journal.read_bytes().splitlines()) < long / 2


async def _newest_reply(local: Local, parent: str) -> str:
    thread = await local.client.conversations_replies(channel=local.incidents, ts=parent)
    return str(thread["messages"][-1]["ts"])


async def test_one_directory_one_server_and_a_taken_port_is_said(tmp_path: Path) -> None:
    async with local_slack(options(tmp_path / "one")) as local:
        with pytest.raises(DirectoryInUseError, match="--dir"):
            await Server.start(options(tmp_path / "one"))
        port = local.server.slack.workspace.port
        assert port is not None
        other = options(tmp_path / "two")
        with pytest.raises(PortTakenError, match=str(port)):
            await Server.start(type(other)(other.directory, port=port))
    async with local_slack(options(tmp_path / "two")):
        """The failed start left the directory free."""


async def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    async with local_slack(options(tmp_path)) as local:
        for name in ("slack.json", "control.token", "journal.jsonl"):
            assert os.stat(tmp_path / name).st_mode & 0o077 == 0  # noqa: PTH116 - the mode is the point
        described = json.loads((tmp_path / "slack.json").read_text())
        assert described["label"] == "local Slack (stand-in)"
        assert described["api_url"] == f"{local.server.url}api/"
        assert set(described["users"]) == {"ana", "ben", "chloe", "gus", "operator"}
        assert set(described["usergroups"]) == {"oncall-primary", "oncall-secondary"}


async def test_read_marks_and_direct_messages_survive(tmp_path: Path) -> None:
    async with local_slack(options(tmp_path)) as local:
        ts = await local.post("hello")
        local.server.slack.workspace.mark_read(local.user("ana"), local.incidents, ts)
        opened = await local.client.conversations_open(users=local.user("ben"))
    async with local_slack(options(tmp_path)) as local:
        assert local.server.slack.workspace.read_up_to(local.user("ana"), local.incidents) == ts
        assert opened["channel"]["id"] in local.server.slack.workspace.channels
