"""Where settings come from: the environment, ``.env`` and ``operator.toml``, read but not yet judged.

Light to import, as every command needs to know where the state directory is, and few need more than that.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

PREFIX: Final = "OPERATOR_"
CONFIG_VARIABLE: Final = "OPERATOR_CONFIG"
STATE_DIR_VARIABLE: Final = "OPERATOR_STATE_DIR"
DEFAULT_FILE: Final = "operator.toml"
DOTENV_FILE: Final = ".env"
DEFAULT_STATE_DIR: Final = Path("state")


class ConfigError(Exception):
    """The configuration can't be used; each of ``lines`` names where, which key, what is wrong, how to mend it."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def config_file(flag: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file that counts: ``--config``, ``OPERATOR_CONFIG``, or ``operator.toml`` here where there is one.

    Raises ``ConfigError`` for a file that was named and is not there.
    """
    for origin, path in (("--config", flag), (CONFIG_VARIABLE, _path(environ.get(CONFIG_VARIABLE)))):
        if path is not None:
            if not path.is_file():
                raise ConfigError(f"{origin}: there is no file {path}; name the one that holds the settings")
            return path
    here = Path(DEFAULT_FILE)
    return here if here.is_file() else None


def read_toml(path: Path | None) -> dict[str, object]:
    """What stands in the file; nothing where there is none. Raises ``ConfigError``."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); check its owner and mode") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}; mend that line") from error


def read_dotenv() -> dict[str, str]:
    """What stands in ``.env`` here; a name without a value is left out."""
    path = Path(DOTENV_FILE)
    if not path.is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415  slow to import, and mostly there is no such file

    try:
        values = dotenv_values(path)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); check its owner and mode") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    return {name: value for name, value in values.items() if value is not None}


def state_dir(*, flag: Path | None, config: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """The state directory that ``bot.settings.load`` would say, without judging the other settings.

    So the commands that only need the database answer quickly, and also where the rest of the configuration is
    broken. Raises ``ConfigError`` where the place itself can't be told.
    """
    environ = os.environ if environ is None else environ
    if flag is not None:
        return flag
    if variable := environ.get(STATE_DIR_VARIABLE) or read_dotenv().get(STATE_DIR_VARIABLE):
        return Path(variable)
    path = config_file(config, environ)
    value = read_toml(path).get("state_dir", str(DEFAULT_STATE_DIR))
    if not isinstance(value, str) or not value:
        raise ConfigError(f'{path}: state_dir: is not a folder\'s name; write it like state_dir = "state"')
    return Path(value)


def near(wrong: str, known: Sequence[str]) -> str:
    """How to mend a name that is not among the ``known``."""
    if not known:
        return "leave it out"
    close = difflib.get_close_matches(wrong, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
