from __future__ import annotations

import json

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.buttons import Click
from bot.slack.cards import ACK, MUTE, TAKE
from bot.slack.people import STANDING_S
from compose.slack import shapes
from compose.slack.methods import users
from compose.slack.records import JsonObject, User
from compose.slack.records import Message as Shown
from compose.slack.state import Workspace
from tests.bot.slack.stage import Stage, down
from tests.clock import ManualClock
from tests.waiting import until


async def opened(stage: Stage) -> Shown:
    await stage.connected()
    await stage.tick(down())
    await stage.settled()
    (root,) = stage.roots()
    return root


async def test_acknowledging_is_committed_told_and_shown(stage: Stage) -> None:
    async with stage.running():
        root = await opened(stage)
        said = await stage.click("ana", root.ts, ACK)
        assert "You have acknowledged ticket 1" in said
        assert stage.ticket().acknowledged_by == f"slack:{stage.user('ana')}"
        await stage.settled()
        (root,) = stage.roots()
        assert "👀 Ana Ruiz" in json.dumps(root.blocks, ensure_ascii=False)
        assert ACK not in json.dumps(root.blocks)
        assert "<@" not in json.dumps(root.blocks)
        assert stage.texts(root)[-1] == "👀 Ana Ruiz has acknowledged it. Nobody is called again."
        assert stage.replies(root)[-1].notifies == ()


async def test_a_double_click_acknowledges_once_and_both_are_answered(stage: Stage) -> None:
    async with stage.running():
        root = await opened(stage)
        channel = stage.server.slack.workspace.users[stage.user("ana")]
        await stage.click("ana", root.ts, ACK)
        # The button is gone from the card; a click that was on its way comes all the same.
        await stage.server.slack.interactivity.click(channel, root, ACK)
        await until(lambda: len(stage.whispers("ana")) == 2, "an answer to the second click")
        assert stage.whispers("ana")[-1] == "You have acknowledged ticket 1 already."
        ben = stage.server.slack.workspace.users[stage.user("ben")]
        await stage.server.slack.interactivity.click(ben, root, ACK)
        await until(lambda: stage.whispers("ben"), "an answer to Ben")
        assert stage.whispers("ben") == ["Ana Ruiz has acknowledged ticket 1 already."]
    assert len(stage.entries("TicketAcknowledged")) == 1


async def test_the_same_envelope_twice_is_taken_in_once_even_after_a_restart(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.server.slack.interactivity, "_trigger", lambda: "1.2.same")
    async with stage.running():
        root = await opened(stage)
        await stage.click("ana", root.ts, MUTE)
    async with stage.running():
        await stage.connected()
        answer = await stage.act(user="ana", channel="incidents", action="click", ts=root.ts, action_id=MUTE)
        assert answer["acked"] is True
        monkeypatch.undo()
        await stage.click("ana", root.ts, TAKE)  # by then the second one was dealt with
    assert len(stage.entries("Muted")) == 1
    assert len(stage.whispers("ana")) == 2


async def test_taking_over_and_muting(stage: Stage) -> None:
    async with stage.running():
        root = await opened(stage)
        assert "You work on ticket 1 now" in await stage.click("ben", root.ts, TAKE)
        assert "You work on ticket 1 already" in await stage.click("ben", root.ts, TAKE)
        assert "Ticket 1 is muted" in await stage.click("ana", root.ts, MUTE)
        await stage.settled()
        (root,) = stage.roots()
        shown = json.dumps(root.blocks, ensure_ascii=False)
        assert "*Works on it*\\nBen Okoye" in shown
        assert "*Muted*" in shown
        assert [text[0] for text in stage.texts(root)] == ["📣", "🛠", "🔕"]


async def test_a_late_click_is_told_that_it_is_over(stage: Stage) -> None:
    async with stage.running():
        root = await opened(stage)
        await stage.resolve()
        await stage.settled()
        for action, verb in ((ACK, "acknowledge"), (TAKE, "take over"), (MUTE, "mute")):
            ana = stage.server.slack.workspace.users[stage.user("ana")]
            before = len(stage.whispers("ana"))
            await stage.server.slack.interactivity.click(ana, root, action)
            await until(lambda before=before: len(stage.whispers("ana")) > before, "an answer")
            assert f"there is nothing left to {verb}" in stage.whispers("ana")[-1]
    assert stage.ticket().acknowledged_by is None
    assert not stage.entries("Muted")


async def test_guests_bots_strangers_and_the_deactivated_are_refused(stage: Stage) -> None:
    async with stage.running() as view:
        root = await opened(stage)
        assert "guests can't do this" in await stage.click("gus", root.ts, ACK)
        press = view._listeners._buttons.press
        bot = stage.server.slack.workspace.identity.bot_user
        ana, team = stage.user("ana"), stage.server.slack.workspace.identity.team_id
        of = {"channel": stage.channel, "ts": root.ts, "action": ACK, "value": "1"}
        assert "another workspace" in await press(Click(user=ana, team="T0STRANGE", **of))
        assert "bots can't do this" in await press(Click(user=bot, team=team, **of))
        assert "does not know you" in await press(Click(user="U0NOBODY", team=team, **of))
    assert stage.ticket().acknowledged_by is None


async def test_a_deactivated_account_is_refused_within_a_minute(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage.running():
        root = await opened(stage)
        shape = shapes.user_shape

        def deactivated(workspace: Workspace, user: User) -> JsonObject:
            return shape(workspace, user) | {"deleted": True}

        monkeypatch.setattr(users, "user_shape", deactivated)
        assert stage.ticket().acknowledged_by is None
        assert "your account is deactivated" in await stage.click("ana", root.ts, ACK)
        monkeypatch.undo()
        people = stage.view._people
        monkeypatch.setattr(people, "_clock", clock := ManualClock())
        people._known.clear()
        assert "You work on ticket 1 now" in await stage.click("ben", root.ts, TAKE)
        monkeypatch.setattr(users, "user_shape", deactivated)
        clock.advance(STANDING_S)
        assert "your account is deactivated" in await stage.click("ben", root.ts, MUTE)
    assert stage.ticket().acknowledged_by == f"slack:{stage.user('ben')}"
    assert not stage.entries("Muted")


async def test_when_slack_does_not_say_who_it_is_nothing_is_done(stage: Stage) -> None:
    async with stage.running():
        root = await opened(stage)
        stage.fault(method="users.info", kind="http_500")
        assert "could not ask Slack who you are" in await stage.click("ana", root.ts, ACK)
    assert stage.ticket().acknowledged_by is None


def api(stage: Stage, session: aiohttp.ClientSession) -> AsyncWebClient:
    token = stage.server.slack.workspace.identity.bot_token
    return AsyncWebClient(token=token, base_url=f"{stage.server.url}api/", session=session)


async def test_a_copied_card_does_nothing(stage: Stage) -> None:
    async with stage.running(), aiohttp.ClientSession() as session:
        root = await opened(stage)
        copy = await api(stage, session).chat_postMessage(
            channel=stage.channel, text=root.text, blocks=json.loads(json.dumps(root.blocks))
        )
        assert "This is not a message of mine" in await stage.click("ana", str(copy["ts"]), ACK)
    assert stage.ticket().acknowledged_by is None


async def test_an_edited_value_does_nothing(stage: Stage) -> None:
    async with stage.running(), aiohttp.ClientSession() as session:
        root = await opened(stage)
        await stage.tick(down("tikv-1", subject="kv"), subject="kv")
        await stage.settled()
        forged = json.loads(json.dumps(root.blocks).replace('"value": "1"', '"value": "2"'))
        await api(stage, session).chat_update(channel=stage.channel, ts=root.ts, text=root.text, blocks=forged)
        assert "does not belong to this message" in await stage.click("ana", root.ts, ACK)
        foreign = json.loads(json.dumps(root.blocks).replace(ACK, "someone_elses"))
        await api(stage, session).chat_update(channel=stage.channel, ts=root.ts, text=root.text, blocks=foreign)
        assert "I do not know this button" in await stage.click("ana", root.ts, "someone_elses")
    assert stage.ticket(1).acknowledged_by is None
    assert stage.ticket(2).acknowledged_by is None


async def test_an_answer_finds_another_way_when_its_address_does_not_work(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage.running():
        root = await opened(stage)
        monkeypatch.setattr(
            stage.server.slack.interactivity, "_response_url", lambda *_: f"{stage.server.url}actions/T0/gone"
        )
        assert "You have acknowledged ticket 1" in await stage.click("ana", root.ts, ACK)
    assert [call.method for call in stage.calls("chat.postEphemeral")] == ["chat.postEphemeral"]


async def test_what_nobody_listens_for_is_acknowledged(chatty_stage: Stage) -> None:
    async with chatty_stage.running():
        await opened(chatty_stage)
        await chatty_stage.act(user="ana", channel="incidents", action="message", text="hello there")
        await until(lambda: chatty_stage.server.slack.events.attempts, "the event was delivered")
        await until(lambda: not chatty_stage.server.slack.workspace.deliveries, "and acknowledged")
        assert {(one.attempt, one.outcome) for one in chatty_stage.server.slack.events.attempts} == {(0, "ok")}


async def test_a_click_is_answered_after_the_socket_was_cut(stage: Stage) -> None:
    async with stage.running():
        root = await opened(stage)
        hub = stage.server.slack.hub
        for reason in ("refresh_requested", None):
            opened_before = len(stage.calls("apps.connections.open"))
            await hub.disconnect(reason)
            await until(
                lambda n=opened_before: len(stage.calls("apps.connections.open")) > n, "a new socket is asked for"
            )
            await until(lambda: hub.connections == 1 and stage.view.health().connected, "and opened")
        assert "You have acknowledged ticket 1" in await stage.click("ana", root.ts, ACK)
