"""What can go wrong in the demo.

DemoError            its words say what, and what to do
├── AlreadyRuns      another demo has the folder
├── ChildDied        one of its processes ended by itself; the words have the end of its log
├── TooLate          something did not happen in time
└── Unreachable      one of its processes does not answer as it should
"""

from __future__ import annotations


class DemoError(Exception):
    """Base of the demo's errors."""


class AlreadyRuns(DemoError):  # noqa: N818  the name is the sentence
    """Another demo has the folder."""


class ChildDied(DemoError):  # noqa: N818  the name is the sentence
    """One of the processes ended by itself."""


class TooLate(DemoError):  # noqa: N818  the name is the sentence
    """Something did not happen in time."""


class Unreachable(DemoError):  # noqa: N818  the name is the sentence
    """One of the processes does not answer as it should."""
