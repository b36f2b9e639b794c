"""Unmodified Bolt over Socket Mode."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from compose.slack.records import JsonObject
from tests.compose.slack.harness import Inbox, Local, Wall, actions, button, local_slack, options
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from slack_bolt.context.ack.async_ack import AsyncAck
    from slack_bolt.context.respond.async_respond import AsyncRespond


async def test_a_slash_command_answers_in_its_acknowledgement_and_later(local: Local) -> None:
    app, seen = local.bolt(), Inbox()

    @app.command("/operator")
    async def command(ack: AsyncAck, command: JsonObject, respond: AsyncRespond) -> None:
        await ack(f"you said {command['text']}")
        await respond("for all", response_type="in_channel")
        await respond("for you")
        await seen.take(command)

    await local.connect(app)
    result = await local.act("ana", "command", text="show 42")

    assert result["acked"] is True
    command_seen = await seen.expect(lambda _: True, "the command")
    assert command_seen["user_id"] == local.user("ana")
    assert command_seen["channel_name"] == "incidents"
    await until(lambda: len(local.ephemerals("ana")) == 2, "both ephemeral answers")
    assert sorted(local.ephemerals("ana")) == ["for you", "you said show 42"]
    assert local.ephemerals("ben") == []
    assert local.texts() == ["for all"]


async def test_an_unacknowledged_command_tells_only_its_user(local: Local) -> None:
    app = local.bolt()

    @app.command("/operator")
    async def command() -> None:
        """Never acknowledge."""

    await local.connect(app)
    result = await local.act("ana", "command", text="status")

    assert (result["acked"], result["outcome"]) == (False, "timeout")
    assert local.ephemerals("ana")[0].startswith("/operator failed because the app did not respond")
    assert local.ephemerals("ben") == []


async def test_without_an_app_a_command_fails_at_once(local: Local) -> None:
    result = await local.act("ana", "command", text="status")

    assert (result["acked"], result["outcome"]) == (False, "no_app")
    assert local.ephemerals("ana")[0].startswith("/operator failed because the app did not respond")


async def test_unknown_commands_and_commands_in_threads_reach_no_app(local: Local) -> None:
    app, seen = local.bolt(), Inbox()

    @app.command("/operator")
    async def command(ack: AsyncAck, command: JsonObject) -> None:
        await ack()
        await seen.take(command)

    await local.connect(app)
    ts = await local.post()

    assert (await local.act("ana", "message", text="/nothing at all"))["status"] == 409
    assert (await local.act("ana", "command", text="status", thread_ts=ts))["status"] == 409
    assert "not a valid command" in local.ephemerals("ana")[0]
    assert "not supported in threads" in local.ephemerals("ana")[1]
    assert seen.items == []


async def test_a_click_carries_what_slack_sends_and_can_replace_its_message(local: Local) -> None:
    app, seen = local.bolt(), Inbox()

    @app.action("approve")
    async def approve(ack: AsyncAck, body: JsonObject, respond: AsyncRespond) -> None:
        await ack()
        await respond(text="approved", replace_original=True)
        await seen.take(body)

    await local.connect(app)
    parent = await local.post("parent")
    ts = await local.post("may I?", thread_ts=parent, blocks=actions(button(value="7", style="primary")))
    result = await local.act("ben", "click", ts=ts, action_id="approve")

    assert result["acked"] is True
    body = await seen.expect(lambda _: True, "the click")
    assert body["type"] == "block_actions"
    assert body["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": local.incidents,
        "is_ephemeral": False,
        "thread_ts": parent,
    }
    [action] = body["actions"] if isinstance(body["actions"], list) else []
    assert isinstance(action, dict)
    assert (action["value"], action["style"], action["type"]) == ("7", "primary", "button")
    assert {"block_id", "action_ts", "text"} <= action.keys()
    assert isinstance(body["message"], dict)
    assert body["message"]["blocks"]
    assert isinstance(body["user"], dict)
    assert body["user"]["id"] == local.user("ben")
    await until(lambda: local.texts() == ["parent", "approved"], "the replaced message")


async def test_a_click_that_nobody_acknowledges_says_so(local: Local) -> None:
    await local.connect(local.bolt())
    ts = await local.post(blocks=actions(button()))

    result = await local.act("ana", "click", ts=ts, action_id="approve")

    assert (result["acked"], result["outcome"]) == (False, "timeout")
    assert (await local.act("ana", "click", ts=ts, action_id="other"))["status"] == 409
    assert (await local.act("operator", "click", ts=ts, action_id="approve"))["status"] == 409


async def test_an_ephemeral_message_can_only_be_changed_through_its_own_response_url(local: Local) -> None:
    app, seen = local.bolt(), Inbox()

    @app.action("approve")
    async def approve(ack: AsyncAck, body: JsonObject, respond: AsyncRespond) -> None:
        await ack()
        await respond(text="done", replace_original=True)
        await seen.take(body)

    await local.connect(app)
    answer = await local.client.chat_postEphemeral(
        channel=local.incidents, user=local.user("ana"), text="sure?", blocks=actions(button())
    )
    ts = str(answer["message_ts"])

    with pytest.raises(SlackApiError, match="message_not_found"):
        await local.client.chat_update(channel=local.incidents, ts=ts, text="x")
    assert (await local.act("ben", "click", ts=ts, action_id="approve"))["status"] == 409
    await local.act("ana", "click", ts=ts, action_id="approve")
    body = await seen.expect(lambda _: True, "the click")
    assert "message" not in body
    await until(lambda: local.ephemerals("ana") == ["done"], "the replaced ephemeral message")
    assert local.texts() == []


async def test_mentions_and_messages_arrive_as_events_of_their_own(local: Local) -> None:
    app, seen = local.bolt(), Inbox()
    app.event("app_mention")(_keep(seen))
    app.event("message")(_keep(seen))
    await local.connect(app)
    parent = await local.post("card")

    await local.act("ana", "message", text="@operator why?", thread_ts=parent)

    mention = await seen.expect(lambda one: one["type"] == "app_mention", "app_mention")
    message = await seen.expect(lambda one: one["type"] == "message", "message")
    assert mention["text"] == message["text"] == f"<@{local.bot}> why?"
    assert mention["thread_ts"] == message["thread_ts"] == parent
    assert message["channel_type"] == "channel"


async def test_only_what_the_manifest_declares_and_the_bot_can_see_is_delivered(local: Local) -> None:
    app, seen = local.bolt(), Inbox()
    app.event("message")(_keep(seen))
    await local.connect(app)
    opened = await local.client.conversations_open(users=[local.user("ana")])
    await local.control("act", {"user": "ana", "channel": "general", "action": "message", "text": "not for the app"})
    await local.control(
        "act",
        {"user": "ana", "channel": opened["channel"]["id"], "action": "message", "text": "a direct message"},
    )

    await local.act("ana", "message", text="for the app")

    await seen.expect(lambda one: one["text"] == "for the app", "the message in #incidents")
    assert [one["text"] for one in seen.items] == ["for the app"]


async def test_an_event_without_acknowledgement_comes_again_three_times_with_the_same_event_id(local: Local) -> None:
    await local.connect(local.bolt())  # nothing registered: Bolt answers 404 and acknowledges nothing

    await local.act("ana", "message", text="hello?")

    attempts = local.server.slack.events
    await until(lambda: not local.server.slack.workspace.deliveries, "the end of the attempts")
    assert [one.attempt for one in attempts.attempts] == [0, 1, 2, 3]
    assert {one.outcome for one in attempts.attempts} == {"timeout"}
    assert len({one.event_id for one in attempts.attempts}) == 1


async def test_a_retry_says_that_it_is_one(local: Local) -> None:
    app, seen = local.bolt(), Inbox()

    @app.middleware
    async def note(body: JsonObject, req: object, next: object) -> None:  # noqa: A002 - Bolt's own names
        headers: dict[str, list[str]] = getattr(req, "headers", {})
        await seen.take({"event_id": body["event_id"], "retry": headers.get("x-slack-retry-num", ["0"])[0]})
        if callable(next) and len(seen.items) > 1:
            await next()

    app.event("message")(_keep(Inbox()))
    await local.connect(app)

    await local.act("ana", "message", text="once more")

    await until(lambda: not local.server.slack.workspace.deliveries, "the acknowledged retry")
    assert [one["retry"] for one in seen.items] == ["0", "1"]
    assert len({one["event_id"] for one in seen.items}) == 1
    assert [one.outcome for one in local.server.slack.events.attempts] == ["timeout", "ok"]


async def test_an_event_that_happens_without_a_socket_is_delivered_when_one_comes(local: Local) -> None:
    app, seen = local.bolt(), Inbox()
    app.event("message")(_keep(seen))

    await local.act("ana", "message", text="anyone there?")
    await local.connect(app)

    await seen.expect(lambda one: one["text"] == "anyone there?", "the event from before")


async def test_an_event_that_was_not_acknowledged_survives_a_restart(tmp_path: Path) -> None:
    where = options(tmp_path, seed=None)
    async with local_slack(where) as before:
        await before.act("ana", "message", text="before the restart")
        event_id = next(iter(before.server.slack.workspace.deliveries))
    async with local_slack(where) as after:
        app, seen = after.bolt(), Inbox()

        @app.event("message")
        async def keep(body: JsonObject) -> None:
            await seen.take(body)

        await after.connect(app)
        body = await seen.expect(lambda _: True, "the event from before the restart")
        assert body["event_id"] == event_id


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "link_disabled", None])
async def test_a_disconnected_app_comes_back_and_misses_nothing(local: Local, reason: str | None) -> None:
    app, seen = local.bolt(), Inbox()
    app.event("message")(_keep(seen))
    handler = await local.connect(app)
    first = await handler.client.session_id()

    await local.control("socket/disconnect", {"abrupt": True} if reason is None else {"reason": reason})
    for number in range(5):
        await local.act("ana", "message", text=f"message {number}")

    for number in range(5):
        await seen.expect(_says(f"message {number}"), f"message {number}")
    await until(lambda: local.server.slack.hub.connections == 1, "one connection again")
    assert await handler.client.session_id() != first


async def test_each_envelope_goes_to_exactly_one_of_several_connections(local: Local) -> None:
    boxes = [Inbox(), Inbox(), Inbox()]
    for seen in boxes:
        app = local.bolt()
        app.event("message")(_keep(seen))
        await local.connect(app)

    for number in range(30):
        await local.act("ana", "message", text=str(number))

    await until(lambda: sum(len(seen.items) for seen in boxes) >= 30, "all messages")
    await until(lambda: not local.server.slack.workspace.deliveries, "all acknowledged")
    assert sorted(int(str(one["text"])) for seen in boxes for one in seen.items) == list(range(30))
    assert all(seen.items for seen in boxes)
    assert len({one.event_id for one in local.server.slack.events.attempts}) == 30


async def test_a_deaf_socket_swallows_everything_until_it_hears_again(local: Local) -> None:
    app, seen = local.bolt(), Inbox()
    app.event("message")(_keep(seen))
    await local.connect(app)

    await local.control("socket/disconnect", {"deaf": True})
    assert (await local.act("ana", "command", text="status"))["outcome"] == "timeout"
    await local.act("ana", "message", text="hello?")
    await until(lambda: local.server.slack.events.attempts, "a failed attempt")
    assert seen.items == []
    await local.control("socket/disconnect", {"deaf": False})

    await seen.expect(lambda one: one["text"] == "hello?", "the redelivered event")


async def test_the_client_finds_a_half_open_socket_by_its_pings_and_connects_anew(local: Local) -> None:
    handler = await local.connect(local.bolt())
    first = await handler.client.session_id()
    await until(lambda: handler.client.last_ping_pong_time, "the first ping")
    await local.control("socket/disconnect", {"deaf": True, "mute_pongs": True})

    async def anew() -> bool:
        return await handler.client.session_id() != first

    await until(anew, "another session")


async def test_a_ticket_opens_one_connection_and_ten_is_the_most(local: Local) -> None:
    opener = AsyncWebClient(
        token=local.server.slack.workspace.identity.app_token,
        base_url=f"{local.server.url}api/",
        session=local.http,
    )

    async def url() -> str:
        return str((await opener.apps_connections_open(app_token=opener.token or ""))["url"])

    sockets = [await local.http.ws_connect(await url()) for _ in range(10)]
    hellos = [await one.receive_json() for one in sockets]
    assert [one["num_connections"] for one in hellos] == list(range(1, 11))

    eleventh = await local.http.ws_connect(await url())
    assert (await eleventh.receive_json())["reason"] == "too_many_websockets"
    used = await url()
    for one in [*sockets, eleventh]:
        await one.close()
    await until(lambda: local.server.slack.hub.connections == 0, "all closed")
    once = await local.http.ws_connect(used)
    await once.receive_json()
    async with local.http.get(used.replace("ws://", "http://")) as again:
        assert again.status == 408
    await once.close()


async def test_a_response_url_can_be_used_five_times_and_not_after_half_an_hour(tmp_path: Path) -> None:
    app_seen, wall = Inbox(), Wall()
    async with local_slack(replace(options(tmp_path), now=wall)) as local:
        app = local.bolt()

        @app.command("/operator")
        async def command(ack: AsyncAck, command: JsonObject) -> None:
            await ack()
            await app_seen.take(command)

        await local.connect(app)
        await local.act("ana", "command", text="status")
        url = str((await app_seen.expect(lambda _: True, "the command"))["response_url"])

        async def respond(body: JsonObject, url: str = url) -> tuple[int, str]:
            async with local.http.post(url, json=body) as answer:
                return answer.status, await answer.text()

        status, text = await respond({})
        assert (status, "no_text" in text) == (400, True)
        # Replacing the original of a slash command does nothing: there is none.
        assert await respond({"text": "0", "replace_original": True}) == (200, "ok")
        for number in range(1, 5):
            assert await respond({"text": str(number)}) == (200, "ok")
        status, text = await respond({"text": "5"})
        assert (status, "used_url" in text) == (404, True)
        assert local.ephemerals("ana") == ["0", "1", "2", "3", "4"]

        await local.act("ana", "command", text="again")
        later = await app_seen.expect(lambda one: one["text"] == "again", "the second command")
        wall.seconds += 1799
        assert await respond({"text": "in time"}, str(later["response_url"])) == (200, "ok")
        wall.seconds += 1
        status, text = await respond({"text": "too late"}, str(later["response_url"]))
        assert (status, "expired_url" in text) == (404, True)


def _says(text: str) -> Callable[[JsonObject], bool]:
    return lambda event: event["text"] == text


def _keep(inbox: Inbox) -> Callable[[JsonObject], Awaitable[None]]:
    async def keep(event: JsonObject) -> None:
        await inbox.take(event)

    return keep


async def test_nothing_is_left_running_when_it_stops(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with local_slack(options(tmp_path)) as local:
        await local.connect(local.bolt())
        await local.act("ana", "message", text="a delivery that is still going on")
        await local.http.ws_connect(f"{local.server.url.replace('http', 'ws')}page/live?user=ana")
    await until(lambda: asyncio.all_tasks() <= before, "the end of every task")
