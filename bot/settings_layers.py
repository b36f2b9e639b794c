"""The layers that settings are read in, each knowing where its values came from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from bot.config_sources import CONFIG_VARIABLE, PREFIX, ConfigError

SLACK_NAMES: Final = {
    "SLACK_BOT_TOKEN": "OPERATOR_SLACK__BOT_TOKEN",
    "SLACK_APP_TOKEN": "OPERATOR_SLACK__APP_TOKEN",
    "SLACK_API_URL": "OPERATOR_SLACK__API_URL",
}
NOT_SETTINGS: Final = (CONFIG_VARIABLE, "OPERATOR_FAILPOINT", "OPERATOR_FAILPOINT_LOG")
"""Names with our prefix that are something else."""

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source's values, nested as the settings are.

    ``where`` words a path for an error: ``operator.toml: web.port``, ``OPERATOR_WEB__PORT``. ``unknown`` has a line
    for each name that means nothing.
    """

    values: Mapping[str, Any]
    where: Callable[[Path_], str]
    unknown: Sequence[str] = field(default=())

    def depth(self, path: Path_) -> int:
        """How far along ``path`` this layer has something."""
        here: object = self.values
        for count, key in enumerate(path):
            if not isinstance(here, Mapping) or key not in here:
                return count
            here = here[key]
        return len(path)


def merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """All layers in one; an earlier one wins, key by key."""
    whole: dict[str, Any] = {}
    for layer in reversed(layers):
        _lay_over(whole, layer.values)
    return whole


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping):
            mine = below.get(key)
            below[key] = dict(mine) if isinstance(mine, Mapping) else {}
            _lay_over(below[key], value)
        else:
            below[key] = value


def flag_layer(known: Mapping[str, Path_], given: Mapping[str, str | None]) -> Layer:
    """What was said on the command line."""
    values: dict[str, Any] = {}
    for flag, value in given.items():
        if value is not None:
            *sections, key = known[flag]
            table = values
            for section in sections:
                table = table.setdefault(section, {})
            table[key] = value
    names = {path: flag for flag, path in known.items()}
    return Layer(values, lambda path: names.get(path, ".".join(path)))


def toml_layer(file: Path | None, values: Mapping[str, Any]) -> Layer:
    """What stands in the file."""
    return Layer(values, lambda path: f"{file}: {'.'.join(path)}" if file else ".".join(path))


def env_layer(settings: type[BaseSettings], file: str | None, variables: Mapping[str, str]) -> Layer:
    """What stands in the environment, or in the ``.env`` file. Raises ``ConfigError`` for a value that is no JSON."""
    renamed = {SLACK_NAMES.get(name, name): value for name, value in variables.items() if value}
    ours = {name: value for name, value in renamed.items() if name.startswith(PREFIX) and name not in NOT_SETTINGS}
    original = {ours_: slack for slack, ours_ in SLACK_NAMES.items() if variables.get(slack)}
    prefix = f"{file}: " if file else ""

    def where(path: Path_) -> str:
        for length in range(len(path), 0, -1):
            name = PREFIX + "__".join(path[:length]).upper()
            if name in ours:
                rest = ".".join(path[length:])
                return prefix + original.get(name, name) + (f": {rest}" if rest else "")
        return prefix + PREFIX + "__".join(path).upper()

    source = EnvSettingsSource(settings)
    # What it would read from the process's own environment, and never from a file.
    source.env_vars = {name.lower(): value for name, value in ours.items()}
    try:
        values = source()
    except SettingsError as error:
        raise ConfigError(f"{prefix}{_culprit(ours, error)}: is not JSON; write it as JSON, or in a file") from error
    unknown = [f"{prefix}{name}: {_unknown(settings, name)}" for name in ours if not _known(settings, name)]
    return Layer(values, where, unknown)


def _culprit(ours: Mapping[str, str], error: SettingsError) -> str:
    return next((name for name in ours if f'"{name[len(PREFIX) :].lower()}"' in str(error)), PREFIX + "…")


def _known(settings: type[BaseSettings], name: str) -> bool:
    section, _, _ = name.removeprefix(PREFIX).partition("__")
    return section.lower() in settings.model_fields and name == name.upper()


def _unknown(settings: type[BaseSettings], name: str) -> str:
    names = [PREFIX + "__".join(path).upper() for path in _paths(settings)]
    near = difflib.get_close_matches(name.upper(), names, n=1, cutoff=0.75)
    meant = f"did you mean {near[0]}?" if near else f"settings are {PREFIX} and a key, like {PREFIX}WEB__PORT"
    return f"there is no such setting; {meant}"


def _paths(model: type[BaseSettings]) -> list[Path_]:
    found: list[Path_] = []
    for name, info in model.model_fields.items():
        nested = getattr(info.annotation, "model_fields", None)
        found += [(name, inner) for inner in nested] if nested else [(name,)]
    return found
