"""The options that several commands share, and the store that most of them open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bot.store.database import Store

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The settings' file. [default: OPERATOR_CONFIG, or ./operator.toml]"),
]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Where the database is. [default: as configured, or ./state]")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, and nothing else there.")]


@contextmanager
def opened(config: Path | None, state_dir: Path | None) -> Iterator[Store]:
    """The store of the state directory; it must exist. Raises ``ConfigError`` and ``StoreError``."""
    from bot import config_sources  # noqa: PLC0415  `--help` needs none of these
    from bot.store.database import Store, default_path  # noqa: PLC0415
    from subjects.clock import SystemClock  # noqa: PLC0415

    store = Store(default_path(config_sources.state_dir(flag=state_dir, config=config)), SystemClock())
    try:
        store.open()
        yield store
    finally:
        store.close()
