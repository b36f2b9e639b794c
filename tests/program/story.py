"""One incident from its first break to its second resolution, and what must be true of it whatever happened between."""

from __future__ import annotations

from collections import Counter

from tests.program.stage import Stage, owner, slot


async def play(stage: Stage) -> None:
    """Break ``a``, acknowledge with a click, break ``b`` too, mend both; break ``a`` again within the flap window."""
    stage.break_("a")

    async def has_thread() -> bool:
        return bool(await stage.slack.roots())

    await stage.alive_until(has_thread, "a thread")
    root = (await stage.slack.roots())[0]["ts"]

    async def acknowledged() -> bool:
        if stage.rows("SELECT 1 FROM tickets WHERE acknowledged_by IS NOT NULL"):
            return True
        await stage.slack.click("ana", root, "operator_acknowledge")
        return False

    await stage.alive_until(acknowledged, "the acknowledgement")
    stage.break_("a", "b")
    await stage.alive_until(lambda: len(stage.rows("SELECT 1 FROM violations")) == 2, "b joins")
    await _mend(stage, "resolved")
    stage.break_("a")
    await stage.alive_until(lambda: stage.ticket_state() == "open", "the ticket is reopened")
    await _mend(stage, "resolved again")
    await stage.alive_until(lambda: _settled(stage), "Slack shows the end")


async def _mend(stage: Stage, what: str) -> None:
    stage.break_()
    await stage.alive_until(lambda: stage.ticket_state() == "resolved", what)


async def _settled(stage: Stage) -> bool:
    """Whether every event has its line in Slack."""
    roots = await stage.slack.roots()
    if not roots:
        return False
    shown = [slot(reply) for reply in await stage.slack.replies(roots[0]["ts"]) if reply.get("metadata")]
    ends = stage.rows("SELECT seq FROM audit_entries WHERE kind = 'TicketResolved' ORDER BY seq")
    return (
        len(ends) == 2
        and f"line:{ends[-1][0]}" in shown
        and not stage.rows("SELECT 1 FROM slack_messages WHERE state = 'intent'")
    )


async def examine(stage: Stage) -> None:
    """One ticket, one thread, nothing twice, nothing lost, and a log that verifies."""
    roots = [message for message in await stage.slack.roots() if owner(message) == "ticket:1"]
    assert len(roots) == 1, [message["text"] for message in roots]
    root = roots[0]
    assert "resolved" in str(root["blocks"]).lower()
    slots = Counter(slot(reply) for reply in await stage.slack.replies(root["ts"]))
    assert max(slots.values()) == 1, slots
    assert await _in_order(stage, root["ts"])
    kinds = Counter(kind for (kind,) in stage.rows("SELECT kind FROM audit_entries"))
    assert kinds["TicketOpened"] == 1
    assert kinds["TicketReopened"] == 1
    assert kinds["TicketResolved"] == 2
    assert kinds["ThreadOpened"] == 1
    assert kinds["TicketAcknowledged"] == 1
    assert kinds["DuplicateMarked"] == 0
    assert kinds["SlackRefused"] == 0
    assert 1 <= kinds["OperatorStarted"] <= stage.starts
    assert stage.rows("SELECT count(*) FROM tickets") == [(1,)]
    verified = stage.cli("audit", "verify")
    assert verified["ok"] is True, verified


async def _in_order(stage: Stage, root: str) -> bool:
    numbers = [int(slot(reply).partition(":")[2]) for reply in await stage.slack.replies(root)]
    return numbers == sorted(numbers)
