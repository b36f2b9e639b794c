"""Threads that people deleted, answers that are none, others' messages, and too much of everything."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot import incidents
from bot.slack import calls, listeners, people
from bot.slack.cards import ACK
from bot.slack.errors import Unavailable
from bot.slack.upkeep import DONE, MAX_ACTIVE, Outcome, Upkeep
from compose.slack.messaging import Messaging
from compose.slack.records import Message as Shown
from tests.bot.slack.stage import QUICK, Stage, down
from tests.waiting import until


@pytest.mark.parametrize("thread", ["gone unnoticed", "thread_not_found", "restricted_action_thread_locked"])
async def test_without_its_thread_a_ticket_still_calls_people_and_opens_no_second_one(
    stage: Stage, thread: str
) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        (root,) = stage.roots()
        messaging: Messaging = stage.server.slack.messaging
        for reply in stage.replies(root):
            messaging.delete(reply)
        if thread == "gone unnoticed":
            messaging.delete(root)
        else:
            stage.fault(method="chat.postMessage", kind="error", error=thread, match='"thread_ts"')
        posted = len(stage.calls("chat.postMessage"))
        await stage.tick(down(), down("rl-3"))
        await stage.settled()
        assert not [one for one in stage.roots() if "rl-3" in one.text and one.ts != root.ts], "chatter in the channel"
        await stage.tick(down(), down("rl-3"), after_s=31)
        await stage.settled()
        call = stage.roots()[-1]
        assert call.notifies == (stage.user("ana"),)
        assert call.text.startswith("🧵 The thread of ticket 1 was deleted or locked, so this stands here.")
        assert "`operator ack 1`" in call.text
        assert "*2nd call:*" in call.text
        await stage.resolve()
        await stage.settled()
        if thread == "gone unnoticed":
            assert len(stage.calls("chat.postMessage")) <= posted + 3, "one try in the thread, a call, the resolution"
    *_, call, end = [one for one in stage.roots() if one.subtype != "tombstone"]
    assert "*2nd call:*" in call.text
    assert "✅ *Resolved*" in end.text
    assert "operator ack" not in end.text
    assert len(stage.entries("ThreadOpened")) == 1
    assert len([one for one in stage.roots() if ACK in json.dumps(one.blocks)]) == 0
    errors = [json.loads(entry.payload)["error"] for entry in stage.entries("SlackRefused")]
    assert [error for error in errors if "deleted" in error or "message_not_found" in error]


async def test_a_call_that_finds_its_thread_gone_is_said_once_whatever_becomes_of_the_first_try(stage: Stage) -> None:
    stage.fault(method="chat.delete", kind="reset_before", count=1)
    async with stage.running():
        await stage.tick(down())
        await until(lambda: stage.roots() and stage.replies(stage.roots()[0]), "the thread")
        (root,) = stage.roots()
        for one in (*stage.replies(root), root):
            stage.server.slack.messaging.delete(one)
        await stage.tick(down(), after_s=31)
        await until(lambda: len(stage.rows()) == 3 and stage.rows()[-1].ts is not None, "the call stands")
    (call,) = stage.roots()
    assert "*2nd call:*" in call.text
    assert call.notifies == (stage.user("ana"),)


@pytest.mark.parametrize("error", ["team_added_to_org", "message_limit_exceeded"])
async def test_what_slack_says_about_the_workspace_is_no_refusal_of_a_message(stage: Stage, error: str) -> None:
    stage.fault(method="chat.postMessage", kind="error", error=error)
    async with stage.running():
        await stage.tick(down())
        await until(lambda: len(stage.calls("chat.postMessage")) >= 4, "it is tried again")
        stage.mend()
        await stage.settled()
    assert len(stage.roots()) == 1
    assert not stage.entries("SlackRefused")


async def test_messages_of_others_that_nobody_can_read_do_not_hide_ours(stage: Stage) -> None:
    workspace = stage.server.slack.workspace
    other = Shown(
        stage.channel,
        workspace.next_ts(),
        stage.user("ben"),
        "deployed",
        from_app=True,
        metadata={"event_type": "deployed", "event_payload": {"nonce": 12345}},
    )
    workspace.post(other)
    stage.clock.wall = datetime.fromtimestamp(float(other.ts), UTC)
    stage.fault(method="chat.postMessage", kind="reset_after_apply", count=1)
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
    _, root = stage.roots()
    assert "Ticket 1" in root.text


async def test_names_that_slack_holds_back_hold_back_no_message(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "NAME_WAIT_S", 0.1)
    stage.fault(method="users.info", kind="ratelimited", retry_after=60)
    await stage.tick(down())
    await stage.store.run(incidents.take_over, stage.store, 1, f"slack:{stage.user('ana')}")
    async with stage.running():
        await stage.settled()
    (root,) = stage.roots()
    assert stage.texts(root)[-1] == f"🛠 {stage.user('ana')} works on it."


def test_a_failing_servers_record_is_no_answer_about_the_message() -> None:
    response = AsyncSlackResponse(
        client=None,
        http_verb="POST",
        api_url="",
        req_args={},
        data={"ok": False, "error": "server_error"},
        headers={},
        status_code=503,
    )
    error = SlackApiError("no", response)  # type: ignore[no-untyped-call]  # the SDK's
    judged = calls._judged(error, "chat.postMessage", "C0")
    assert isinstance(judged, Unavailable)
    assert judged.ambiguous


async def test_a_card_that_waits_for_its_edit_holds_up_no_line(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        (root,) = stage.roots()
        stage.fault(method="chat.update", kind="ratelimited", retry_after=60)
        await stage.store.run(incidents.mute, stage.store, 1, 0.5, "os:ana")
        stage.view.wake(0)
        await until(lambda: stage.calls("chat.update"), "Slack limits the edit")
        stage.fault(method="chat.postMessage", kind="reset_before", count=1)
        await stage.tick(down(), down("rl-3"))
        await until(lambda: "rl-3" in stage.texts(root)[-1], "the line does not wait for it")


GARBAGE = [
    "",
    "null",
    "[]",
    "NaN",
    "{",
    '"ok"',
    "[{}]",
    '{"ok": null}',
    '{"ok": false}',
    '{"ok": false, "error": null}',
    '{"ok": false, "error": {"of": "mine"}}',
]


@pytest.mark.parametrize("status", [200, 302, 404, 503])
async def test_an_answer_that_is_none_says_nothing_about_the_message(stage: Stage, status: int) -> None:
    for body in GARBAGE:
        for kind in ("application/json", "text/plain", "application/octet-stream"):

            async def answer(_: web.Request, body: str = body, kind: str = kind) -> web.Response:
                return web.Response(status=status, text=body, content_type=kind)

            app = web.Application()
            app.router.add_route("*", "/{method}", answer)
            async with TestServer(app) as server, aiohttp.ClientSession() as session:
                client = AsyncWebClient("xoxb-", base_url=str(server.make_url("/")), session=session)
                asked = calls.Calls(client, stage.clock, QUICK)
                with pytest.raises(Unavailable) as error:
                    await asked.call("chat.postMessage", {"channel": "C0", "text": "x"})
                assert error.value.ambiguous, (body, kind)


async def test_chatter_of_many_tickets_holds_up_no_new_thread(stage: Stage) -> None:
    busy, seen = asyncio.Event(), []

    async def reconcile(owner: str) -> Outcome:
        seen.append(owner)
        if busy.is_set() and owner != f"ticket:{MAX_ACTIVE + 1}":
            await asyncio.Event().wait()  # for a budget that others use up
        return DONE

    upkeep = Upkeep(stage.store, stage.clock, QUICK, reconcile)
    names = [f"s{number}" for number in range(MAX_ACTIVE)]
    for name in names:
        await stage.tick(down(subject=name), subject=name, after_s=0.01)
    task = asyncio.create_task(upkeep.run())
    await until(lambda: len(set(seen)) == MAX_ACTIVE and not upkeep.behind, "all are shown")
    seen.clear()
    busy.set()
    for name in names:
        await stage.tick(down(subject=name), down("rl-3", subject=name), subject=name, after_s=0.01)
    upkeep.wake()
    await until(lambda: len(seen) == MAX_ACTIVE, "all wait for their turn")
    await stage.tick(down(subject="new"), subject="new")
    upkeep.wake()
    await until(lambda: f"ticket:{MAX_ACTIVE + 1}" in seen, "the new ticket is not kept waiting")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_socket_that_is_open_and_deaf_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "PING_S", 0.2)
    async with stage.running():
        await stage.connected()
        await stage.tick(down())
        await stage.settled()
        (root,) = stage.roots()
        asked = len(stage.calls("apps.connections.open"))
        stage.server.slack.hub.mute_pongs = True
        await until(lambda: len(stage.calls("apps.connections.open")) > asked, "another socket is asked for")
        stage.server.slack.hub.mute_pongs = False
        await until(lambda: stage.view.health().connected, "and opened")
        assert "You have acknowledged ticket 1" in await stage.click("ana", root.ts, ACK)
