"""conversations.history and conversations.replies."""

import re
from collections.abc import Sequence
from typing import Final

from compose.slack.context import LocalSlack
from compose.slack.errors import ApiError
from compose.slack.methods.conversations import channel_of
from compose.slack.paging import decode_cursor, encode_cursor, limit_of
from compose.slack.records import Channel, Json, JsonObject, Message
from compose.slack.shapes import stored_message_shape
from compose.slack.wire import Call

_TS: Final = re.compile(r"\d{1,12}(\.\d{1,6})?")


def history(slack: LocalSlack, call: Call) -> JsonObject:
    """Return a channel's messages, newest first; replies only where they were broadcast."""
    channel = _readable(slack, call)
    found = [
        one for one in _in_range(slack.workspace.messages(channel.id), call) if not one.is_reply or one.reply_broadcast
    ]
    found.reverse()
    before = decode_cursor(call, "next_ts")
    if before is not None:
        found = [one for one in found if one.ts <= before]
    limit = limit_of(call, 100)
    page, rest = found[:limit], found[limit:]
    return _answer(slack, call, page, rest) | {"pin_count": 0}


def replies(slack: LocalSlack, call: Call) -> JsonObject:
    """Return a thread, oldest first. Every page begins with the parent, as Slack's do."""
    channel = _readable(slack, call)
    parent = slack.workspace.message(channel.id, call.required("ts"))
    if parent is None:
        raise ApiError("thread_not_found")
    found = _in_range(slack.workspace.replies(channel.id, parent.ts), call)
    after = decode_cursor(call, "next_ts")
    if after is not None:
        found = [one for one in found if one.ts >= after]
    limit = max(1, limit_of(call, 999) - 1)
    page, rest = found[:limit], found[limit:]
    return _answer(slack, call, [parent, *page], rest)


def _readable(slack: LocalSlack, call: Call) -> Channel:
    channel = channel_of(slack, call)
    if slack.workspace.identity.bot_user not in channel.members:
        raise ApiError("not_in_channel")
    return channel


def _in_range(messages: Sequence[Message], call: Call) -> list[Message]:
    oldest, latest = _bound(call, "oldest"), _bound(call, "latest")
    inclusive = call.flag("inclusive")
    return [
        one
        for one in messages
        if (oldest is None or oldest < _micros(one.ts) or (inclusive and oldest == _micros(one.ts)))
        and (latest is None or _micros(one.ts) < latest or (inclusive and latest == _micros(one.ts)))
    ]


def _bound(call: Call, name: str) -> int | None:
    value = call.text(name)
    if value is None:
        return None
    if not _TS.fullmatch(value):
        raise ApiError(f"invalid_ts_{name}")
    micros = _micros(value)
    return micros or None


def _micros(ts: str) -> int:
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0"))


def _answer(slack: LocalSlack, call: Call, page: Sequence[Message], rest: Sequence[Message]) -> JsonObject:
    with_metadata = call.flag("include_all_metadata")
    shapes: list[Json] = [stored_message_shape(slack.workspace, one, metadata=with_metadata) for one in page]
    answer: JsonObject = {"messages": shapes, "has_more": bool(rest)}
    if rest:
        answer["response_metadata"] = {"next_cursor": encode_cursor("next_ts", rest[0].ts)}
    return answer


METHODS: Final = {"conversations.history": history, "conversations.replies": replies}
