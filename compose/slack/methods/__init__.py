"""The Web API's methods, one module per family. A method takes the workspace and a call and returns the answer."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from compose.slack.context import LocalSlack
from compose.slack.methods import auth, chat, conversations, history, reactions, users
from compose.slack.records import JsonObject
from compose.slack.wire import Call

Method: TypeAlias = Callable[[LocalSlack, Call], JsonObject]

METHODS: Final[Mapping[str, Method]] = {
    **auth.METHODS,
    **chat.METHODS,
    **conversations.METHODS,
    **history.METHODS,
    **reactions.METHODS,
    **users.METHODS,
}
