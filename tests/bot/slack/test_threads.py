from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

from bot import incidents
from bot.store import audit
from subjects.protocols import Severity
from tests.bot.slack.stage import QUICK, Stage, down
from tests.waiting import until


def blocks(message: object) -> str:
    return json.dumps(message.blocks, ensure_ascii=False)  # type: ignore[attr-defined]  # the local Slack's record


async def test_an_incident_is_one_thread_from_its_card_to_its_resolution(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        (root,) = stage.roots()
        assert root.text.startswith("🔴 Ticket 1 · Rate limiter, 3 nodes: critical, open")
        assert "Every configured node answers when it is asked for its status." in blocks(root)
        assert "https://runbooks.example.com/ratelimiter" in blocks(root)
        assert "`rl-2` · *1 unanswered read, threshold 1*" in blocks(root)
        (call,) = stage.replies(root)
        assert call.notifies == (stage.user("ana"),)
        assert "node_down:rl-2" in call.text
        await stage.tick(down(), down("rl-3"))
        await stage.tick(down("rl-3"))
        await stage.tick(down("rl-3"), down())
        await stage.resolve()
        await stage.settled()
    (root,) = stage.roots()
    texts = stage.texts(root)
    said = ["📣", "🔴 *Broken as well:* `node_down:rl-3`", "🟢 `node_down:rl-2`", "🔁 *Broken again*", "🟢", "✅"]
    assert [text.startswith(start) for text, start in zip(texts, said, strict=True)] == [True] * 6
    assert "Everything holds" in texts[4]
    resolved = stage.entries("TicketResolved")[0]
    anchor = re.search(r"--anchor (\d+):([0-9a-f]{64})", texts[5])
    assert anchor
    assert (int(anchor[1]), anchor[2]) == (resolved.seq, resolved.hash)
    assert stage.store.call(audit.verify, (int(anchor[1]), anchor[2])).ok
    assert root.text == "✅ Ticket 1 · Rate limiter, 3 nodes: resolved"
    assert "operator_acknowledge" not in blocks(root)
    opened = stage.entries("ThreadOpened")
    assert [(entry.ticket, entry.payload) for entry in opened] == [
        (1, json.dumps({"channel": stage.channel, "ts": root.ts}, separators=(",", ":")))
    ]


async def test_five_hundred_violations_in_one_tick_are_one_line(stage: Stage) -> None:
    many = [down(f"node-{number:03}") for number in range(501)]
    async with stage.running():
        await stage.tick(many[0])
        await stage.settled()
        await stage.tick(*many)
        await stage.settled()
    (root,) = stage.roots()
    texts = stage.texts(root)
    assert len(texts) == 2
    assert "500 at once" in texts[1]
    assert "and 490 more: `/operator show 1`" in texts[1]
    assert "and 491 more" in blocks(root)


async def test_two_tickets_are_two_threads(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.tick(down("tikv-1", subject="kv"), subject="kv")
        await stage.settled()
        await stage.resolve("kv")
        await stage.settled()
    first, second = stage.roots()
    assert "Ticket 1" in first.text
    assert "Ticket 2 · Key-value store: resolved" in second.text
    assert len(stage.texts(first)) == 1
    assert stage.texts(second)[-1].startswith("✅ *Resolved*")


async def test_a_reopened_ticket_goes_on_in_its_thread(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.resolve()
        await stage.settled()
        await stage.tick(down())
        await stage.settled()
        (root,) = stage.roots()
        assert "critical, open" in root.text
        assert "operator_acknowledge" in blocks(root)
        reopened = stage.replies(root)[-1]
        assert "*Reopened*" in reopened.text
        assert reopened.notifies == (stage.user("ana"),)
        assert reopened.reply_broadcast, "the thread may stand far up in the channel by now"
        assert [one.text for one in stage.replies(root) if one.reply_broadcast] == [reopened.text]
        await stage.resolve()
        await stage.settled()
    (root,) = stage.roots()
    assert sum("*Resolved*" in text for text in stage.texts(root)) == 2
    assert len(stage.entries("ThreadOpened")) == 1


async def test_people_are_called_again_until_someone_acknowledges(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        await stage.tick(down(), after_s=31)
        await stage.settled()
        (root,) = stage.roots()
        assert "*2nd call:* nobody has acknowledged ticket 1 for 31 s" in stage.texts(root)[-1]
        assert stage.replies(root)[-1].notifies == (stage.user("ana"),)
        await stage.store.run(incidents.acknowledge, stage.store, 1, "os:ana")
        await stage.tick(down(), after_s=31)
        await stage.settled()
    (root,) = stage.roots()
    assert stage.texts(root)[-1] == "👀 `ana` on the command line has acknowledged it. Nobody is called again."


async def test_where_nobody_is_to_be_called_the_thread_says_so_once(stage: Stage) -> None:
    warning = replace(down(), severity=Severity.WARNING)
    async with stage.running():
        await stage.tick(warning)
        await stage.tick(warning, after_s=31)
        await stage.tick(warning, after_s=31)
        await stage.settled()
    (root,) = stage.roots()
    (text,) = stage.texts(root)
    assert "Nobody is configured to be called for warning tickets. Set `slack.call.warning`" in text


async def test_a_flapping_key_does_not_flood_its_thread(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        for _ in range(20):
            await stage.tick()
            await stage.tick(down())
        await stage.settled()
        (root,) = stage.roots()
        flaps = [text for text in stage.texts(root) if "Broken again" in text]
        assert len(flaps) == 5 + 2
        assert "20th return in all" in flaps[-1]


async def test_blindness_without_a_ticket_has_a_message_that_is_edited_when_it_is_over(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(blind="no answer from any node")
        await stage.settled()
        (message,) = stage.roots()
        assert "*Blind:* Rate limiter, 3 nodes can't be seen" in message.text
        assert "`no answer from any node`" in message.text
        assert message.notifies == (stage.user("ana"),)
        await stage.tick(after_s=90)
        await stage.settled()
    (message,) = stage.roots()
    assert "can be seen again" in message.text
    assert "1 min 30 s" in message.text
    assert not stage.replies(message)
    assert not stage.entries("ThreadOpened")


async def test_blindness_shows_on_the_card_and_in_the_thread(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.tick(blind="no answer")
        await stage.settled()
        (root,) = stage.roots()
        assert "*Blind since*" in blocks(root)
        assert "can't be seen since" in stage.texts(root)[-1]
        await stage.tick(down())
        await stage.settled()
    (root,) = stage.roots()
    assert "*Blind since*" not in blocks(root)
    assert stage.texts(root)[-1].startswith("👁 Seen again")


async def test_a_ticket_that_opens_on_a_blind_subject_shows_when_it_is_seen_again(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(blind="no answer")
        await stage.tick(down(), blind="no answer")
        await stage.settled()
        _, root = stage.roots()
        assert "*Blind since*" in blocks(root)
        await stage.tick(down())
        await stage.settled()
    blind, root = stage.roots()
    assert "*Blind since*" not in blocks(root)
    assert "can be seen again" in blind.text


async def test_the_card_forgets_a_mute_when_it_is_over(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        await stage.store.run(incidents.mute, stage.store, "ratelimiter", 0.2, "os:ana")
        stage.view.wake(0)
        await until(lambda: "*Muted*" in blocks(stage.roots()[0]), "the card says that it is muted")
        stage.clock.wall += timedelta(seconds=1)
        await until(lambda: "*Muted*" not in blocks(stage.roots()[0]), "the card says so no longer")


async def test_facts_wait_for_their_turn_and_what_people_did_does_not(stage: Stage) -> None:
    stage.tempo = replace(QUICK, edit_gap_s=3600)
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        for number in (3, 4, 5):
            await stage.tick(*[down(f"rl-{n}") for n in range(2, number + 1)])
        await until(lambda: len(stage.texts(stage.roots()[0])) == 4, "the lines do not wait for the card")
        assert not stage.calls("chat.update")
        await stage.store.run(incidents.acknowledge, stage.store, 1, "os:ana")
        stage.view.wake(0)
        await until(lambda: "👀 `ana`" in blocks(stage.roots()[0]), "the card says who has acknowledged it")
        assert "`rl-5`" in blocks(stage.roots()[0])
        assert len(stage.calls("chat.update")) == 1


async def test_what_comes_from_a_subject_pings_and_links_nothing(stage: Stage) -> None:
    nasty = (
        "<!channel> <@U0UAAAAAAA> <https://evil.example|Acknowledge> https://evil.example/?q=1 `x` \u202eabc \x1b[31m"
    )
    async with stage.running():
        await stage.tick(down(nasty, detail=nasty))
        await stage.settled()
        await stage.tick(down(nasty, detail=nasty), *[down(nasty + str(n), detail=nasty) for n in range(20)])
        await stage.tick(blind=nasty)
        await stage.settled()
    (root,) = stage.roots()
    for message in (root, *stage.replies(root)):
        called = {stage.user("ana")} if message.text.startswith("📣") else set()
        assert set(message.notifies) == called
        for text in (message.text, blocks(message)):
            assert "<!channel" not in text
            assert "<https://evil" not in text
            assert "\u202e" not in text
    sent = [call.args for call in stage.calls() if call.method in {"chat.postMessage", "chat.update"}]
    assert sent
    assert all(args["unfurl_links"] is False and args["unfurl_media"] is False for args in sent)
    assert all(part["verbatim"] is True for args in sent for part in mrkdwn_of(args["blocks"]))


def mrkdwn_of(value: object) -> list[dict[str, object]]:
    if isinstance(value, list):
        return [one for part in value for one in mrkdwn_of(part)]
    if isinstance(value, dict):
        own = [value] if value.get("type") == "mrkdwn" else []
        return own + [one for part in value.values() for one in mrkdwn_of(part)]
    return []


async def test_an_old_story_is_not_told_when_slack_is_set_up(stage: Stage) -> None:
    await stage.tick(down())
    await stage.resolve()
    stage.clock.wall += timedelta(days=2)
    await stage.tick(down("tikv-1", subject="kv"), subject="kv")
    async with stage.running():
        await stage.settled()
    (root,) = stage.roots()
    assert "Ticket 2" in root.text
