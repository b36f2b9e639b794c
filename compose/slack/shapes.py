"""How records look on the wire, as Slack's own answers and events show them."""

from typing import Final

from compose.slack.records import Channel, Json, JsonObject, Message, User, UserGroup
from compose.slack.state import Workspace

_ICON: Final = "/static/operator.svg"


def user_shape(workspace: Workspace, user: User) -> JsonObject:
    """Return a user as users.info does."""
    identity = workspace.identity
    profile: JsonObject = {
        "title": user.title,
        "phone": "",
        "skype": "",
        "real_name": user.real_name,
        "real_name_normalized": user.real_name,
        "display_name": user.real_name if user.is_bot else user.name,
        "display_name_normalized": user.real_name if user.is_bot else user.name,
        "status_text": "",
        "status_emoji": "",
        "status_expiration": 0,
        "first_name": user.real_name.partition(" ")[0],
        "last_name": user.real_name.partition(" ")[2],
        "team": identity.team_id,
    }
    if user.is_bot:
        profile |= {"bot_id": identity.bot_id, "api_app_id": identity.app_id, "always_active": True}
    return {
        "id": user.id,
        "team_id": identity.team_id,
        "name": user.name,
        "deleted": False,
        "color": user.color,
        "real_name": user.real_name,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "profile": profile,
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": False,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": identity.created,
        "is_email_confirmed": not user.is_bot,
        "who_can_share_contact_card": "EVERYONE",
    }


def channel_shape(workspace: Workspace, channel: Channel, *, reader: str) -> JsonObject:
    """Return a channel as conversations.info does, seen by `reader`."""
    shape: JsonObject = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.is_archived,
        "is_im": channel.is_im,
        "is_org_shared": False,
        "context_team_id": workspace.identity.team_id,
        "updated": channel.created * 1000,
    }
    if channel.is_im:
        other = next((member for member in channel.members if member != reader), reader)
        return shape | {"user": other, "is_user_deleted": False, "priority": 0}
    return shape | {
        "name": channel.name,
        "is_channel": True,
        "is_group": False,
        "is_mpim": False,
        "is_private": False,
        "is_general": channel.is_general,
        "unlinked": 0,
        "name_normalized": channel.name,
        "is_shared": False,
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "creator": channel.creator,
        "is_ext_shared": False,
        "shared_team_ids": [workspace.identity.team_id],
        "pending_connected_team_ids": [],
        "is_member": reader in channel.members,
        "topic": {"value": channel.topic, "creator": channel.creator, "last_set": channel.created},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "previous_names": [],
    }


def usergroup_shape(workspace: Workspace, group: UserGroup, *, users: bool, count: bool) -> JsonObject:
    """Return a user group as usergroups.list does."""
    identity = workspace.identity
    shape: JsonObject = {
        "id": group.id,
        "team_id": identity.team_id,
        "is_usergroup": True,
        "is_subteam": True,
        "name": group.name,
        "description": group.description,
        "handle": group.handle,
        "is_external": False,
        "date_create": identity.created,
        "date_update": identity.created,
        "date_delete": 0,
        "auto_type": None,
        "auto_provision": False,
        "enterprise_subteam_id": "",
        "created_by": group.users[0],
        "updated_by": group.users[0],
        "deleted_by": None,
        "prefs": {"channels": [], "groups": []},
    }
    if users:
        shape["users"] = list[Json](group.users)
    if count:
        shape["user_count"] = len(group.users)
    return shape


def bot_profile(workspace: Workspace) -> JsonObject:
    """Return the app's bot as messages carry it."""
    identity = workspace.identity
    return {
        "id": identity.bot_id,
        "app_id": identity.app_id,
        "user_id": identity.bot_user,
        "name": workspace.users[identity.bot_user].real_name,
        "icons": {"image_36": _ICON, "image_48": _ICON, "image_72": _ICON},
        "deleted": False,
        "updated": identity.created,
        "team_id": identity.team_id,
    }


def message_shape(workspace: Workspace, message: Message, *, metadata: bool = True) -> JsonObject:
    """Return a message as it was posted, without what its thread adds."""
    identity = workspace.identity
    shape: JsonObject = {"type": "message", "user": message.user, "text": message.text, "ts": message.ts}
    if message.subtype == "tombstone":
        shape["hidden"] = True
    else:
        shape["team"] = identity.team_id
    if message.from_app:
        shape |= {
            "bot_id": identity.bot_id,
            "app_id": identity.app_id,
            "bot_profile": bot_profile(workspace),
        }
    shape |= _where_present(message)
    if message.metadata is not None and metadata:
        shape["metadata"] = message.metadata
    if message.is_reply and message.thread_ts is not None:
        parent = workspace.message(message.channel, message.thread_ts)
        if parent is not None:
            shape["parent_user_id"] = parent.user
    return shape


def _where_present(message: Message) -> JsonObject:
    edit = message.edited
    parts: JsonObject = {
        "subtype": message.subtype or ("thread_broadcast" if message.reply_broadcast else None),
        "client_msg_id": message.client_msg_id,
        "blocks": list[Json](message.blocks),
        "attachments": list[Json](message.attachments),
        "edited": None if edit is None else {"user": edit.user, "ts": edit.ts},
        "reactions": [
            {"name": one.name, "users": list[Json](one.users), "count": len(one.users)} for one in message.reactions
        ],
        "thread_ts": message.thread_ts,
    }
    return {name: value for name, value in parts.items() if value}


def stored_message_shape(workspace: Workspace, message: Message, *, metadata: bool = False) -> JsonObject:
    """Return a message as history and replies show it: a parent with its thread's summary."""
    shape = message_shape(workspace, message, metadata=metadata)
    if message.is_reply or message.ephemeral_for is not None:
        return shape
    replies = workspace.replies(message.channel, message.ts)
    if not replies:
        return shape
    users = list(dict.fromkeys(reply.user for reply in replies))
    return shape | {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
        "reply_users": list[Json](users[:5]),
        "is_locked": False,
        "subscribed": False,
    }
