from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.slack.answers import HELP
from bot.store import control
from bot.store.records import Watch
from compose.slack.blocks import problems_of
from tests.bot.slack.stage import Stage, down


@pytest.mark.parametrize("text", ["", "help", "HELP"])
async def test_help_has_every_command_in_a_line(stage: Stage, text: str) -> None:
    async with stage.running():
        await stage.connected()
        said = await stage.command("ana", text)
    for usage, what in HELP:
        assert f"`/operator {usage}`  {what}" in said.replace("&lt;", "<")


async def test_what_it_does_not_know_it_says_and_guesses(stage: Stage) -> None:
    async with stage.running():
        await stage.connected()
        assert "Did you mean `status`?" in await stage.command("ana", "statsu")
        said = await stage.command("ana", "<!channel> `rm -rf`")
        assert "There is no command" in said
        assert "<!channel" not in said
        assert "`/operator help`" in said


async def test_show(stage: Stage) -> None:
    async with stage.running():
        await stage.connected()
        assert "`abc` is not a ticket's number; write it like `/operator show 7`" in await stage.command(
            "ana", "show abc"
        )
        assert "Which ticket?" in await stage.command("ana", "show")
        assert "there is no ticket 9" in await stage.command("ana", "show 9")
        await stage.tick(*[down(f"n-{number:03}") for number in range(500)])
        await stage.settled()
        said = await stage.command("ana", "show #1")
        (root,) = stage.roots()
        assert root.ts.replace(".", "") in said
        assert "500 broken" in said
        answer = stage.server.slack.workspace.ephemerals(stage.channel, stage.user("ana"))[-1]
        shown = str(answer.blocks)
        assert "`node_down:n-059`" in shown
        assert "more: `operator tickets show 1` on the command line" in shown
        assert problems_of(list(answer.blocks)) == []
        assert "opened" in shown
        assert "`node_down:n-000` broke, and 499 more at once" in shown


async def test_tickets(stage: Stage) -> None:
    async with stage.running():
        await stage.connected()
        assert "There is no ticket yet" in await stage.command("ana", "tickets")
        await stage.tick(down())
        await stage.resolve()
        await stage.tick(down("tikv-1", subject="kv"), subject="kv")
        await stage.settled()
        said = (await stage.command("ben", "tickets")).splitlines()
    assert "Ticket 2" in said[0]
    assert "Key-value store: critical, open, 1 broken" in said[0]
    assert "✅" in said[1]
    assert "after 7.0 s" in said[1]


async def test_status(stage: Stage) -> None:
    def beat() -> None:
        with stage.store.unit() as unit:
            at = unit.at
            few = Watch("ratelimiter", "Rate limiter", 5.0, 6, 18, 1, 2, at, 0.1, 100, 3, 0)
            control.beat(unit, [few, replace(few, subject="kv", title="KV", broken=0, unknown=0, missed=0)])

    lease = control.RunLease(stage.store)
    lease.take("1.0")
    try:
        async with stage.running():
            await stage.connected()
            await stage.tick(down())
            await stage.tick(blind="no answer from any node")
            stage.store.call(beat)
            await stage.settled()
            said = await stage.command("ana", "status")
    finally:
        lease.release("the test is over")
    lines = said.splitlines()
    assert lines[0].startswith("*Running* since")
    assert "15 hold, 1 broken, 2 unknown; every 5.0 s, last look" in said
    assert "3 looks missed" in said
    assert "🟢 *Key-value store* `kv`: 18 hold, 0 broken, 0 unknown" in said
    assert re.search(r"\*Blind since\* .*: `no answer from any node`", said)
    assert re.search(r"\*<http.*\|Ticket 1>\* · Rate limiter, 3 nodes: critical, open, 1 broken", said)
    assert lines[-1] == "Slack: connected"


async def test_mute(stage: Stage) -> None:
    async with stage.running():
        await stage.connected()
        await stage.tick(down())
        assert "Ticket 1 is muted: nobody is called until" in await stage.command("ana", "mute 1 2h")
        assert stage.ticket().muted_until == stage.clock.wall + timedelta(hours=2)
        assert "Ticket 1 is not muted any more" in await stage.command("ana", "mute 1 off")
        assert "Everything on `ratelimiter` is muted" in await stage.command("ana", "mute ratelimiter 30 m")
        assert "Did you mean `ratelimiter`?" in await stage.command("ana", "mute ratelimitr")
        assert "“soon” is not a time; write 30m, 1h or 2d, or `off`." in await stage.command("ana", "mute 1 soon")
        assert "Mute what?" in await stage.command("ana", "mute")
        assert "there is no ticket 9" in await stage.command("ana", "mute 9")
        await stage.resolve()
        assert "nobody is called for it any more" in await stage.command("ana", "mute 1")
    assert [entry.actor for entry in stage.entries("Muted")] == [f"slack:{stage.user('ana')}"] * 3


async def test_guests_are_refused(stage: Stage) -> None:
    async with stage.running():
        await stage.connected()
        assert "guests can't do this" in await stage.command("gus", "status")


async def test_only_the_asker_sees_the_answer(stage: Stage) -> None:
    async with stage.running():
        await stage.connected()
        await stage.command("ana", "help")
    assert not stage.roots()
    assert not stage.whispers("ben")
