"""The people, groups and channels that a new workspace starts with."""

from compose.slack.ids import Ids
from compose.slack.journal import WorkspaceMade
from compose.slack.records import Channel, Identity, User, UserGroup


def new_workspace(ids: Ids, now: float, *, bot_name: str) -> WorkspaceMade:
    """Return a fresh workspace: three people, a guest, the app's bot, two on-call groups, two channels."""
    bot = User(ids.make("U"), "operator", bot_name, "5b5fc7", title="App", is_bot=True)
    ana = User(ids.make("U"), "ana", "Ana Ruiz", "c2410c", title="primary on call", is_admin=True)
    ben = User(ids.make("U"), "ben", "Ben Okoye", "0f766e", title="secondary on call")
    chloe = User(ids.make("U"), "chloe", "Chloe Martin", "7c3aed", title="manager")
    guest = User(ids.make("U"), "gus", "Gus Lindqvist", "64748b", title="guest", is_restricted=True)
    created = int(now)
    return WorkspaceMade(
        identity=Identity(
            team_id=ids.make("T"),
            app_id=ids.make("A"),
            bot_id=ids.make("B"),
            bot_user=bot.id,
            bot_token=ids.secret("xoxb-local-"),
            app_token=ids.secret("xapp-local-"),
            control_token=ids.secret("control-"),
            verification_token=ids.secret("", 24),
            created=created,
        ),
        users=(ana, ben, chloe, guest, bot),
        usergroups=(
            UserGroup(ids.make("S"), "oncall-primary", "On call, primary", "Paged first", (ana.id,)),
            UserGroup(ids.make("S"), "oncall-secondary", "On call, secondary", "Paged next", (ben.id,)),
        ),
        channels=(
            Channel(
                ids.make("C"),
                "incidents",
                created,
                ana.id,
                (ana.id, ben.id, chloe.id, guest.id, bot.id),
                topic="One thread per ticket",
            ),
            Channel(
                ids.make("C"),
                "general",
                created,
                ana.id,
                (ana.id, ben.id, chloe.id),
                topic="Everything else",
                is_general=True,
            ),
        ),
    )
