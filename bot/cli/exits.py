"""The exit codes, the same for every command."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
CONFIG: Final = 3
UNREACHABLE: Final = 4
INTERRUPTED: Final = 130

EPILOG: Final = (
    "Exit codes: 0 fine; 1 unhealthy, failed or refused; 2 wrong usage; 3 wrong configuration; "
    "4 the database, a subject or the world can't be reached; 130 interrupted."
)


def report(error: Exception) -> tuple[int, str] | None:
    """The exit code and the words for an error that is nobody's bug; None for one that is."""
    from bot.config_sources import ConfigError  # noqa: PLC0415  only when something went wrong

    if isinstance(error, ConfigError):
        return CONFIG, "\n".join(error.lines)
    if isinstance(error, CommandError):
        return error.code, str(error)
    from bot.store.errors import LeaseHeld, NotFound, StoreError  # noqa: PLC0415  brings the database library

    if isinstance(error, LeaseHeld | NotFound):
        return FAILED, str(error)
    if isinstance(error, StoreError):
        return UNREACHABLE, str(error)
    if type(error).__name__ == "SlackConfigError":  # its module brings Slack's SDK
        return CONFIG, str(error)
    return None


class CommandError(Exception):
    """A command can't do what it was asked; ``code`` is one of the exit codes."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
