"""Which version this is."""

from __future__ import annotations

from functools import cache
from typing import Final

DISTRIBUTION: Final = "operator-sre"


@cache
def version() -> str:
    """The installed version, ``unknown`` where it runs uninstalled."""
    from importlib import metadata  # noqa: PLC0415  slow to import, and most commands do without

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
