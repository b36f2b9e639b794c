"""chat.*: posting, editing, deleting, permalinks."""

from typing import Final

from compose.slack.content import Content, read_content
from compose.slack.context import LocalSlack
from compose.slack.errors import ApiError
from compose.slack.records import Channel, Json, JsonObject, Message
from compose.slack.shapes import message_shape
from compose.slack.wire import Call


def post_message(slack: LocalSlack, call: Call) -> JsonObject:
    """Post a message, into a thread with `thread_ts`."""
    channel = slack.messaging.app_channel(call.required("channel"))
    content = read_content(call, slack.ids)
    slack.limiter.check_post(call.token or "", channel.id)
    message = slack.messaging.post_as_app(
        channel, content, thread_ts=call.text("thread_ts"), reply_broadcast=call.flag("reply_broadcast")
    )
    return _answer(slack, message, content)


def update(slack: LocalSlack, call: Call) -> JsonObject:
    """Edit one of the app's own messages."""
    channel, message = _own(slack, call, "ts", "cant_update_message")
    content = read_content(call, slack.ids)
    edited = slack.messaging.update(message, content)
    shape = message_shape(slack.workspace, edited)
    del shape["ts"]  # Slack's answer has it outside only
    answer: JsonObject = {"channel": channel.id, "ts": edited.ts, "text": edited.text, "message": shape}
    return answer | _warnings(content)


def delete(slack: LocalSlack, call: Call) -> JsonObject:
    """Delete one of the app's own messages."""
    channel, message = _own(slack, call, "ts", "cant_delete_message")
    slack.messaging.delete(message)
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(slack: LocalSlack, call: Call) -> JsonObject:
    """Post a message that one member of the channel sees."""
    channel = slack.messaging.app_channel(call.required("channel"))
    user = call.required("user")
    if user not in channel.members:
        raise ApiError("user_not_in_channel")
    content = read_content(call, slack.ids)
    message = slack.messaging.post_as_app(channel, content, thread_ts=call.text("thread_ts"), ephemeral_for=user)
    answer: JsonObject = {"message_ts": message.ts}
    return answer | _warnings(content)


def get_permalink(slack: LocalSlack, call: Call) -> JsonObject:
    """Return the address of a message."""
    channel = slack.workspace.channels.get(call.required("channel"))
    if channel is None:
        raise ApiError("channel_not_found")
    message = slack.workspace.message(channel.id, call.required("message_ts"))
    if message is None:
        raise ApiError("message_not_found")
    link = f"{slack.base_url()}archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def _own(slack: LocalSlack, call: Call, name: str, not_own: str) -> tuple[Channel, Message]:
    channel = slack.workspace.channels.get(call.required("channel"))
    if channel is None:
        raise ApiError("channel_not_found")
    message = slack.workspace.message(channel.id, call.required(name))
    if message is None or message.subtype == "tombstone":
        raise ApiError("message_not_found")
    if not message.from_app:
        raise ApiError(not_own)
    return channel, message


def _answer(slack: LocalSlack, message: Message, content: Content) -> JsonObject:
    answer: JsonObject = {
        "channel": message.channel,
        "ts": message.ts,
        "message": message_shape(slack.workspace, message),
    }
    return answer | _warnings(content)


def _warnings(content: Content) -> JsonObject:
    if not content.warnings:
        return {}
    listed: list[Json] = list[Json](content.warnings)
    return {"warning": ",".join(content.warnings), "response_metadata": {"warnings": listed}}


METHODS: Final = {
    "chat.postMessage": post_message,
    "chat.update": update,
    "chat.delete": delete,
    "chat.postEphemeral": post_ephemeral,
    "chat.getPermalink": get_permalink,
}
