"""Whom a message calls: mentions of people, of their groups, and of everyone in the channel."""

from collections.abc import Iterable, Iterator

from compose.slack.mrkdwn import broadcasts, mentioned_groups, mentioned_users
from compose.slack.records import Channel, Json, JsonObject
from compose.slack.state import Workspace


def notified(
    workspace: Workspace, channel: Channel, author: str, text: str, blocks: Iterable[JsonObject] = ()
) -> tuple[str, ...]:
    """Return the people whom a new message notifies, in the order of the channel's members."""
    called: set[str] = set()
    for users, groups, everyone in _mentions(text, blocks):
        called |= users
        for group in groups:
            if group in workspace.usergroups:
                called |= set(workspace.usergroups[group].users)
        if everyone:
            called |= set(channel.members)
    if channel.is_im:
        called |= set(channel.members)
    bot = workspace.identity.bot_user
    return tuple(one for one in channel.members if one in called and one not in {author, bot})


def _mentions(text: str, blocks: Iterable[JsonObject]) -> Iterator[tuple[frozenset[str], frozenset[str], bool]]:
    yield mentioned_users(text), mentioned_groups(text), broadcasts(text)
    for part in _objects(list[Json](blocks)):
        shown = part.get("text")
        match part.get("type"):
            case "mrkdwn" | "markdown" if isinstance(shown, str):
                yield mentioned_users(shown), mentioned_groups(shown), broadcasts(shown)
            case "user":
                yield frozenset({str(part.get("user_id"))}), frozenset(), False
            case "usergroup":
                yield frozenset(), frozenset({str(part.get("usergroup_id"))}), False
            case "broadcast":
                yield frozenset(), frozenset(), True


def _objects(value: Json) -> Iterator[JsonObject]:
    if isinstance(value, list):
        for one in value:
            yield from _objects(one)
    elif isinstance(value, dict):
        yield value
        for one in value.values():
            yield from _objects(one)
