"""api.test, auth.test, apps.connections.open, blocks.validate."""

from typing import Final

from compose.slack.blocks import problems_of
from compose.slack.context import LocalSlack
from compose.slack.errors import ApiError
from compose.slack.records import Json, JsonObject
from compose.slack.wire import Call


def api_test(_: LocalSlack, call: Call) -> JsonObject:
    """Echo the arguments, or fail on demand."""
    error = call.text("error")
    if error is not None:
        raise ApiError(error)
    return {"args": call.args} if call.args else {}


def auth_test(slack: LocalSlack, _: Call) -> JsonObject:
    """Say whose token it is."""
    identity = slack.workspace.identity
    return {
        "url": slack.base_url(),
        "team": identity.team_name,
        "user": slack.workspace.users[identity.bot_user].name,
        "team_id": identity.team_id,
        "user_id": identity.bot_user,
        "bot_id": identity.bot_id,
        "is_enterprise_install": False,
    }


def apps_connections_open(slack: LocalSlack, _: Call) -> JsonObject:
    """Hand out the address of one socket."""
    root = slack.base_url().replace("http://", "ws://", 1)
    return {"url": f"{root}link/?ticket={slack.hub.ticket()}&app_id={slack.workspace.identity.app_id}"}


def blocks_validate(_: LocalSlack, call: Call) -> JsonObject:
    """Check blocks, or a message's blocks, without posting them."""
    blocks = call.structure("blocks", malformed="invalid_blocks")
    at = "/blocks"
    if blocks is None:
        message = call.structure("message", malformed="invalid_message")
        if message is None:
            raise ApiError("invalid_arguments", "must define one of `blocks`, `message` or `view`")
        if not isinstance(message, dict):
            raise ApiError("invalid_message")
        blocks, at = message.get("blocks"), "/message/blocks"
    problems = problems_of(blocks, at)
    if problems:
        errors: list[Json] = [
            {"code": "invalid_blocks", "message": one.message, "pointer": one.pointer, "constraint": one.message}
            for one in problems
        ]
        return {"ok": False, "error": "invalid_blocks", "errors": errors}
    return {}


METHODS: Final = {
    "api.test": api_test,
    "auth.test": auth_test,
    "apps.connections.open": apps_connections_open,
    "blocks.validate": blocks_validate,
}
