"""Everything that the world raises on purpose.

WorldError
├── DeployError     the world can't be started: a port, a program, a child that ended at once
├── NoWorldError    there is no running world in that directory
├── NotFoundError   no such fault, node or verb
└── ConflictError   not possible in the present state, or it did not take
"""

from __future__ import annotations


class WorldError(Exception):
    """Root of the world's errors; the text says what is wrong and how to mend it."""


class DeployError(WorldError):
    """The world can't be started."""


class NoWorldError(WorldError):
    """There is no running world in that directory."""


class NotFoundError(WorldError):
    """There is no such fault, node or verb."""


class ConflictError(WorldError):
    """Not possible in the present state, or it did not take in time."""
