"""The tables. They never leave ``bot.store``: its functions return the frozen records of ``records.py``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from peewee import (
    AutoField,
    DatabaseProxy,
    FloatField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

database = DatabaseProxy()
"""The one database of this process, set by ``Store``."""

_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


def to_text(instant: datetime) -> str:
    """An instant as it is stored and hashed: UTC, microseconds, fixed width, so that text order is time order."""
    return instant.astimezone(UTC).strftime(_FORMAT)


def from_text(text: str) -> datetime:
    """The instant back."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)


class InstantField(TextField):
    """An aware instant, as ``to_text`` writes it."""

    def db_value(self, value: Any) -> Any:
        """Text for the database."""
        return to_text(value) if isinstance(value, datetime) else value

    def python_value(self, value: Any) -> Any:
        """Aware UTC for us."""
        return from_text(value) if isinstance(value, str) else value


class Table(Model):
    """Base of all tables."""

    class Meta:
        database = database
        legacy_table_names = False


class AuditEntry(Table):
    """One event in the chain. Never updated, never deleted: triggers refuse it."""

    seq = IntegerField(primary_key=True)
    at = InstantField()
    actor = TextField()
    ticket = IntegerField(null=True)
    kind = TextField()
    payload = TextField()
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "audit_entries"


class TicketRow(Table):
    """One ticket. A partial unique index allows one live ticket per subject."""

    id = AutoField()
    subject = TextField()
    state = TextField()
    severity = TextField()
    opened_at = InstantField()
    reopened_at = InstantField(null=True)
    resolved_at = InstantField(null=True)
    held_since = InstantField(null=True)
    acknowledged_by = TextField(null=True)
    acknowledged_at = InstantField(null=True)
    taken_by = TextField(null=True)
    called_at = InstantField(null=True)
    calls = IntegerField(default=0)

    class Meta:
        table_name = "tickets"


class ViolationRow(Table):
    """An invariant broken at a key. A partial unique index allows one live violation per fingerprint."""

    id = AutoField()
    ticket = ForeignKeyField(TicketRow, backref="violations", column_name="ticket")
    subject = TextField()
    invariant = TextField()
    key = TextField()
    severity = TextField()
    value = FloatField()
    threshold = FloatField()
    unit = TextField()
    detail = TextField()
    since = InstantField()
    added_at = InstantField()
    holds_since = InstantField(null=True)
    interrupted = IntegerField(default=0)
    cleared_at = InstantField(null=True)
    returns = IntegerField(default=0)

    class Meta:
        table_name = "violations"


class MuteRow(Table):
    """Nobody is called for this ticket or subject until then."""

    id = AutoField()
    ticket = IntegerField(null=True)
    subject = TextField(null=True)
    until = InstantField()
    actor = TextField()
    at = InstantField()

    class Meta:
        table_name = "mutes"


class BlindnessRow(Table):
    """A subject that can't be seen at present."""

    subject = TextField(primary_key=True)
    since = InstantField()
    why = TextField()
    ticket = IntegerField(null=True)
    seq = IntegerField()

    class Meta:
        table_name = "blindness"


class SlackMessage(Table):
    """What stands in Slack, or was about to. ``owner`` is ``ticket:7`` or ``blind:12`` (an entry's seq)."""

    id = AutoField()
    owner = TextField()
    slot = TextField()
    nonce = TextField(unique=True)
    channel = TextField()
    state = TextField()
    ts = TextField(null=True)
    digest = TextField(default="")
    error = TextField(null=True)
    intent_at = InstantField()
    suspect = IntegerField(default=0)

    class Meta:
        table_name = "slack_messages"


class SlackEnvelope(Table):
    """An envelope of Slack's that was taken in already, by event or trigger id."""

    id = TextField(primary_key=True)
    at = InstantField()

    class Meta:
        table_name = "slack_envelopes"


class Cursor(Table):
    """How far a reader of the log has come."""

    name = TextField(primary_key=True)
    seq = IntegerField()

    class Meta:
        table_name = "cursors"


class LeaseRow(Table):
    """Who runs. ``epoch`` grows with every taker; the lock itself is the operating system's."""

    name = TextField(primary_key=True)
    epoch = IntegerField()
    host = TextField()
    pid = IntegerField()
    taken_at = InstantField()
    beat_at = InstantField()

    class Meta:
        table_name = "leases"


class WatchRow(Table):
    """How the checks of a subject are going: telemetry, written every few seconds, not part of the audit."""

    subject = TextField(primary_key=True)
    title = TextField()
    interval_s = FloatField()
    invariants = IntegerField()
    keys = IntegerField()
    broken = IntegerField()
    unknown = IntegerField()
    ticked_at = InstantField(null=True)
    tick_s = FloatField(null=True)
    ticks = IntegerField(default=0)
    missed = IntegerField(default=0)
    overlong = IntegerField(default=0)

    class Meta:
        table_name = "watches"
