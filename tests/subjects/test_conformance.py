"""Every registered subject against the conformance checks, and the checks against subjects that break them."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest

from scheduler.loop import TIMEOUT_SHARE
from subjects import conformance, registry
from subjects.clock import SystemClock
from subjects.hostile_peers import MANNERS
from subjects.protocols import Broken, Holds, Invariant, Observation, Severity, Unknown, Unobservable, Verdict

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

    from subjects.protocols import AnySubject

INTERVAL_S = 4.0
SHORT_S = 2.0

CONFIGS: Mapping[str, Callable[[str], Mapping[str, object]]] = {
    "ratelimiter": lambda base: {
        "nodes": {f"rl-{n}": f"{base}/rl-{n}" for n in (1, 2, 3)},
        "limits": ["per-user", "login"],
    },
}
"""Of each kind a configuration all endpoints of which are at a base URL."""


def _own_kinds() -> Sequence[str]:
    return registry.kinds()


@pytest.mark.parametrize("kind", _own_kinds())
async def test_a_registered_subject_stands_up_to_any_peer(kind: str) -> None:
    def build_at(base: str) -> AnySubject:
        return registry.load(kind)(kind, CONFIGS[kind](base), SystemClock(), INTERVAL_S)

    assert await conformance.check_hostile(build_at, interval_s=INTERVAL_S) == []


@pytest.mark.parametrize("kind", _own_kinds())
async def test_a_registered_subject_declares_itself_properly(kind: str) -> None:
    subject = registry.load(kind)(kind, CONFIGS[kind]("http://127.0.0.1:1"), SystemClock(), INTERVAL_S)
    assert conformance.check_declarations(subject) == []
    assert conformance.check_readme(subject) == []
    await subject.aclose()


def test_a_look_has_to_be_over_before_the_scheduler_gives_it_up() -> None:
    assert conformance.LOOK_SHARE <= TIMEOUT_SHARE


def judge_up(seen: Observation[Any]) -> Mapping[str, Verdict]:
    return {"it": Holds(0.0) if seen.snapshot else Unknown("It did not answer.")}


GOOD: Invariant[Any] = Invariant(
    name="up",
    sentence="It is up.",
    severity=Severity.WARNING,
    threshold=1,
    unit="unanswered reads",
    grace_s=0,
    expected=("it",),
    evaluate=judge_up,
)


@dataclass
class Sample:
    """A subject that asks one URL and conforms, unless a test makes it break a rule."""

    url: str = ""
    name: str = "sample"
    title: str = "A sample"
    runbook: str | None = None
    invariants: Sequence[Invariant[Any]] = (GOOD,)
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False))

    async def observe(self) -> object:
        try:
            async with asyncio.timeout(0.2), self.http.stream("GET", self.url):
                return False
        except (TimeoutError, httpx.HTTPError):
            return False

    async def aclose(self) -> None:
        await self.http.aclose()


def rules(findings: list[conformance.Finding]) -> set[str]:
    return {finding.rule for finding in findings}


async def test_a_sample_that_conforms_has_no_findings() -> None:
    assert conformance.check_declarations(Sample()) == []
    assert await conformance.check_hostile(Sample, interval_s=SHORT_S) == []


def wrong(rule: str, what: str, **change: Any) -> ParameterSet:
    return pytest.param(change, rule, id=what)


def wrong_invariant(rule: str, what: str, **change: Any) -> ParameterSet:
    return wrong(rule, what, invariants=(replace(GOOD, **change),))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        wrong("name", "capitals and spaces", name="Not A Name"),
        wrong("title", "two lines", title="two\nlines"),
        wrong("runbook", "no URL", runbook="ask Bob"),
        wrong("invariants", "none", invariants=()),
        wrong("invariants", "the same twice", invariants=(GOOD, GOOD)),
        wrong_invariant("invariant-name", "invariant in capitals", name="Is Up"),
        wrong_invariant("sentence", "no full stop", sentence="It is up"),
        wrong_invariant("severity", "no severity", severity="bad"),
        wrong_invariant("threshold", "threshold of nothing", threshold=0),
        wrong_invariant("threshold", "threshold never reached", threshold=math.inf),
        wrong_invariant("unit", "no unit", unit=""),
        wrong_invariant("grace", "negative grace", grace_s=-1),
        wrong_invariant("blind-grace", "no blind grace", blind_grace_s=0),
        wrong_invariant("expected", "nothing expected", expected=()),
        wrong_invariant("expected", "a key twice", expected=("it", "it")),
        wrong_invariant("key", "a key with a space", expected=("it is",)),
        wrong_invariant("runbook", "an invariant's runbook", runbook="wiki"),
    ],
)
def test_a_wrong_declaration_is_found(change: dict[str, Any], rule: str) -> None:
    assert rules(conformance.check_declarations(Sample(**change))) == {rule}


def test_a_missing_readme_is_found() -> None:
    assert rules(conformance.check_readme(Sample())) == {"readme"}


def saying(verdict: object) -> Callable[[Observation[Any]], Mapping[str, Verdict]]:
    return lambda _seen: {"it": verdict}  # type: ignore[dict-item]  # also what is no verdict


def forgetful() -> Callable[[Observation[Any]], Mapping[str, Verdict]]:
    calls = itertools.count(1)
    return lambda _seen: {"it": Broken(next(calls), "It is down.")}


@pytest.mark.parametrize(
    ("evaluate", "rule"),
    [
        pytest.param(lambda _seen: {}, "total", id="a key left out"),
        pytest.param(lambda _seen: {"it": Holds(), "other": Holds()}, "total", id="a key too many"),
        pytest.param(saying(None), "verdict", id="no verdict"),
        pytest.param(saying(Holds(1.0)), "holds-below-threshold", id="holds at the threshold"),
        pytest.param(saying(Holds(math.nan)), "holds-below-threshold", id="holds at nothing"),
        pytest.param(saying(Broken(0.5, "It is down.")), "broken-at-threshold", id="broken below it"),
        pytest.param(saying(Broken(math.inf, "It is down.")), "broken-at-threshold", id="infinitely broken"),
        pytest.param(saying(Broken(1, "it is down")), "detail", id="no full stop"),
        pytest.param(saying(Broken(1, "It\nis down.")), "detail", id="two lines"),
        pytest.param(saying(Broken(1, "x" * 700 + ".")), "detail", id="too long"),
        pytest.param(saying(Unknown("")), "why", id="no reason"),
        pytest.param(saying(Unknown("So.", because=("up", "it"))), "because", id="explains itself"),
        pytest.param(saying(Unknown("So.", because=("down", "it"))), "because", id="explained by nobody"),
        pytest.param(lambda seen: seen.snapshot.clear() or judge_up(seen), "pure", id="changes the snapshot"),
        pytest.param(forgetful(), "pure", id="remembers"),
    ],
)
def test_a_wrong_verdict_is_found(evaluate: Any, rule: str) -> None:
    subject = Sample(invariants=(replace(GOOD, evaluate=evaluate),))
    seen: Observation[Any] = Observation(at=SystemClock().now(), snapshot={"a": 1})
    assert rules(conformance.check_verdicts(subject, seen)) == {rule}


class Slow(Sample):
    async def observe(self) -> object:
        await self.http.get(self.url, timeout=None)
        return False


class Raising(Sample):
    async def observe(self) -> object:
        await self.http.get(self.url, timeout=0.2)
        return False


class Greedy(Sample):
    """Reads whatever comes for as long as it may."""

    async def observe(self) -> object:
        try:
            async with asyncio.timeout(1.0), self.http.stream("GET", self.url) as response:
                async for _ in response.aiter_raw():
                    pass
        except (TimeoutError, httpx.HTTPError):
            return False
        return False


class Following(Sample):
    async def observe(self) -> object:
        try:
            await self.http.get(self.url, timeout=1.0, follow_redirects=True)
        except httpx.HTTPError:
            return False
        return False


class Trusting(Sample):
    """Takes any answer for a good one."""

    async def observe(self) -> object:
        try:
            async with asyncio.timeout(1.0), self.http.stream("GET", self.url) as response:
                return response.status_code == 200
        except (TimeoutError, httpx.HTTPError):
            return False


class Uninterested(Sample):
    async def observe(self) -> object:
        return False


class Holding(Sample):
    """Keeps a connection of its own open for good."""

    left: ClassVar[list[asyncio.StreamWriter]] = []

    async def observe(self) -> object:
        try:
            url = httpx.URL(self.url)
            _, writer = await asyncio.open_connection(url.host, url.port)
        except OSError:
            return False
        self.left.append(writer)
        return False


class Stubborn(Sample):
    async def observe(self) -> object:
        try:
            return await super().observe()
        except asyncio.CancelledError:
            return False


class CloseOnce(Sample):
    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True
        await super().aclose()


class Wordless(Sample):
    async def observe(self) -> object:
        await super().observe()
        raise Unobservable


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Slow, "in-time"),
        (Raising, "raises"),
        (Greedy, "bounded"),
        (Following, "no-redirects"),
        (Trusting, "never-holds-unseen"),
        (Uninterested, "rig"),
        (Holding, "closes"),
        (Stubborn, "cancels"),
        (CloseOnce, "closes"),
        (Wordless, "unobservable"),
    ],
)
async def test_wrong_behaviour_is_found(kind: type[Sample], rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "CLOSING_S", 0.5)
    some = {words: MANNERS[words] for words in ("silent", "endless", "null")}
    try:
        assert rule in rules(await conformance.check_hostile(kind, interval_s=SHORT_S, manners=some))
    finally:
        for writer in Holding.left:
            writer.close()
            await writer.wait_closed()
        Holding.left.clear()
