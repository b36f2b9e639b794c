"""Places where a test may end the process the hard way.

``OPERATOR_FAILPOINT=NAME:N`` sends this process SIGKILL the N-th time that it passes the failpoint NAME;
``OPERATOR_FAILPOINT_LOG=FILE`` appends the name of each failpoint passed, a line each, so that a test knows
which ones a run has. Neither set, which is the normal case, a failpoint is one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

VARIABLE: Final = "OPERATOR_FAILPOINT"
LOG_VARIABLE: Final = "OPERATOR_FAILPOINT_LOG"

_armed = os.environ.get(VARIABLE)
_log = os.environ.get(LOG_VARIABLE)
_passed: dict[str, int] = {}


def failpoint(name: str) -> None:
    """Pass the failpoint ``name``; does not return where it is armed for this passage."""
    if _armed is None and _log is None:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _log is not None:
        with Path(_log).open("a") as log:
            log.write(f"{name}\n")
    if _armed == f"{name}:{_passed[name]}":
        os.kill(os.getpid(), signal.SIGKILL)
