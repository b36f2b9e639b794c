"""users.*, usergroups.*, team.info, bots.info."""

from typing import Final

from compose.slack.context import LocalSlack
from compose.slack.errors import ApiError
from compose.slack.paging import decode_cursor, encode_cursor, limit_of, page_after
from compose.slack.records import Json, JsonObject
from compose.slack.shapes import user_shape, usergroup_shape
from compose.slack.wire import Call


def users_info(slack: LocalSlack, call: Call) -> JsonObject:
    """Describe a user."""
    user = slack.workspace.users.get(call.required("user"))
    if user is None:
        raise ApiError("user_not_found")
    shape = user_shape(slack.workspace, user)
    if call.flag("include_locale"):
        shape["locale"] = "en-US"
    return {"user": shape}


def users_list(slack: LocalSlack, call: Call) -> JsonObject:
    """List the users, page by page."""
    users = list(slack.workspace.users.values())
    page, following = page_after(users, lambda one: one.id, decode_cursor(call, "user"), limit_of(call, 999))
    return {
        "members": [user_shape(slack.workspace, one) for one in page],
        "cache_ts": int(slack.now()),
        "response_metadata": {"next_cursor": encode_cursor("user", following) if following else ""},
    }


def usergroups_list(slack: LocalSlack, call: Call) -> JsonObject:
    """List the user groups."""
    users, count = call.flag("include_users"), call.flag("include_count")
    groups: list[Json] = [
        usergroup_shape(slack.workspace, one, users=users, count=count) for one in slack.workspace.usergroups.values()
    ]
    return {"usergroups": groups}


def usergroups_users_list(slack: LocalSlack, call: Call) -> JsonObject:
    """List the users of a group."""
    group = slack.workspace.usergroups.get(call.required("usergroup"))
    if group is None:
        raise ApiError("no_such_subteam")
    return {"users": list[Json](group.users)}


def team_info(slack: LocalSlack, call: Call) -> JsonObject:
    """Describe the workspace."""
    identity = slack.workspace.identity
    if call.text("team") not in {None, identity.team_id}:
        raise ApiError("team_not_found")
    return {
        "team": {
            "id": identity.team_id,
            "name": identity.team_name,
            "url": slack.base_url(),
            "domain": identity.team_domain,
            "email_domain": "",
            "icon": {"image_default": True},
            "avatar_base_url": slack.base_url(),
            "is_verified": False,
        }
    }


def bots_info(slack: LocalSlack, call: Call) -> JsonObject:
    """Describe the app's bot."""
    identity = slack.workspace.identity
    bot = call.text("bot")
    if bot is None:
        raise ApiError("missing_argument")
    if bot != identity.bot_id:
        raise ApiError("bot_not_found")
    icon = f"{slack.base_url()}static/operator.svg"
    return {
        "bot": {
            "id": identity.bot_id,
            "deleted": False,
            "name": slack.workspace.users[identity.bot_user].real_name,
            "updated": identity.created,
            "app_id": identity.app_id,
            "user_id": identity.bot_user,
            "icons": {"image_36": icon, "image_48": icon, "image_72": icon},
        }
    }


METHODS: Final = {
    "users.info": users_info,
    "users.list": users_list,
    "usergroups.list": usergroups_list,
    "usergroups.users.list": usergroups_users_list,
    "team.info": team_info,
    "bots.info": bots_info,
}
