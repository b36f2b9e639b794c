"""reactions.add and reactions.remove."""

import re
from dataclasses import replace
from typing import Final

from compose.slack.context import LocalSlack
from compose.slack.errors import ApiError
from compose.slack.methods.conversations import channel_of
from compose.slack.records import JsonObject, Message, Reaction
from compose.slack.wire import Call

_NAME: Final = re.compile(r"[a-z0-9_+'-]{1,100}(::skin-tone-[2-6])?")
_TS: Final = re.compile(r"\d+\.\d{6}")
MAX_EMOJI: Final = 23  # different ones on one message (too_many_emoji)


def add(slack: LocalSlack, call: Call) -> JsonObject:
    """Put the app's reaction under a message."""
    message, name, bot = _target(slack, call)
    existing = {one.name: one for one in message.reactions}
    if name in existing and bot in existing[name].users:
        raise ApiError("already_reacted")
    if name not in existing and len(existing) >= MAX_EMOJI:
        raise ApiError("too_many_emoji")
    users = existing[name].users if name in existing else ()
    existing[name] = Reaction(name, (*users, bot))
    slack.workspace.change(replace(message, reactions=tuple(existing.values())), silent=True)
    return {}


def remove(slack: LocalSlack, call: Call) -> JsonObject:
    """Take the app's reaction away."""
    message, name, bot = _target(slack, call)
    existing = {one.name: one for one in message.reactions}
    if name not in existing or bot not in existing[name].users:
        raise ApiError("no_reaction")
    left = tuple(user for user in existing[name].users if user != bot)
    existing[name] = Reaction(name, left)
    kept = tuple(one for one in existing.values() if one.users)
    slack.workspace.change(replace(message, reactions=kept), silent=True)
    return {}


def _target(slack: LocalSlack, call: Call) -> tuple[Message, str, str]:
    name = call.required("name").strip(":")
    if not _NAME.fullmatch(name):
        raise ApiError("invalid_name")
    if call.text("channel") is None or call.text("timestamp") is None:
        raise ApiError("no_item_specified")
    ts = call.required("timestamp")
    if not _TS.fullmatch(ts):
        raise ApiError("bad_timestamp")
    channel = channel_of(slack, call)
    if channel.is_archived:
        raise ApiError("is_archived")
    message = slack.workspace.message(channel.id, ts)
    if message is None or message.subtype == "tombstone":
        raise ApiError("message_not_found")
    return message, name, slack.workspace.identity.bot_user


METHODS: Final = {"reactions.add": add, "reactions.remove": remove}
