"""What every subject has to keep to, as checks that a subject's author runs against it.

    findings = await check(subject, interval_s=1)                 one that watches something real
    findings = await check_hostile(build_at, interval_s=1)        one pointed at peers that misbehave

Both return what is wrong, one ``Finding`` each, and nothing when all is well. No test framework is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from subjects.hostile_peers import MANNERS, MIB, Manner, Peer, answering, peer, refusing, silent
from subjects.protocols import Broken, Holds, Invariant, Observation, Severity, Unknown, Unobservable, Verdict

if TYPE_CHECKING:
    from typing import Any

    from subjects.protocols import AnySubject

SECTIONS = ("## What is watched", "## Configuration", "## Invariants", "## Known limits")
"""The sections that a subject's README has, in this order."""

MAX_WORDS = 600
"""A detail or a reason stands in a chat message: characters."""

MAX_READ = 16 * MIB
"""More than this must not be taken from a peer in one look, what stands in socket buffers included."""

LOOK_SHARE = 0.8
"""The part of the interval within which a look has to be over; after that the scheduler gives it up."""

CLOSING_S = 5.0
AT_ONCE = 4

_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: a rule's name, and what was seen."""

    rule: str
    what: str

    def __str__(self) -> str:
        """``rule: what``."""
        return f"{self.rule}: {self.what}"


async def check(subject: AnySubject, *, interval_s: float) -> list[Finding]:
    """Check a subject that watches something real; closes it in the end."""
    findings = [*check_declarations(subject), *check_readme(subject)]
    looks: list[object] = []
    for _ in range(2):
        looked = await _look(subject, interval_s)
        if isinstance(looked, Finding):
            findings.append(looked)
        elif looked is not None:
            looks.append(looked.snapshot)
    for observation in _observations(looks):
        findings += check_verdicts(subject, observation)
    findings += await _check_closing(subject)
    return findings


async def check_hostile(
    build_at: Callable[[str], AnySubject], *, interval_s: float, manners: Mapping[str, Manner] = MANNERS
) -> list[Finding]:
    """Check a subject against peers that misbehave.

    ``build_at`` makes a new one, every endpoint of which is at, or below, the base URL that it is given. Each
    look has to end within ``LOOK_SHARE`` of the interval, and may hold nothing to be well.
    """
    # A few at a time: all at once they would be a load that slows the looks down.
    at_once = asyncio.Semaphore(AT_ONCE)

    async def in_turn(checking: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
        async with at_once:
            return await checking()

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(in_turn(checking))
            for checking in (
                partial(_check_refused, build_at, interval_s),
                *(partial(_check_peer, build_at, words, interval_s, manner) for words, manner in manners.items()),
                partial(_check_redirect, build_at, interval_s),
                partial(_check_cancelled, build_at),
            )
        ]
    return [finding for task in tasks for finding in task.result()]


def check_declarations(subject: AnySubject) -> list[Finding]:
    """Check what a subject says about itself."""
    findings = []

    def expect(rule: str, ok: bool, what: str) -> None:
        if not ok:
            findings.append(Finding(rule, what))

    name = subject.name
    expect("name", re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name) is not None, f"{name!r} is no short name")
    expect("title", _is_words(subject.title), f"{subject.title!r} is not one line for people")
    expect("runbook", _is_url(subject.runbook), f"{subject.runbook!r} is neither a URL nor None")
    invariants = list(subject.invariants)
    expect("invariants", bool(invariants), "there are none")
    expect("invariants", invariants == list(subject.invariants), "they are not the same on every call")
    names = [invariant.name for invariant in invariants]
    expect("invariants", len(set(names)) == len(names), "two have the same name")
    for invariant in invariants:
        findings += _check_invariant(invariant)
    return findings


def _check_invariant(invariant: Invariant[Any]) -> list[Finding]:
    name = invariant.name
    wrong = {
        "invariant-name": re.fullmatch(r"[a-z][a-z0-9_]*", name) is None,
        "sentence": not _is_sentence(invariant.sentence),
        "severity": not isinstance(invariant.severity, Severity),
        "threshold": not (math.isfinite(invariant.threshold) and invariant.threshold > 0),
        "unit": not _is_words(invariant.unit),
        "grace": not (math.isfinite(invariant.grace_s) and invariant.grace_s >= 0),
        "blind-grace": not (math.isfinite(invariant.blind_grace_s) and invariant.blind_grace_s > 0),
        "expected": not invariant.expected or len(set(invariant.expected)) != len(invariant.expected),
        "key": not all(_is_words(key) and not any(c.isspace() for c in key) for key in invariant.expected),
        "runbook": not _is_url(invariant.runbook),
    }
    return [Finding(rule, f"{name!r} breaks it: {invariant}") for rule, broken in wrong.items() if broken]


def check_readme(subject: AnySubject) -> list[Finding]:
    """Check that the subject's package has a README with the fixed sections and all its invariants."""
    package = type(subject).__module__.rpartition(".")[0]
    try:
        text = importlib.resources.files(package).joinpath("README.md").read_text(encoding="utf-8")
    except (OSError, ModuleNotFoundError, ValueError) as error:
        return [Finding("readme", f"the package {package!r} has no README.md that can be read ({error})")]
    lines = text.splitlines()
    there = [line for line in lines if line in SECTIONS]
    findings = []
    if tuple(there) != SECTIONS:
        findings.append(Finding("readme-sections", f"there are {there}, there have to be {list(SECTIONS)}"))
    findings += [
        Finding("readme-invariants", f"{invariant.name} is not described")
        for invariant in subject.invariants
        if f"`{invariant.name}`" not in text
    ]
    return findings


def check_verdicts(subject: AnySubject, observation: Observation[Any]) -> list[Finding]:
    """Check what a subject's invariants make of an observation: total, pure, and of the right shape."""
    findings = []
    for invariant in subject.invariants:
        before = repr(observation)
        verdicts = invariant.evaluate(observation)
        if repr(observation) != before:
            findings.append(Finding("pure", f"{invariant.name} changed the observation"))
        if invariant.evaluate(observation) != verdicts:
            findings.append(Finding("pure", f"{invariant.name} said something else the second time"))
        if set(verdicts) != set(invariant.expected):
            findings.append(
                Finding("total", f"{invariant.name} judged {sorted(verdicts)}, not {sorted(invariant.expected)}")
            )
        for key, verdict in verdicts.items():
            at = f"{invariant.name}:{key}"
            findings += [
                Finding(rule, f"{at}: {verdict}") for rule in _verdict_faults(subject, invariant, key, verdict)
            ]
    return findings


def _verdict_faults(subject: AnySubject, invariant: Invariant[Any], key: str, verdict: Verdict) -> list[str]:
    match verdict:
        case Holds(value):
            if value is not None and not value < invariant.threshold:
                return ["holds-below-threshold"]
        case Broken(value, detail):
            wrong = {
                "broken-at-threshold": not (math.isfinite(value) and value >= invariant.threshold),
                "detail": not _is_sentence(detail),
            }
            return [rule for rule, broken in wrong.items() if broken]
        case Unknown(why, because):
            elsewhere = {(each.name, other) for each in subject.invariants for other in each.expected}
            elsewhere.discard((invariant.name, key))
            wrong = {
                "why": not _is_sentence(why),
                "because": because is not None and because not in elsewhere,
            }
            return [rule for rule, broken in wrong.items() if broken]
        case _:
            return ["verdict"]
    return []


@dataclass(frozen=True, slots=True)
class _Looked:
    snapshot: object


async def _look(subject: AnySubject, interval_s: float) -> _Looked | Finding | None:
    """One look; None where the subject rightly says that nothing at all can be seen."""
    try:
        async with asyncio.timeout(interval_s * LOOK_SHARE):
            return _Looked(await subject.observe())
    except Unobservable as error:
        return None if str(error) else Finding("unobservable", "it does not say why")
    except TimeoutError:
        return Finding("in-time", f"a look took longer than {interval_s * LOOK_SHARE:g} s")
    except Exception as error:  # noqa: BLE001  whatever it raises is what is looked for here
        return Finding("raises", f"a look raised {type(error).__name__}: {error}")


def _observations(looks: list[object]) -> list[Observation[object]]:
    """All that can be made of these looks, with and without a predecessor."""
    alone = [Observation(at=_SOME_TIME, snapshot=look) for look in looks]
    paired = [
        Observation(at=_SOME_TIME, snapshot=late, previous=early, elapsed_s=1.0) for early in looks for late in looks
    ]
    return alone + paired


async def _check_blind(subject: AnySubject, words: str, interval_s: float) -> list[Finding]:
    """Two looks at nothing that can be understood: no invariant may be said to hold."""
    findings: list[Finding] = []
    looks: list[object] = []
    for _ in range(2):
        looked = await _look(subject, interval_s)
        if isinstance(looked, Finding):
            findings.append(looked)
        elif looked is not None:
            looks.append(looked.snapshot)
    for observation in _observations(looks):
        findings += check_verdicts(subject, observation)
        findings += [
            Finding("never-holds-unseen", f"{invariant.name}:{key} holds")
            for invariant in subject.invariants
            for key, verdict in invariant.evaluate(observation).items()
            if isinstance(verdict, Holds)
        ]
    return [Finding(each.rule, f"against a peer, {words}: {each.what}") for each in findings]


async def _check_refused(build_at: Callable[[str], AnySubject], interval_s: float) -> list[Finding]:
    async with refusing() as url, _closing(build_at(url)) as (subject, findings):
        findings.extend(await _check_blind(subject, "refusing", interval_s))
    return findings


async def _check_peer(
    build_at: Callable[[str], AnySubject],
    words: str,
    interval_s: float,
    manner: Manner,
) -> list[Finding]:
    async with peer(manner) as hostile:
        async with _closing(build_at(hostile.url)) as (subject, findings):
            findings.extend(await _check_blind(subject, words, interval_s))
        if hostile.accepted == 0:
            findings.append(Finding("rig", f"the peer, {words}, was never asked: build_at ignores its URL"))
        if hostile.sent > MAX_READ * max(hostile.accepted, 1):
            findings.append(Finding("bounded", f"{hostile.sent} bytes were taken from a peer, {words}"))
        if not await _all_closed(hostile):
            findings.append(Finding("closes", f"connections to a peer, {words}, stayed open after aclose"))
    return findings


async def _check_redirect(build_at: Callable[[str], AnySubject], interval_s: float) -> list[Finding]:
    async with peer(answering(b"{}")) as elsewhere:
        manner = answering(b"", status="307 Temporary Redirect", header=f"Location: {elsewhere.url}/\r\n")
        findings = await _check_peer(build_at, "redirecting", interval_s, manner)
    if elsewhere.accepted:
        findings.append(Finding("no-redirects", "a redirect was followed"))
    return findings


async def _check_cancelled(build_at: Callable[[str], AnySubject]) -> list[Finding]:
    """A look that is cancelled under way leaves nothing behind."""
    async with peer(silent) as hostile:
        async with _closing(build_at(hostile.url)) as (subject, findings):
            look = asyncio.create_task(subject.observe())
            asked = asyncio.create_task(hostile.asked.wait())
            await asyncio.wait({look, asked}, timeout=CLOSING_S, return_when=asyncio.FIRST_COMPLETED)
            if not hostile.asked.is_set():
                findings.append(Finding("rig", "a silent peer was never asked: build_at ignores its URL"))
            asked.cancel()
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)
            if not look.cancelled():
                findings.append(Finding("cancels", "a look that was cancelled went on to its end"))
        if not await _all_closed(hostile):
            findings.append(Finding("closes", "connections stayed open after a cancelled look and aclose"))
    return findings


@asynccontextmanager
async def _closing(subject: AnySubject) -> AsyncIterator[tuple[AnySubject, list[Finding]]]:
    findings: list[Finding] = []
    try:
        yield subject, findings
    finally:
        findings += await _check_closing(subject)


async def _check_closing(subject: AnySubject) -> list[Finding]:
    for times in ("once", "twice"):
        try:
            async with asyncio.timeout(CLOSING_S):
                await subject.aclose()
        except Exception as error:  # noqa: BLE001  whatever it raises is what is looked for here
            return [Finding("closes", f"closing it {times} raised {type(error).__name__}: {error}")]
    return []


async def _all_closed(hostile: Peer) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSING_S):
            await hostile.all_closed()
    return not hostile.connections


def _is_words(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= MAX_WORDS


def _is_sentence(text: str) -> bool:
    return _is_words(text) and text.endswith(".")


def _is_url(url: str | None) -> bool:
    return url is None or re.fullmatch(r"https?://\S+", url) is not None
