"""Posting, editing and deleting: the rules that do not depend on who asked, an app, a person or a response_url."""

from collections.abc import Callable
from dataclasses import replace

from compose.slack import mrkdwn
from compose.slack.content import MAX_UPDATED_TEXT, Content
from compose.slack.errors import ApiError
from compose.slack.ids import Ids
from compose.slack.notify import notified
from compose.slack.records import Channel, Edit, Message
from compose.slack.state import Workspace


class Messaging:
    """Writes messages into the workspace."""

    def __init__(self, workspace: Workspace, ids: Ids, now: Callable[[], float]) -> None:
        self._workspace = workspace
        self._ids = ids
        self._now = now

    def channel_for(self, reference: str) -> Channel:
        """Find where an app wants to post: an id, a name, or a user for a direct message."""
        workspace = self._workspace
        if reference in workspace.channels:
            return workspace.channels[reference]
        name = reference.removeprefix("#")
        for channel in workspace.channels.values():
            if not channel.is_im and channel.name == name:
                return channel
        if reference in workspace.users and reference != workspace.identity.bot_user:
            return self.direct_channel(reference)
        raise ApiError("channel_not_found")

    def direct_channel(self, user: str) -> Channel:
        """Return the direct message between the app and a user, made if need be."""
        bot = self._workspace.identity.bot_user
        found = self._workspace.direct_channel(bot, user)
        if found is None:
            found = Channel(self._ids.make("D"), "", int(self._now()), bot, (bot, user), is_im=True)
            self._workspace.put_channel(found)
        return found

    def app_channel(self, reference: str) -> Channel:
        """Find a channel that the app may write into."""
        channel = self.channel_for(reference)
        if channel.is_archived:
            raise ApiError("is_archived")
        if self._workspace.identity.bot_user not in channel.members:
            raise ApiError("not_in_channel")
        return channel

    def thread_for(self, channel: Channel, thread_ts: str | None) -> str | None:
        """Return where a reply goes.

        A parent that is gone gives None: Slack posts such a reply at the top level and says nothing, so that a
        missing thread_ts in the answer is the only sign. A reply is no parent.
        """
        if thread_ts is None:
            return None
        parent = self._workspace.message(channel.id, thread_ts)
        if parent is None or parent.subtype == "tombstone":
            return None
        if parent.is_reply:
            raise ApiError("cannot_reply_to_message")
        return thread_ts

    def post_as_app(
        self,
        channel: Channel,
        content: Content,
        *,
        thread_ts: str | None = None,
        reply_broadcast: bool = False,
        ephemeral_for: str | None = None,
    ) -> Message:
        """Post a message of the app."""
        if content.is_empty:
            raise ApiError("no_text")
        bot = self._workspace.identity.bot_user
        parent = self.thread_for(channel, thread_ts)
        message = Message(
            channel.id,
            self._workspace.next_ts(),
            bot,
            content.text or "",
            blocks=content.blocks or (),
            attachments=content.attachments or (),
            thread_ts=parent,
            from_app=True,
            metadata=content.metadata or None,
            reply_broadcast=reply_broadcast and parent is not None,
            ephemeral_for=ephemeral_for,
            notifies=notified(self._workspace, channel, bot, content.text or "", content.blocks or ()),
        )
        self._workspace.post(message)
        return message

    def post_as_user(self, user: str, channel: Channel, text: str, thread_ts: str | None = None) -> Message:
        """Post what a person typed; names after @ and # become references."""
        workspace = self._workspace
        if user not in channel.members:
            raise ApiError("not_in_channel")
        if not text.strip():
            raise ApiError("no_text")
        names = {one.name: one.id for one in workspace.users.values()}
        names |= {one.real_name.partition(" ")[0].lower(): one.id for one in workspace.users.values()}
        stored = mrkdwn.typed(
            text,
            names,
            {one.handle: one.id for one in workspace.usergroups.values()},
            {one.name: one.id for one in workspace.channels.values() if not one.is_im},
        )
        message = Message(
            channel.id,
            workspace.next_ts(),
            user,
            stored,
            thread_ts=self.thread_for(channel, thread_ts),
            client_msg_id=self._ids.uuid(),
            notifies=notified(workspace, channel, user, stored),
        )
        workspace.post(message)
        workspace.mark_read(user, channel.id, message.ts)
        return message

    def tell_user(self, user: str, channel: Channel, text: str, thread_ts: str | None = None) -> Message:
        """Show one user a line from the workspace itself (Slackbot)."""
        message = Message(
            channel.id,
            self._workspace.next_ts(),
            "USLACKBOT",
            text,
            thread_ts=thread_ts,
            subtype="slackbot",
            ephemeral_for=user,
        )
        self._workspace.post(message)
        return message

    def update(self, message: Message, content: Content) -> Message:
        """Edit a message of the app; parts that were left out stay, but text alone takes the blocks away."""
        if content.text is not None and len(content.text) > MAX_UPDATED_TEXT:
            raise ApiError("msg_too_long")
        if content.text is None and content.blocks is None and content.attachments is None:
            raise ApiError("no_text")
        return self._edit(message, content)

    def replace(self, message: Message, content: Content) -> Message:
        """Put other content in a message's place, as `replace_original` does."""
        if content.is_empty:
            raise ApiError("no_text")
        return self._edit(message, content)

    def _edit(self, message: Message, content: Content) -> Message:
        blocks = message.blocks if content.blocks is None and content.text is None else content.blocks or ()
        edited = replace(
            message,
            text=message.text if content.text is None else content.text,
            blocks=blocks,
            attachments=message.attachments if content.attachments is None else content.attachments,
            metadata=message.metadata if content.metadata is None else content.metadata or None,
            edited=Edit(self._workspace.identity.bot_user, self._workspace.next_ts()),
        )
        self._workspace.change(edited)
        return edited

    def delete(self, message: Message) -> None:
        """Delete a message; a parent with replies leaves a tombstone."""
        self._workspace.delete(message)
