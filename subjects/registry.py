"""Subjects by kind, from the entry point group ``operator.subjects``: ours and those of other packages.

UnknownKindError     (a SubjectConfigError)  no package brings that kind; the words name those there are
UnloadableKindError  (a SubjectError)        a package brings it, and cannot be used; the words say which
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Protocol, cast

from subjects.protocols import SubjectConfigError, SubjectError

if TYPE_CHECKING:
    from subjects.clock import Clock
    from subjects.protocols import AnySubject

GROUP = "operator.subjects"


class SubjectFactory(Protocol):
    """What an entry point names: a callable that makes one subject."""

    def __call__(self, name: str, config: Mapping[str, object], clock: Clock, interval_s: float) -> AnySubject:
        """Make a subject; it opens no connection yet.

        ``interval_s`` is the time between two observations, seconds. Raises ``SubjectConfigError``.
        """


class UnknownKindError(SubjectConfigError):
    """No installed package brings a subject of that kind."""


class UnloadableKindError(SubjectError):
    """An installed package brings that kind, and it cannot be used."""


def kinds() -> tuple[str, ...]:
    """The kinds that the installed packages bring, sorted. Imports none of them."""
    return tuple(sorted(entry_points(group=GROUP).names))


def load(kind: str) -> SubjectFactory:
    """The factory of a kind.

    Raises ``UnknownKindError`` with the known kinds, or ``UnloadableKindError`` with the package at fault.
    """
    found = {_origin(entry): entry for entry in entry_points(group=GROUP, name=kind)}
    if not found:
        raise UnknownKindError(_unknown(kind))
    if len(found) > 1:
        origins = " and ".join(sorted(found))
        raise UnloadableKindError(f"the subject kind {kind!r} is brought by {origins}: uninstall all but one of them")
    origin, entry = next(iter(found.items()))
    try:
        factory: object = entry.load()
    except Exception as error:  # a foreign module may raise anything when it is imported
        raise UnloadableKindError(
            f"the subject kind {kind!r} of {origin} cannot be imported: {type(error).__name__}: {error}; "
            "reinstall or upgrade that package"
        ) from error
    if not callable(factory):
        raise UnloadableKindError(
            f"the subject kind {kind!r} of {origin} is a {type(factory).__name__}, where a callable "
            "build(name, config, clock, interval_s) belongs; that package has to mend its entry point"
        )
    return cast("SubjectFactory", factory)


def _origin(entry: EntryPoint) -> str:
    package = "an unnamed package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    return f"the package {package} ({entry.value})"


def _unknown(kind: str) -> str:
    known = kinds()
    if not known:
        return (
            f"there is no subject kind {kind!r}, nor any other: install the package that brings it "
            f"(entry point group {GROUP})"
        )
    near = difflib.get_close_matches(kind, known, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return f"there is no subject kind {kind!r}; there are: {', '.join(known)}.{meant}"
