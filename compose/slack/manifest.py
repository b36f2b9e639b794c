"""The app's manifest: what it declares is what is delivered to it."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SlashCommand(_Part):
    """A slash command with what the composer shows about it."""

    command: str
    description: str = ""
    usage_hint: str = ""


class _BotUser(_Part):
    display_name: str


class _Features(_Part):
    bot_user: _BotUser
    slash_commands: tuple[SlashCommand, ...] = ()


class _Scopes(_Part):
    bot: tuple[str, ...] = ()


class _OauthConfig(_Part):
    scopes: _Scopes


class _EventSubscriptions(_Part):
    bot_events: tuple[str, ...] = ()


class _Interactivity(_Part):
    is_enabled: bool = False


class _Settings(_Part):
    event_subscriptions: _EventSubscriptions = _EventSubscriptions()
    interactivity: _Interactivity = _Interactivity()


class _Display(_Part):
    name: str = Field(min_length=1, max_length=35)


class Manifest(_Part):
    """The parts of Slack's app manifest that the local Slack acts on; others are ignored."""

    display_information: _Display
    features: _Features
    oauth_config: _OauthConfig
    settings: _Settings

    @property
    def scopes(self) -> frozenset[str]:
        """The bot token's scopes."""
        return frozenset(self.oauth_config.scopes.bot)

    @property
    def events(self) -> frozenset[str]:
        """The event types that the app subscribed to."""
        return frozenset(self.settings.event_subscriptions.bot_events)

    @property
    def interactive(self) -> bool:
        """Whether clicks are delivered."""
        return self.settings.interactivity.is_enabled

    def command(self, name: str) -> SlashCommand | None:
        """Return the declared slash command, or None."""
        return next((one for one in self.features.slash_commands if one.command == name), None)


def load_manifest(path: Path | None = None) -> Manifest:
    """Read an app manifest (JSON); without a path, the one of this project's app."""
    source = path or Path(__file__).with_name("manifest.json")
    return Manifest.model_validate(json.loads(source.read_text(encoding="utf-8")))
