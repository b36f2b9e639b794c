"""The first schema: the audit log, tickets, what Slack shows, who runs."""

from peewee import SQL, AutoField, Check, FloatField, ForeignKeyField, IntegerField, Model, SqliteDatabase, TextField

STATES = ("open", "investigating", "waiting", "verifying", "escalated", "resolved")


def up(_migrator: object, db: SqliteDatabase) -> None:
    class Table(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class AuditEntries(Table):
        seq = IntegerField(primary_key=True)
        at = TextField()
        actor = TextField()
        ticket = IntegerField(null=True)
        kind = TextField()
        payload = TextField()
        prev_hash = TextField()
        hash = TextField()

        class Meta:
            indexes = ((("ticket", "seq"), False), (("kind", "seq"), False), (("prev_hash",), True))

    class Tickets(Table):
        id = AutoField()
        subject = TextField()
        state = TextField(constraints=[Check(f"state IN {STATES}")])
        severity = TextField()
        opened_at = TextField()
        reopened_at = TextField(null=True)
        resolved_at = TextField(null=True)
        held_since = TextField(null=True)
        acknowledged_by = TextField(null=True)
        acknowledged_at = TextField(null=True)
        taken_by = TextField(null=True)
        called_at = TextField(null=True)
        calls = IntegerField(constraints=[SQL("DEFAULT 0")])

    Tickets.add_index(Tickets.subject, unique=True, where=Tickets.state != "resolved", name="one_live_ticket")

    class Violations(Table):
        id = AutoField()
        ticket = ForeignKeyField(Tickets, column_name="ticket")
        subject = TextField()
        invariant = TextField()
        key = TextField()
        severity = TextField()
        value = FloatField()
        threshold = FloatField()
        unit = TextField()
        detail = TextField()
        since = TextField()
        added_at = TextField()
        holds_since = TextField(null=True)
        interrupted = IntegerField(constraints=[SQL("DEFAULT 0")])
        cleared_at = TextField(null=True)
        returns = IntegerField(constraints=[SQL("DEFAULT 0")])

    Violations.add_index(
        Violations.subject,
        Violations.invariant,
        Violations.key,
        unique=True,
        where=Violations.cleared_at.is_null(),
        name="one_live_violation",
    )

    class Mutes(Table):
        id = AutoField()
        ticket = IntegerField(null=True)
        subject = TextField(null=True)
        until = TextField()
        actor = TextField()
        at = TextField()

    class Blindness(Table):
        subject = TextField(primary_key=True)
        since = TextField()
        why = TextField()
        ticket = IntegerField(null=True)
        seq = IntegerField()

    class SlackMessages(Table):
        id = AutoField()
        owner = TextField()
        slot = TextField()
        nonce = TextField(unique=True)
        channel = TextField()
        state = TextField()
        ts = TextField(null=True)
        digest = TextField(constraints=[SQL("DEFAULT ''")])
        error = TextField(null=True)
        intent_at = TextField()
        suspect = IntegerField(constraints=[SQL("DEFAULT 0")])

    SlackMessages.add_index(
        SlackMessages.owner,
        SlackMessages.slot,
        unique=True,
        where=SlackMessages.state != "duplicate",
        name="one_message_per_slot",
    )

    class SlackEnvelopes(Table):
        id = TextField(primary_key=True)
        at = TextField(index=True)

    class Cursors(Table):
        name = TextField(primary_key=True)
        seq = IntegerField()

    class Leases(Table):
        name = TextField(primary_key=True)
        epoch = IntegerField()
        host = TextField()
        pid = IntegerField()
        taken_at = TextField()
        beat_at = TextField()

    class Watches(Table):
        subject = TextField(primary_key=True)
        title = TextField()
        interval_s = FloatField()
        invariants = IntegerField()
        keys = IntegerField()
        broken = IntegerField()
        unknown = IntegerField()
        ticked_at = TextField(null=True)
        tick_s = FloatField(null=True)
        ticks = IntegerField(constraints=[SQL("DEFAULT 0")])
        missed = IntegerField(constraints=[SQL("DEFAULT 0")])
        overlong = IntegerField(constraints=[SQL("DEFAULT 0")])

    db.create_tables(
        [
            AuditEntries,
            Tickets,
            Violations,
            Mutes,
            Blindness,
            SlackMessages,
            SlackEnvelopes,
            Cursors,
            Leases,
            Watches,
        ]
    )
    for verb in ("UPDATE", "DELETE"):
        db.execute_sql(  # type: ignore[no-untyped-call]  # peewee leaves it untyped
            f"CREATE TRIGGER audit_entries_no_{verb.lower()} BEFORE {verb} ON audit_entries "
            f"BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
