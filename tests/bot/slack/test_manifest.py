"""The manifest that people install: every scope that the code needs, and none that it does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bot.slack.commands import NAMES
from bot.slack.listeners import COMMAND
from bot.slack.view import SCOPES

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = json.loads((ROOT / "bot" / "slack" / "manifest.json").read_text())
METHODS = json.loads((ROOT / "compose" / "slack" / "methods.json").read_text())["methods"]
GRANTED = set(MANIFEST["oauth_config"]["scopes"]["bot"])


def called() -> set[str]:
    """Every Web API method that the code names."""
    source = "\n".join(path.read_text() for path in (ROOT / "bot" / "slack").glob("*.py"))
    return set(re.findall(r'"([a-z]+\.[a-zA-Z.]+)"', source)) & set(METHODS)


def test_every_method_that_is_called_is_granted() -> None:
    assert {"chat.postMessage", "conversations.replies"} <= called()
    for method in called():
        scopes = set(METHODS[method]["scopes"])
        assert not scopes or scopes & GRANTED, method


def test_no_scope_is_asked_for_that_nothing_needs() -> None:
    needed = {scope for method in called() for scope in METHODS[method]["scopes"]} | {"commands"}
    assert needed >= GRANTED
    assert set(SCOPES) <= GRANTED


def test_it_declares_the_command_and_nothing_that_nobody_listens_to() -> None:
    (command,) = MANIFEST["features"]["slash_commands"]
    assert command["command"] == COMMAND
    for name in NAMES:
        assert name in command["usage_hint"]
    assert MANIFEST["settings"]["event_subscriptions"]["bot_events"] == []
    assert MANIFEST["settings"]["socket_mode_enabled"]
