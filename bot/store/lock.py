"""The lock file beside the database: an operating system's lock, gone with its holder, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path
from typing import IO, Final

from bot.store.errors import CannotOpen, LeaseHeld

_TRIES: Final = 1000
_PAUSE_S: Final = 0.001
"""Someone who only asks whether operator runs has the lock for an instant, which is waited for: about a second."""


def lock(database: Path) -> IO[str]:
    """Lock the state directory of ``database`` until the file given back is closed. Raises ``LeaseHeld``."""
    path = database.with_suffix(".lock")
    try:
        file = path.open("a+")
    except OSError as error:
        raise CannotOpen(f"the lock file {path} can't be opened ({error.strerror}); check its owner") from error
    for _ in range(_TRIES):
        if _try(file, fcntl.LOCK_EX):
            return file
        if not _try(file, fcntl.LOCK_SH):
            break  # not somebody who asks, but somebody who runs
        fcntl.flock(file, fcntl.LOCK_UN)
        threading.Event().wait(_PAUSE_S)
    file.close()
    raise LeaseHeld(_held_words(path))


def note(file: IO[str], holder: str) -> None:
    """Write down who holds it, for whoever is refused; a disk that is full must not hinder the holder."""
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), holder.encode())  # nothing stays in a buffer, to fail once more when it is closed


def locked(database: Path) -> bool:
    """Whether a process has it at this moment."""
    try:
        with database.with_suffix(".lock").open() as file:
            return not _try(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _held_words(path: Path) -> str:
    holder = path.read_text(errors="replace").strip() or "another process"
    return f"operator already runs on {path.parent}: {holder}; stop it first, or set another state_dir"
