"""From verdicts, tick by tick, to what counts: broken for longer than the grace, unseen for longer than its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from subjects.protocols import Broken, Fingerprint, Holds, Invariant, Severity, Unknown, Verdict

Key: TypeAlias = tuple[str, str]
"""An invariant's name and one of its expected keys."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A key that has been broken for its grace. ``since`` is when it was first seen broken."""

    fingerprint: Fingerprint
    severity: Severity
    value: float
    threshold: float
    unit: str
    detail: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Blind:
    """What can't be seen for longer than its grace: everything (``unseen`` is empty) or those named."""

    since: datetime
    why: str
    unseen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known of a subject after a tick.

    Every expected key is in exactly one of ``broken``, ``holding`` and ``unclear``; the last has why: it can't be
    seen, or it seems broken but its grace is not over. ``monotonic`` is the tick's, seconds. ``gap`` says that the
    look before was so long ago that what happened in between was not seen.
    """

    subject: str
    at: datetime
    monotonic: float
    broken: tuple[Finding, ...]
    holding: frozenset[Fingerprint]
    unclear: Mapping[Fingerprint, str]
    unknown: int
    blind: Blind | None
    gap: bool = False


@dataclass(slots=True)
class _Track:
    invariant: Invariant[Any]
    fingerprint: Fingerprint
    broken_since: tuple[datetime, float] | None = None
    unknown_since: tuple[datetime, float] | None = None
    why: str = ""


@dataclass(slots=True)
class _Sorted:
    broken: list[Finding] = field(default_factory=list)
    holding: set[Fingerprint] = field(default_factory=set)
    unclear: dict[Fingerprint, str] = field(default_factory=dict)
    unknown: dict[Key, Unknown] = field(default_factory=dict)


class Debounce:
    """Remembers since when each key of a subject is broken or unseen. Graces are measured monotonically.

    A key that can't be seen keeps the time since which it is broken: missing data clears nothing.
    """

    def __init__(self, subject: str, invariants: Sequence[Invariant[Any]], *, blind_grace_s: float) -> None:
        self._subject = subject
        self._blind_grace_s = blind_grace_s
        self._unobservable_since: tuple[datetime, float] | None = None
        self._tracks: dict[Key, _Track] = {
            (invariant.name, key): _Track(invariant, Fingerprint(subject, invariant.name, key))
            for invariant in invariants
            for key in invariant.expected
        }

    def report(
        self,
        at: datetime,
        monotonic: float,
        verdicts: Mapping[Key, Verdict],
        *,
        unobservable: str | None = None,
    ) -> Report:
        """Take in one tick's verdicts, total over the expected keys, or why there are none at all."""
        found = _Sorted()
        now = (at, monotonic)
        for key, track in self._tracks.items():
            verdict = Unknown(unobservable) if unobservable is not None else verdicts[key]
            self._take(key, track, verdict, now, found)
        blind = self._blind(now, unobservable, found)
        return Report(
            subject=self._subject,
            at=at,
            monotonic=monotonic,
            broken=tuple(found.broken),
            holding=frozenset(found.holding),
            unclear=found.unclear,
            unknown=len(found.unknown),
            blind=blind,
        )

    def _take(self, key: Key, track: _Track, verdict: Verdict, now: tuple[datetime, float], found: _Sorted) -> None:
        match verdict:
            case Holds():
                track.broken_since = track.unknown_since = None
                found.holding.add(track.fingerprint)
            case Broken(value=value, detail=detail):
                track.unknown_since = None
                track.broken_since = track.broken_since or now
                since, since_monotonic = track.broken_since
                invariant = track.invariant
                if now[1] - since_monotonic < invariant.grace_s:
                    found.unclear[track.fingerprint] = "it seems broken again"
                    return
                found.broken.append(
                    Finding(
                        track.fingerprint,
                        invariant.severity,
                        value,
                        invariant.threshold,
                        invariant.unit,
                        detail,
                        since,
                    )
                )
            case Unknown(why=why):
                track.unknown_since = track.unknown_since or now
                track.why = why
                found.unclear[track.fingerprint] = why
                found.unknown[key] = verdict

    def _blind(self, now: tuple[datetime, float], unobservable: str | None, found: _Sorted) -> Blind | None:
        if unobservable is not None:
            self._unobservable_since = self._unobservable_since or now
            since, since_monotonic = self._unobservable_since
            return Blind(since, unobservable, ()) if now[1] - since_monotonic >= self._blind_grace_s else None
        self._unobservable_since = None
        explained = {(f.fingerprint.invariant, f.fingerprint.key) for f in found.broken}
        unseen = [
            track
            for key, verdict in found.unknown.items()
            if verdict.because not in explained
            and (track := self._tracks[key]).unknown_since is not None
            and now[1] - track.unknown_since[1] >= track.invariant.blind_grace_s
        ]
        if not unseen:
            return None
        first = min(unseen, key=lambda track: track.unknown_since or now)
        since = (first.unknown_since or now)[0]
        return Blind(since, first.why, tuple(str(track.fingerprint) for track in unseen))
