"""Faults, the record of calls, and who may talk to the server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from compose.slack.guard import CONTENT_SECURITY_POLICY
from tests.compose.slack.harness import Local, Wall, local_slack, options, refused

if TYPE_CHECKING:
    from pathlib import Path

    from compose.slack.records import JsonObject


async def raw(local: Local, text: str = "x") -> tuple[int, str]:
    body = {"token": local.client.token or "", "channel": local.incidents, "text": text}
    async with local.http.post(f"{local.server.url}api/chat.postMessage", data=body) as answer:
        return answer.status, await answer.text()


async def fault(local: Local, kind: str, **fields: float | str) -> JsonObject:
    spec: JsonObject = {"method": "chat.postMessage", "kind": kind, **fields}
    return await local.control("faults", spec)


@pytest.mark.parametrize("kind", ["down", "reset_before", "reset_after_apply"])
async def test_a_connection_that_breaks_with_and_without_effect(local: Local, kind: str) -> None:
    await fault(local, kind, count=1)

    with pytest.raises(aiohttp.ClientConnectionError):
        await raw(local)

    assert local.texts() == (["x"] if kind == "reset_after_apply" else [])
    assert (await raw(local, "again"))[0] == 200


async def test_answers_that_slack_sometimes_gives(local: Local) -> None:
    await fault(local, "http_500", count=1)
    status, text = await raw(local)
    assert (status, text.startswith("<!doctype html>")) == (500, True)
    await fault(local, "html", count=1)
    status, text = await raw(local)
    assert (status, text.startswith("<!doctype html>")) == (200, True)
    await fault(local, "ratelimited", retry_after=7, count=1)
    async with local.http.post(f"{local.server.url}api/chat.postMessage") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    await fault(local, "error", error="fatal_error", count=1)
    assert await refused(local.client.chat_postMessage(channel=local.incidents, text="x")) == "fatal_error"
    assert local.texts() == []


async def test_a_slow_call_still_happens(local: Local) -> None:
    await fault(local, "slow", delay=30, count=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await raw(local)
    await fault(local, "slow", delay=0.01, count=1)
    assert (await raw(local))[0] == 200


async def test_a_fault_hits_what_it_names_for_as_long_as_it_says(tmp_path: Path) -> None:
    wall = Wall()
    async with local_slack(replace(options(tmp_path), now=wall)) as local:
        await fault(local, "error", match="needle", seconds=10)
        assert '"ok": true' in (await raw(local, "hay"))[1]
        assert "internal_error" in (await raw(local, "hay needle hay"))[1]
        await local.client.auth_test()
        wall.seconds += 10
        assert '"ok": true' in (await raw(local, "needle"))[1]

        await fault(local, "error")
        listed = await local.control("faults", method="GET")
        assert isinstance(listed["faults"], list)
        assert len(listed["faults"]) == 1
        assert "internal_error" in (await raw(local))[1]
        await local.control("faults", method="DELETE")
        assert '"ok": true' in (await raw(local))[1]


async def test_a_fault_must_make_sense(local: Local) -> None:
    assert (await fault(local, "earthquake"))["status"] == 400
    assert (await fault(local, "down", count=1, seconds=2))["status"] == 400


async def test_calls_are_recorded_without_their_token(local: Local) -> None:
    await local.post("first")
    await fault(local, "error", count=1)
    await refused(local.client.chat_postMessage(channel=local.incidents, text="second"))

    recorded = await local.control("calls?method=chat.postMessage", method="GET")
    calls = recorded["calls"]
    assert isinstance(calls, list)
    assert [(one["args"]["text"], one["fault"]) for one in calls if isinstance(one, dict)] == [  # type: ignore[index, call-overload]  # JSON that the test reads
        ("first", None),
        ("second", "error"),
    ]
    assert str(local.client.token) not in str(recorded)
    later = await local.control("calls?since=1&method=chat.postMessage", method="GET")
    assert isinstance(later["calls"], list)
    assert len(later["calls"]) == 1


async def test_the_control_api_wants_its_token(local: Local) -> None:
    for token in ("", "Bearer wrong"):
        async with local.http.post(
            f"{local.server.url}control/act",
            json={"user": "ana", "channel": "incidents", "action": "message", "text": "x"},
            headers={"Authorization": token},
        ) as answer:
            assert answer.status == 401
    assert local.texts() == []
    assert (await local.act("ana", "dance"))["status"] == 400
    assert (await local.act("nobody", "message", text="x"))["status"] == 409


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_other_sites_can_neither_read_nor_write(local: Local, headers: dict[str, str]) -> None:
    body = {"user": "ana", "channel": "incidents", "action": "message", "text": "x"}
    async with local.http.post(f"{local.server.url}page/act", json=body, headers=headers) as answer:
        assert answer.status == 403
    if "Sec-Fetch-Site" not in headers:
        live = f"{local.server.url.replace('http', 'ws')}page/live?user=ana"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await local.http.ws_connect(live, headers=headers)
    assert local.texts() == []


async def test_the_page_is_locked_down(local: Local) -> None:
    for path in ("", "static/app.js", "page/state"):
        async with local.http.get(f"{local.server.url}{path}") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("static/..%2fapp.py", "static/nothing.js", "archives/C0NOPE/p1"):
        async with local.http.get(f"{local.server.url}{path}") as answer:
            assert answer.status == 404
