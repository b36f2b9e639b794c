"""Slack gone, refusing or limiting while tickets open: detection goes on, and the threads catch up once, in order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.program.stage import Stage, owner, slot, stage

SUBJECTS = ("alpha", "beta", "gamma")
FAULTS: dict[str, dict[str, object]] = {
    "down": {"method": "*", "kind": "down"},
    "http_500": {"method": "*", "kind": "http_500"},
    "html": {"method": "*", "kind": "html"},
    "ratelimited": {"method": "*", "kind": "ratelimited", "retry_after": 1},
    "reset_after_apply": {"method": "chat.postMessage", "kind": "reset_after_apply"},
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_threads_catch_up_once_and_in_order(kind: str, tmp_path: Path) -> None:
    async with stage(tmp_path, subjects=SUBJECTS) as made:
        made.start()
        await made.alive_until(lambda: made.rows("SELECT 1 FROM watches"), "operator watches")
        await made.slack.control_call("POST", "/faults", {**FAULTS[kind], "seconds": 600})
        made.break_("a")
        await made.alive_until(lambda: _count(made, "TicketOpened") == len(SUBJECTS), "detection goes on")
        made.break_("a", "b")
        await made.alive_until(lambda: len(made.rows("SELECT 1 FROM violations")) == 2 * len(SUBJECTS), "b joins")
        made.break_()
        await made.alive_until(
            lambda: _count(made, "TicketResolved") == len(SUBJECTS), "the tickets resolve without Slack"
        )
        await made.slack.control_call("DELETE", "/faults")
        await made.alive_until(lambda: _caught_up(made), "the threads have caught up")
        await made.stop()
        await _one_thread_each(made, duplicates=kind == "reset_after_apply")
        assert made.cli("audit", "verify")["ok"] is True


async def test_a_message_that_slack_refuses_spoils_only_itself(tmp_path: Path) -> None:
    async with stage(tmp_path, subjects=SUBJECTS) as made:
        # Whatever speaks of the key b is refused, blocks or plain.
        fault = {"method": "chat.postMessage", "kind": "error", "error": "invalid_blocks", "match": "b is down"}
        await made.slack.control_call("POST", "/faults", {**fault, "seconds": 600})
        made.start()
        made.break_("a")
        await made.alive_until(lambda: _roots(made, len(SUBJECTS)), "three threads")
        made.break_("a", "b")
        await made.alive_until(lambda: len(made.rows("SELECT 1 FROM violations")) == 2 * len(SUBJECTS), "b joins")
        made.break_()
        await made.alive_until(lambda: _count(made, "TicketResolved") == len(SUBJECTS), "all resolve")
        await made.alive_until(lambda: _caught_up(made), "the resolutions are told")
        await made.stop()
        refused = {slot_ for (slot_,) in made.rows("SELECT slot FROM slack_messages WHERE state = 'refused'")}
        assert len(refused) >= 1
        assert _count(made, "SlackRefused") == len(SUBJECTS)
        await _one_thread_each(made, duplicates=False)


async def test_500_violations_in_one_tick_within_slacks_limits(tmp_path: Path) -> None:
    async with stage(tmp_path, limits=True, many=500, interval_s=0.5) as made:
        made.start()
        await made.alive_until(lambda: made.rows("SELECT 1 FROM watches"), "operator watches")
        made.break_(*(f"k{n}" for n in range(500)))
        await made.alive_until(lambda: _count(made, "ThreadOpened") == 1, "a thread")
        assert made.rows("SELECT count(*) FROM violations") == [(500,)]
        assert made.rows("SELECT count(*) FROM tickets") == [(1,)]
        made.break_()
        # Read from the database: asking Slack would use up the limits that are under test.
        told = (
            "SELECT 1 FROM audit_entries a JOIN slack_messages m ON m.slot = 'line:' || a.seq "
            "WHERE a.kind = 'TicketResolved' AND m.state = 'posted'"
        )
        await made.alive_until(lambda: made.rows(told), "the resolution is told")
        await made.stop()
        calls = await made.slack.control_call("GET", "/calls")
        assert "chat.postMessage" in str(calls)
        assert "ratelimited" not in str(calls), "the limits are kept, not run into"
        await made.slack.control_call("POST", "/limits", {"enabled": False})
        await _one_thread_each(made, duplicates=False)
        assert _count(made, "SlackRefused") == 0


def _count(made: Stage, kind: str) -> int:
    return len(made.rows(f"SELECT 1 FROM audit_entries WHERE kind = '{kind}'"))  # noqa: S608  a constant


async def _roots(made: Stage, count: int) -> bool:
    return len(await made.slack.roots()) >= count


async def _caught_up(made: Stage) -> bool:
    """Whether each ticket's resolution stands in its thread, and nothing is left open."""
    ends = made.rows("SELECT ticket, seq FROM audit_entries WHERE kind = 'TicketResolved'")
    told = {
        (int(owner(reply).partition(":")[2]), int(slot(reply).partition(":")[2]))
        for root in await made.slack.roots()
        for reply in await made.slack.replies(root["ts"])
    }
    last = dict(sorted(ends, key=lambda end: end[1]))
    return (
        bool(ends)
        and all((ticket, seq) in told for ticket, seq in last.items())
        and not made.rows("SELECT 1 FROM slack_messages WHERE state = 'intent' OR suspect = 1 AND ts IS NULL")
        and not made.rows(
            "SELECT 1 FROM tickets t WHERE state != 'resolved' OR NOT EXISTS "
            "(SELECT 1 FROM slack_messages m WHERE m.owner = 'ticket:' || t.id AND m.slot = 'card')"
        )
    )


async def _one_thread_each(made: Stage, *, duplicates: bool) -> None:
    roots = await made.slack.roots()
    real = [root for root in roots if root["metadata"]["event_type"] != "operator_duplicate"]
    tickets = made.rows("SELECT id FROM tickets")
    assert Counter(map(owner, real)) == Counter(f"ticket:{number}" for (number,) in tickets)
    if not duplicates:
        assert len(roots) == len(real)
    for root in real:
        replies = await made.slack.replies(root["ts"])
        kept = [reply for reply in replies if reply["metadata"]["event_type"] != "operator_duplicate"]
        numbers = [int(slot(reply).partition(":")[2]) for reply in kept]
        assert numbers == sorted(set(numbers)), "each line once, in order"
