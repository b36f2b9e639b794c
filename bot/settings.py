"""The settings: what they are, where each comes from, and errors that say which one to mend and how.

Precedence: flag > environment > ``.env`` > ``operator.toml`` > default. Environment names are ``OPERATOR_`` and the
key in capitals, with two underscores at each level: ``OPERATOR_WEB__PORT`` is ``web.port``. Slack's own three keep
the names that Slack gives them: ``SLACK_BOT_TOKEN``, ``SLACK_APP_TOKEN``, ``SLACK_API_URL``. An empty value counts as
not set. Anything unknown is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot.config_sources import DEFAULT_STATE_DIR, ConfigError, config_file, near, read_dotenv, read_toml
from bot.settings_layers import Layer, env_layer, flag_layer, merged, toml_layer
from bot.settings_words import origin, sentence
from subjects.configuration import check_url
from subjects.protocols import Severity

FLAGS: Final = {
    "--state-dir": ("state_dir",),
    "--host": ("web", "host"),
    "--port": ("web", "port"),
    "--log-level": ("log", "level"),
    "--log-format": ("log", "format"),
}
"""What can be set on the command line of ``operator run``."""


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is true or false where a number belongs; write a number such as 30")  # noqa: TRY004
    return value


def _slash(url: str) -> str:
    return check_url(url) + "/"


def _heartbeat(url: str) -> str:
    """Checked but left as it is: its path or query is what tells the receiver who calls."""
    check_url(url.partition("?")[0])
    return url


def _target(value: str) -> str:
    if value == "here" or (value[:1] in "SUW" and len(value) > 2 and value.isalnum() and value.isupper()):
        return value
    raise ValueError("is nobody that Slack can call; write a user group's id (S…), a user's id (U… or W…), or here")


def _token(prefix: str, what: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(prefix):
            raise ValueError(f"is not {what}; those begin with {prefix}")
        return value

    return AfterValidator(check)


Seconds = Annotated[float, BeforeValidator(_number), Field(gt=0, le=7 * 86400, allow_inf_nan=False)]
Url = Annotated[str, AfterValidator(_heartbeat)]
Channel = Annotated[str, Field(pattern=r"^(#[^\s,#<>|]{1,80}|[CG][A-Z0-9]{2,})$")]


class Section(BaseModel):
    """Base of the settings' sections."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SlackSettings(Section):
    """Slack. Without the two tokens everything else goes on without it.

    ``channel`` is where incidents go, a name or an id; ``channels`` has other ones by subject. ``call`` says who is
    mentioned, by severity: a user group's id, a user's id, or ``here``.
    """

    bot_token: Annotated[SecretStr, _token("xoxb-", "a bot token")] | None = None
    app_token: Annotated[SecretStr, _token("xapp-", "an app-level token")] | None = None
    api_url: Annotated[str, AfterValidator(_slash)] = "https://slack.com/api/"
    channel: Channel = "#incidents"
    channels: dict[str, Channel] = {}
    call: dict[Severity, Annotated[str, AfterValidator(_target)]] = {}

    @property
    def configured(self) -> bool:
        """Whether both tokens are there."""
        return self.bot_token is not None and self.app_token is not None


class SubjectSettings(Section):
    """A subject: its kind (its own name where left out), how often it is checked, and what its kind asks for."""

    kind: str = Field(min_length=1)
    interval_s: Annotated[float, BeforeValidator(_number), Field(ge=0.1, le=3600, allow_inf_nan=False)] = 5.0
    config: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _split(cls, table: object) -> object:
        if not isinstance(table, Mapping):
            return table
        own = {key: table[key] for key in ("kind", "interval_s") if key in table}
        return {**own, "config": {key: value for key, value in table.items() if key not in own}}


class IncidentSettings(Section):
    """A ticket's times, seconds.

    ``hold_s``: so long must everything hold before a ticket is resolved. ``flap_window_s``: what returns within this
    time reopens it. ``call_again_s``: people are called again until someone acknowledges.
    """

    hold_s: Seconds = 30
    flap_window_s: Seconds = 900
    call_again_s: Seconds = 300


class WebSettings(Section):
    """Where health and metrics are served. Port 0 takes any free one."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: Annotated[int, BeforeValidator(_number), Field(ge=0, le=65535)] = 8787


class LogSettings(Section):
    """The log on stderr: ``auto`` is short lines for people on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"


SubjectName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="OPERATOR_", env_nested_delimiter="__", env_ignore_empty=True
    )

    state_dir: Path = DEFAULT_STATE_DIR
    heartbeat_url: Url | None = None
    heartbeat_s: Seconds = 60
    slack: SlackSettings = SlackSettings()
    subjects: dict[SubjectName, SubjectSettings] = {}
    incidents: IncidentSettings = IncidentSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    _file: Path | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """The file that they were read from, if there was one."""
        return self._file

    @model_validator(mode="before")
    @classmethod
    def _kinds(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A subject's kind is its name where none is given."""
        subjects = values.get("subjects")
        if not isinstance(subjects, Mapping):
            return values
        named = {
            name: {"kind": name, **table} if isinstance(table, Mapping) else table for name, table in subjects.items()
        }
        return {**values, "subjects": named}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what ``load`` hands over: it reads the sources itself, to know where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def load(
    *,
    config: Path | None = None,
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read and check the settings.

    ``flags`` are those of ``FLAGS`` that were given. Raises ``ConfigError`` with one line for each thing to mend.
    """
    environ = os.environ if environ is None else environ
    path = config_file(config, environ)
    layers = (
        flag_layer(FLAGS, flags or {}),
        env_layer(Settings, None, environ),
        env_layer(Settings, ".env", read_dotenv()),
        toml_layer(path, read_toml(path)),
    )
    lines = [line for layer in layers for line in layer.unknown]
    try:
        settings = Settings(**merged(layers))
    except ValidationError as error:
        each = error.errors(include_url=False)
        raise ConfigError(*lines, *(sentence(Settings, problem, layers) for problem in each)) from None
    lines += [*_lonely_token(settings, layers), *_strangers(settings, layers)]
    if lines:
        raise ConfigError(*lines)
    settings._file = path  # noqa: SLF001  frozen for everyone else
    return settings


def _lonely_token(settings: Settings, layers: Sequence[Layer]) -> list[str]:
    """One of Slack's tokens without the other."""
    slack = settings.slack
    if slack.configured or (slack.bot_token is None and slack.app_token is None):
        return []
    there, other = ("app_token", "SLACK_BOT_TOKEN") if slack.bot_token is None else ("bot_token", "SLACK_APP_TOKEN")
    return [f"{origin(layers, ('slack', there))}: is set, but {other} is not; set both, or neither"]


def _strangers(settings: Settings, layers: Sequence[Layer]) -> list[str]:
    """Channels for subjects that there are not."""
    names = sorted(settings.subjects)
    return [
        f"{origin(layers, ('slack', 'channels', name))}: there is no subject of that name; {near(name, names)}"
        for name in settings.slack.channels
        if name not in settings.subjects
    ]
