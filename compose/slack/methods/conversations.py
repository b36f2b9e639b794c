"""conversations.info, list, members, join, open."""

from dataclasses import replace
from typing import Final

from compose.slack.context import LocalSlack
from compose.slack.errors import ApiError
from compose.slack.paging import decode_cursor, encode_cursor, limit_of, page_after
from compose.slack.records import Channel, Json, JsonObject, Message
from compose.slack.shapes import channel_shape
from compose.slack.wire import Call

_TYPES: Final = frozenset({"public_channel", "private_channel", "mpim", "im"})


def channel_of(slack: LocalSlack, call: Call) -> Channel:
    """Return the channel that a call names by its id."""
    channel = slack.workspace.channels.get(call.required("channel"))
    if channel is None:
        raise ApiError("channel_not_found")
    return channel


def info(slack: LocalSlack, call: Call) -> JsonObject:
    """Describe a channel."""
    channel = channel_of(slack, call)
    shape = channel_shape(slack.workspace, channel, reader=slack.workspace.identity.bot_user)
    if call.flag("include_num_members"):
        shape["num_members"] = len(channel.members)
    return {"channel": shape}


def listing(slack: LocalSlack, call: Call) -> JsonObject:
    """List channels, page by page."""
    bot = slack.workspace.identity.bot_user
    types = set(call.names("types")) or {"public_channel"}
    if not types <= _TYPES:
        raise ApiError("invalid_types")
    found = [
        one
        for one in slack.workspace.channels.values()
        if ("im" if one.is_im else "public_channel") in types
        and (not one.is_im or bot in one.members)
        and not (one.is_archived and call.flag("exclude_archived"))
    ]
    page, following = page_after(
        found, lambda one: one.id, decode_cursor(call, "channel"), limit_of(call, 100, refuse=True)
    )
    channels: list[Json] = []
    for one in page:
        shape = channel_shape(slack.workspace, one, reader=bot)
        if not one.is_im:
            shape["num_members"] = len(one.members)
        channels.append(shape)
    cursor = encode_cursor("channel", following) if following else ""
    return {"channels": channels, "response_metadata": {"next_cursor": cursor}}


def members(slack: LocalSlack, call: Call) -> JsonObject:
    """List a channel's members, page by page."""
    channel = channel_of(slack, call)
    page, following = page_after(
        channel.members, lambda one: one, decode_cursor(call, "user"), limit_of(call, 100, refuse=True)
    )
    cursor = encode_cursor("user", following) if following else ""
    return {"members": list[Json](page), "response_metadata": {"next_cursor": cursor}}


def join(slack: LocalSlack, call: Call) -> JsonObject:
    """Let the app into a public channel."""
    channel = channel_of(slack, call)
    if channel.is_im:
        raise ApiError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise ApiError("is_archived")
    bot = slack.workspace.identity.bot_user
    if bot in channel.members:
        return {
            "channel": channel_shape(slack.workspace, channel, reader=bot),
            "warning": "already_in_channel",
            "response_metadata": {"warnings": ["already_in_channel"]},
        }
    joined = replace(channel, members=(*channel.members, bot))
    slack.workspace.put_channel(joined)
    slack.workspace.post(
        Message(
            channel.id,
            slack.workspace.next_ts(),
            bot,
            f"<@{bot}> has joined the channel",
            subtype="channel_join",
        )
    )
    return {"channel": channel_shape(slack.workspace, joined, reader=bot)}


def opening(slack: LocalSlack, call: Call) -> JsonObject:
    """Open the direct message with a user."""
    workspace = slack.workspace
    bot = workspace.identity.bot_user
    named = call.text("channel")
    if named is not None:
        channel = channel_of(slack, call)
        if not channel.is_im:
            raise ApiError("method_not_supported_for_channel_type")
        return _opened(slack, call, channel, already=True)
    users = call.names("users")
    if not users:
        raise ApiError("users_list_not_supplied")
    if any(one not in workspace.users for one in users):
        raise ApiError("user_not_found")
    if len(users) > 1:
        raise ApiError("invalid_user_combination", "the local Slack has no group messages")
    existing = workspace.direct_channel(bot, users[0])
    if existing is None and call.flag("prevent_creation"):
        raise ApiError("channel_not_found")
    return _opened(slack, call, existing or slack.messaging.direct_channel(users[0]), already=existing is not None)


def _opened(slack: LocalSlack, call: Call, channel: Channel, *, already: bool) -> JsonObject:
    answer: JsonObject = {"no_op": True, "already_open": True} if already else {}
    if call.flag("return_im"):
        bot = slack.workspace.identity.bot_user
        return answer | {"channel": channel_shape(slack.workspace, channel, reader=bot)}
    return answer | {"channel": {"id": channel.id}}


METHODS: Final = {
    "conversations.info": info,
    "conversations.list": listing,
    "conversations.members": members,
    "conversations.join": join,
    "conversations.open": opening,
}
