"""The JSON that commands print: keys that stay, listed in bot/README.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bot.cli.output import JsonValue, instant

if TYPE_CHECKING:
    from bot.reports import Status, Story
    from bot.store.records import Blindness, Entry, Lease, Ticket, Violation, Watch


def ticket(record: Ticket) -> dict[str, JsonValue]:
    """A ticket with its violations."""
    return {
        "ticket": record.id,
        "subject": record.subject,
        "state": record.state.value,
        "live": record.live,
        "severity": record.severity.value,
        "opened_at": instant(record.opened_at),
        "reopened_at": instant(record.reopened_at),
        "resolved_at": instant(record.resolved_at),
        "held_since": instant(record.held_since),
        "acknowledged_by": record.acknowledged_by,
        "acknowledged_at": instant(record.acknowledged_at),
        "taken_by": record.taken_by,
        "muted_until": instant(record.muted_until),
        "calls": record.calls,
        "violations": [violation(each) for each in record.violations],
    }


def violation(record: Violation) -> dict[str, JsonValue]:
    """One violation; ``violation`` is its short name, ``node_down:rl-2``."""
    return {
        "violation": str(record.fingerprint),
        "invariant": record.fingerprint.invariant,
        "key": record.fingerprint.key,
        "severity": record.severity.value,
        "value": record.value,
        "threshold": record.threshold,
        "unit": record.unit,
        "detail": record.detail,
        "since": instant(record.since),
        "added_at": instant(record.added_at),
        "holds_since": instant(record.holds_since),
        "cleared_at": instant(record.cleared_at),
        "returns": record.returns,
    }


def entry(record: Entry) -> dict[str, JsonValue]:
    """One entry of the audit log, its payload as it was written."""
    return {
        "seq": record.seq,
        "at": instant(record.at),
        "actor": record.actor,
        "ticket": record.ticket,
        "kind": record.kind,
        "payload": json.loads(record.payload),
        "prev_hash": record.prev_hash,
        "hash": record.hash,
    }


def story(record: Story) -> dict[str, JsonValue]:
    """A ticket with its thread and its entries, oldest first."""
    thread = record.thread
    return {
        **ticket(record.ticket),
        "thread": {"channel": thread.channel, "ts": thread.ts} if thread else None,
        "entries": [entry(each) for each in record.entries],
    }


def status(record: Status) -> dict[str, JsonValue]:
    """The state of things."""
    return {
        "at": instant(record.at),
        "healthy": record.healthy,
        "running": record.running,
        "stuck": record.stuck,
        "process": _process(record.lease),
        "subjects": [_watch(each) for each in record.watches],
        "live": [ticket(each) for each in record.live],
        "blind": [_blindness(each) for each in record.blind],
        "tickets": record.tickets,
        "audit_head": record.log_head,
    }


def _process(record: Lease | None) -> dict[str, JsonValue] | None:
    if record is None:
        return None
    return {
        "pid": record.pid,
        "host": record.host,
        "epoch": record.epoch,
        "since": instant(record.taken_at),
        "beat_at": instant(record.beat_at),
    }


def _watch(record: Watch) -> dict[str, JsonValue]:
    return {
        "subject": record.subject,
        "title": record.title,
        "interval_s": record.interval_s,
        "invariants": record.invariants,
        "keys": record.keys,
        "broken": record.broken,
        "unknown": record.unknown,
        "ticked_at": instant(record.ticked_at),
        "tick_s": record.tick_s,
        "ticks": record.ticks,
        "missed": record.missed,
        "overlong": record.overlong,
    }


def _blindness(record: Blindness) -> dict[str, JsonValue]:
    return {
        "subject": record.subject,
        "since": instant(record.since),
        "why": record.why,
        "ticket": record.ticket,
        "seq": record.seq,
    }
