"""The subjects that the settings name, made and ready to be observed."""

from __future__ import annotations

from bot.config_sources import ConfigError, near
from bot.settings import Settings
from subjects.clock import Clock
from subjects.protocols import AnySubject, SubjectError
from subjects.registry import load


def build_all(settings: Settings, clock: Clock) -> dict[str, AnySubject]:
    """All of them, by name. Raises ``ConfigError`` with a line for each that can't be made, or where there are none."""
    if not settings.subjects:
        if settings.file is None:
            raise ConfigError(
                "there is no operator.toml here, so there is nothing to watch; copy operator.example.toml to "
                "operator.toml and change it, or name another file with --config"
            )
        raise ConfigError(
            f"{settings.file}: subjects: there are none, so there is nothing to watch; add a table such as "
            "[subjects.ratelimiter], as operator.example.toml has it"
        )
    made: dict[str, AnySubject] = {}
    lines: list[str] = []
    for name in settings.subjects:
        try:
            made[name] = build(settings, name, clock)
        except ConfigError as error:
            lines += error.lines
    if lines:
        raise ConfigError(*lines)
    return made


def build(settings: Settings, name: str, clock: Clock) -> AnySubject:
    """One of them. Raises ``ConfigError``."""
    if name not in settings.subjects:
        raise ConfigError(f"{name}: there is no subject of that name; {near(name, sorted(settings.subjects))}")
    chosen = settings.subjects[name]
    try:
        return load(chosen.kind)(name, chosen.config, clock, chosen.interval_s)
    except SubjectError as error:
        prefix = f"{settings.file}: " if settings.file else ""
        raise ConfigError(f"{prefix}subjects.{name}: {str(error).removeprefix(f'subject {name!r}: ')}") from error
