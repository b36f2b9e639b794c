"""Whatever Slack does, it catches up: once, in order, and without touching what it has nothing to do with."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace

import pytest

from bot import incidents
from bot.slack.view import SlackView
from bot.store import messages
from bot.store.records import MessageState
from compose.slack.records import JsonObject
from compose.slack.records import Message as Shown
from tests.bot.slack.stage import QUICK, Stage, down
from tests.waiting import until

OUTAGES: dict[str, dict[str, object]] = {
    "down": {"kind": "down"},
    "reset": {"kind": "reset_before"},
    "500": {"kind": "http_500"},
    "html": {"kind": "html"},
    "429": {"kind": "ratelimited", "retry_after": 1},
    "internal_error": {"kind": "error", "error": "internal_error"},
    "applied, then reset": {"kind": "reset_after_apply"},
    "too slow": {"kind": "slow", "delay": 0.7},
}


def in_order(stage: Stage) -> None:
    """Each ticket has one thread, and each of its lines stands there once, in the log's order."""
    for number, root in enumerate((root for root in stage.roots() if "Duplicate" not in root.text), 1):
        assert f"Ticket {number}" in root.text
        lines = [row for row in stage.rows(f"ticket:{number}") if row.slot != "card" and row.ts is not None]
        standing = [one.ts for one in stage.replies(root) if "Duplicate" not in one.text]
        by_seq = sorted(lines, key=lambda row: int(row.slot.removeprefix("line:")))
        assert [row.ts for row in by_seq] == standing
        nonces = [one.metadata["event_payload"]["nonce"] for one in stage.replies(root)]  # type: ignore[index,call-overload]
        assert {row.nonce for row in lines} == set(nonces)


@pytest.mark.parametrize("outage", OUTAGES)
async def test_it_catches_up_after_an_outage(stage: Stage, outage: str) -> None:
    if outage == "too slow":
        # What timed out is done 0.3 s later; as in production, second copies are looked for after that.
        stage.tempo = replace(QUICK, timeout_s=0.4, recheck_s=(0.2, 0.6))
    async with stage.running():
        await stage.connected()
        await stage.tick(down())
        await stage.settled()
        stage.fault(method="*", **OUTAGES[outage])
        await stage.tick(down(), down("rl-3"))
        await stage.tick(down("tikv-1", subject="kv"), subject="kv")
        await stage.tick(down("rl-3"))
        await until(lambda: len([call for call in stage.calls() if call.fault]) >= 4, "some calls failed")
        stage.mend()
        await stage.resolve()
        await stage.settled()
        assert stage.roots()[-1].text.startswith("🔴 Ticket 2")
        await stage.resolve("kv")
        await stage.settled()
        await until(lambda: not stage.store.call(messages.unfinished), "second copies were looked for")
    assert len([root for root in stage.roots() if "Duplicate" not in root.text]) == 2
    in_order(stage)
    first, second = (root for root in stage.roots() if "Duplicate" not in root.text)
    assert not stage.entries("SlackRefused"), "an outage is no refusal"
    assert first.text.endswith("resolved"), "an edit that was made late stands over the newest"
    assert stage.texts(first)[-1].startswith("✅ *Resolved*")
    # Who was to be called while Slack was away, and is not needed any more, is not called now.
    assert [one.text[0] for one in stage.replies(second) if one.notifies] == ["📣"]


async def test_an_outage_at_the_start_costs_time_only(stage: Stage) -> None:
    stage.fault(method="*", kind="down")
    await stage.tick(down())
    async with stage.running():
        await until(lambda: len(stage.calls("auth.test")) > 2, "it tries")
        assert not stage.view.health().connected
        assert "auth.test" in stage.view.health().why
        stage.mend()
        await stage.connected()
        await stage.settled()
        assert stage.view.health().why == ""
    assert len(stage.roots()) == 1


async def test_calls_that_were_overtaken_during_an_outage_are_not_made(stage: Stage) -> None:
    for _ in range(5):
        await stage.tick(down(), after_s=31)
    async with stage.running():
        await stage.settled()
    (root,) = stage.roots()
    (text,) = stage.texts(root)
    assert "*5th call:* nobody has acknowledged ticket 1 for 2 min 4 s" in text


async def test_a_post_that_was_applied_without_an_answer_is_found(stage: Stage) -> None:
    stage.fault(method="chat.postMessage", kind="reset_after_apply", count=1)
    await stage.tick(down())
    async with stage.running():
        await stage.settled()
        await stage.resolve()
        await stage.settled()
        await until(lambda: not stage.store.call(messages.unfinished), "second copies were looked for")
    (root,) = stage.roots()
    in_order(stage)
    assert root.text.endswith("resolved")
    roots = [call for call in stage.calls("chat.postMessage") if "thread_ts" not in call.args]
    assert len(roots) == 1
    assert len(stage.entries("ThreadOpened")) == 1


async def test_a_forged_message_with_our_nonce_is_not_taken_for_ours(stage: Stage) -> None:
    stage.seed = 7
    stage.fault(method="chat.postMessage", kind="reset_before", count=1)
    nonce = hashlib.sha256(b"7\nticket:1\ncard").hexdigest()[:32]
    workspace = stage.server.slack.workspace
    metadata: JsonObject = {"event_type": "operator_message", "event_payload": {"nonce": nonce}}
    workspace.post(
        Shown(stage.channel, workspace.next_ts(), stage.user("chloe"), "Ticket 1, trust me", metadata=metadata)
    )
    await stage.tick(down())
    async with stage.running():
        await stage.settled()
    (card,) = stage.rows()[:1]
    forged, real = stage.roots()
    assert card.nonce == nonce
    assert card.ts == real.ts
    assert forged.text == "Ticket 1, trust me"


async def test_a_call_that_was_overtaken_while_it_was_posted_is_not_left_half_done(stage: Stage) -> None:
    stage.fault(method="chat.postMessage", kind="down", match='"thread_ts"')
    await stage.tick(down())
    async with stage.running():
        await until(lambda: len(stage.rows()) == 2, "the call is being posted")
        await stage.store.run(incidents.acknowledge, stage.store, 1, "os:ana")
        stage.mend()
        stage.view.wake(0)
        await stage.settled()
        await until(
            lambda: {row.state for row in stage.rows()} == {MessageState.POSTED, MessageState.REFUSED}, "it is given up"
        )
    (root,) = stage.roots()
    assert [text[0] for text in stage.texts(root)] == ["👀"]
    assert not stage.entries("SlackRefused")


@pytest.mark.parametrize("what", ["card", "line"])
async def test_a_second_copy_is_found_marked_and_never_used(stage: Stage, what: str) -> None:
    # Applied long after we gave up waiting, and after the search for it: so it is posted again.
    stage.tempo = replace(QUICK, timeout_s=0.2, recheck_s=(0.8, 1.0))
    match = '"slot": "card"' if what == "card" else '"thread_ts"'
    stage.fault(method="chat.postMessage", kind="slow", delay=0.6, count=1, match=match)
    await stage.tick(down())
    async with stage.running() as view:
        await stage.connected()
        await stage.settled()
        owner, slot = stage.rows()[0 if what == "card" else 1].owner, stage.rows()[0 if what == "card" else 1].slot
        await until(lambda: stage.entries("DuplicateMarked"), "the second copy is found")
        real = next(row for row in stage.rows() if row.slot == slot)
        event = json.loads(stage.entries("DuplicateMarked")[0].payload)
        assert event["slot"] == slot
        assert event["ts"] != real.ts
        copy = stage.server.slack.workspace.message(stage.channel, event["ts"])
        assert copy is not None
        assert "Duplicate, ignore this" in copy.text
        assert "actions" not in {block["type"] for block in copy.blocks}
        root = next(root for root in stage.roots() if "Duplicate" not in root.text)
        assert root.ts.replace(".", "") in copy.text
        duplicate = stage.store.call(messages.at, stage.channel, event["ts"])
        assert duplicate is not None
        assert (duplicate.owner, duplicate.state) == (owner, MessageState.DUPLICATE)
        if what == "card":  # a click that was on its way when the copy lost its buttons
            ana = stage.server.slack.workspace.users[stage.user("ana")]
            await stage.server.slack.interactivity.click(ana, replace(root, ts=copy.ts), "operator_acknowledge")
            await until(lambda: stage.whispers("ana"), "an answer")
            assert "This is a duplicate; nothing was done" in stage.whispers("ana")[0]
            assert root.ts.replace(".", "") in stage.whispers("ana")[0]
            assert stage.ticket().acknowledged_by is None
        await stage.resolve()
        await stage.settled()
        await until(lambda: not stage.store.call(messages.unfinished), "nobody is suspected any more")
        assert view.health().connected
    in_order(stage)
    assert len(stage.entries("ThreadOpened")) == 1
    assert len(stage.entries("DuplicateMarked")) == 1


async def test_a_message_that_is_refused_spoils_only_itself(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        stage.fault(method="chat.postMessage", kind="error", error="invalid_blocks", match="well:* `node_down:rl-3`")
        await stage.tick(down(), down("rl-3"))
        await stage.tick(down(), down("rl-3"), down("rl-4"))
        await stage.tick(down("tikv-1", subject="kv"), subject="kv")
        await stage.settled()
        await stage.resolve()
        await stage.settled()
        assert stage.view.health().refused == 1
    first, second = stage.roots()
    assert not [text for text in stage.texts(first) if "Broken as well:* `node_down:rl-3`" in text]
    assert [text for text in stage.texts(first) if "Broken as well:* `node_down:rl-4`" in text]
    assert stage.texts(first)[-1].startswith("✅ *Resolved*")
    assert "Ticket 2" in second.text
    (refused,) = stage.entries("SlackRefused")
    assert json.loads(refused.payload)["error"].startswith("invalid_blocks")


async def test_what_is_refused_with_its_blocks_is_posted_as_text(stage: Stage) -> None:
    stage.fault(method="*", kind="error", error="invalid_blocks", match='"type": "header"')
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        (root,) = stage.roots()
        assert root.text.startswith("🔴 Ticket 1")
        assert not root.blocks
        await stage.resolve()
        await stage.settled()
    (root,) = stage.roots()
    assert root.text.endswith("resolved")
    assert not stage.entries("SlackRefused")


async def test_a_refused_root_is_tried_again_when_it_says_something_else(stage: Stage) -> None:
    stage.fault(method="chat.postMessage", kind="error", error="no_text")
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        assert not stage.roots()
        stage.mend()
        await stage.tick(down(), down("rl-3"))
        await stage.settled()
    (root,) = stage.roots()
    in_order(stage)
    assert len(stage.texts(root)) == 2


async def test_a_channel_without_the_app_is_joined(stage: Stage) -> None:
    workspace = stage.server.slack.workspace
    general = next(one for one in workspace.channels.values() if one.name == "general")
    stage.settings = stage.settings.model_copy(update={"channels": {"kv": "#general"}})
    async with stage.running():
        await stage.connected()
        workspace.put_channel(replace(workspace.channels[general.id], members=general.members))  # thrown out again
        await stage.tick(down("tikv-1", subject="kv"), subject="kv")
        await stage.tick(down())
        await stage.settled()
    assert len([one for one in workspace.messages(general.id) if "Ticket 1" in one.text]) == 1
    (root,) = stage.roots()
    assert "Ticket 2" in root.text


async def test_an_archived_channel_is_said_and_waited_for_and_blocks_no_other(stage: Stage) -> None:
    workspace = stage.server.slack.workspace
    general = next(one for one in workspace.channels.values() if one.name == "general")
    stage.settings = stage.settings.model_copy(update={"channels": {"kv": "#general"}})
    async with stage.running() as view:
        await stage.connected()
        joined = workspace.channels[general.id]
        workspace.put_channel(replace(joined, is_archived=True))
        await stage.tick(down("tikv-1", subject="kv"), subject="kv")
        await stage.tick(down())
        await until(stage.roots, "the other ticket's thread")
        await until(lambda: "is_archived" in view.health().why, "health says why")
        assert view.health().behind > 0
        workspace.put_channel(joined)
        await stage.settled()
        await until(lambda: view.health().why == "", "health is well again")
    assert len([one for one in workspace.messages(general.id) if "Ticket 1" in one.text]) == 1


async def test_a_lost_token_is_said_and_waited_for(stage: Stage) -> None:
    async with stage.running() as view:
        await stage.connected()
        stage.fault(method="*", kind="error", error="token_revoked")
        await stage.tick(down())
        await until(lambda: "token_revoked" in view.health().why, "health says why")
        assert not view.health().connected
        stage.mend()
        await stage.settled()
        await stage.connected()
    assert len(stage.roots()) == 1


async def test_a_slow_ticket_holds_up_no_other(stage: Stage) -> None:
    stage.tempo = replace(QUICK, timeout_s=5)
    stage.fault(method="*", kind="slow", delay=3, match='"owner": "ticket:1"')
    async with stage.running():
        await stage.connected()
        await stage.tick(down())
        await until(lambda: stage.rows("ticket:1"), "the first ticket is being posted")
        async with asyncio.timeout(2.5):
            await stage.tick(down("tikv-1", subject="kv"), subject="kv")
            await until(stage.roots, "the second ticket's thread")
        assert "Ticket 2" in stage.roots()[0].text


async def test_limits_of_slack_are_never_reached_by_a_storm(stage: Stage) -> None:
    stage.server.slack.limiter.enabled = True
    stage.tempo = replace(QUICK, post_per_s=1, post_burst=3, update_per_min=45, edit_gap_s=3)
    async with stage.running():
        await stage.connected()
        for number in range(4):
            await stage.tick(*[down(f"rl-{n}") for n in range(number + 1)])
        await stage.resolve()
        await until(lambda: stage.roots() and stage.roots()[0].text.endswith("resolved"), "the card is up to date")
        await stage.settled(within_s=30)
    assert not [call for call in stage.calls() if call.status == 429]
    assert len(stage.calls("chat.update")) <= 4
    in_order(stage)


def nothing_left_behind() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_cancelling_leaves_no_task_and_no_socket_behind(stage: Stage) -> None:
    before = nothing_left_behind()
    async with stage.running():
        await stage.connected()
        await stage.tick(down())
    await until(lambda: stage.server.slack.hub.connections == 0, "the socket is closed")
    await until(
        lambda: {name for name in nothing_left_behind() - before if "slack" in name} == set(), "no task is left"
    )


def test_a_view_without_tokens_says_what_to_set(stage: Stage) -> None:
    with pytest.raises(Exception, match="set SLACK_BOT_TOKEN and SLACK_APP_TOKEN"):
        SlackView(stage.store, stage.settings.model_copy(update={"bot_token": None}), stage.clock, {})
