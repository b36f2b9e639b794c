from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from scheduler.debounce import Debounce, Key, Report
from subjects.protocols import Broken, Fingerprint, Holds, Invariant, Severity, Unknown, Verdict
from tests.clock import ManualClock

GRACE_S, BLIND_GRACE_S, ALL_BLIND_GRACE_S = 3.0, 10.0, 8.0
KEYS = ("a", "b")


def invariant(name: str) -> Invariant[None]:
    return Invariant(
        name, "It is.", Severity.CRITICAL, 1, "x", GRACE_S, KEYS, lambda _: {}, blind_grace_s=BLIND_GRACE_S
    )


class Subject:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.debounce = Debounce("s", [invariant("up"), invariant("fast")], blind_grace_s=ALL_BLIND_GRACE_S)

    def tick(self, verdicts: Mapping[Key, Verdict], *, after_s: float = 1.0, unobservable: str | None = None) -> Report:
        self.clock.advance(after_s)
        everything = {(name, key): Holds() for name in ("up", "fast") for key in KEYS} | dict(verdicts)
        return self.debounce.report(self.clock.now(), self.clock.monotonic(), everything, unobservable=unobservable)


UP_A = ("up", "a")
BROKEN = {UP_A: Broken(2, "It is 2.")}
UNKNOWN = {UP_A: Unknown("no answer")}


def broken_names(report: Report) -> list[str]:
    return [str(finding.fingerprint) for finding in report.broken]


def test_counts_as_broken_only_after_its_grace_and_says_since_when() -> None:
    subject = Subject()
    first = subject.tick(BROKEN)
    assert first.broken == ()
    assert Fingerprint("s", "up", "a") in first.unclear
    assert Fingerprint("s", "up", "a") not in first.holding
    subject.tick(BROKEN)
    subject.tick(BROKEN)
    counted = subject.tick(BROKEN)
    assert broken_names(counted) == ["up:a"]
    assert counted.broken[0].since == first.at


def test_one_good_tick_starts_the_grace_anew() -> None:
    subject = Subject()
    for _ in range(3):
        subject.tick(BROKEN)
    subject.tick({})
    assert [subject.tick(BROKEN).broken for _ in range(3)] == [(), (), ()]
    assert broken_names(subject.tick(BROKEN)) == ["up:a"]


def test_not_seeing_neither_clears_nor_confirms() -> None:
    subject = Subject()
    first = subject.tick(BROKEN)
    for _ in range(8):
        report = subject.tick(UNKNOWN)
        assert report.broken == ()
        assert Fingerprint("s", "up", "a") not in report.holding
    again = subject.tick(BROKEN)
    assert broken_names(again) == ["up:a"]
    assert again.broken[0].since == first.at


def test_grace_is_measured_by_the_monotonic_clock() -> None:
    subject = Subject()
    subject.tick(BROKEN)
    subject.clock.step_wall(3600)
    assert subject.tick(BROKEN).broken == ()
    subject.clock.step_wall(-7200)
    subject.tick(BROKEN)
    assert broken_names(subject.tick(BROKEN)) == ["up:a"]


def test_a_key_unseen_for_its_grace_makes_the_subject_blind_there() -> None:
    subject = Subject()
    first = subject.tick(UNKNOWN)
    assert all(subject.tick(UNKNOWN).blind is None for _ in range(9))
    blind = subject.tick(UNKNOWN).blind
    assert blind is not None
    assert (blind.since, blind.why, blind.unseen) == (first.at, "no answer", ("up:a",))
    assert subject.tick({}).blind is None


def test_seeing_it_broken_ends_its_blindness() -> None:
    subject = Subject()
    for _ in range(10):
        subject.tick(UNKNOWN)
    subject.tick(BROKEN)
    assert all(subject.tick(UNKNOWN).blind is None for _ in range(10))


def test_an_unknown_that_a_broken_invariant_explains_is_not_blindness() -> None:
    subject = Subject()
    verdicts: dict[Key, Verdict] = {UP_A: Broken(1, "Down."), ("fast", "a"): Unknown("it is down", because=UP_A)}
    report = [subject.tick(verdicts) for _ in range(30)][-1]
    assert broken_names(report) == ["up:a"]
    assert report.blind is None
    # The explanation ends with what explains.
    verdicts[UP_A] = Holds()
    assert subject.tick(verdicts).blind is not None


def test_a_subject_that_cannot_be_observed_is_blind_as_a_whole() -> None:
    subject = Subject()
    reports = [subject.tick({}, unobservable="refused") for _ in range(9)]
    assert [report.blind is None for report in reports] == [True] * 8 + [False]
    blind = reports[-1].blind
    assert blind is not None
    assert (blind.since, blind.unseen) == (reports[0].at, ())
    assert reports[-1].holding == frozenset()
    assert subject.tick({}).blind is None
    assert all(subject.tick({}, unobservable="refused").blind is None for _ in range(8))


verdicts = st.one_of(
    st.builds(Holds),
    st.builds(Broken, st.floats(0, 9), st.just("d")),
    st.builds(Unknown, st.just("w"), st.sampled_from([None, UP_A, ("fast", "b")])),
)
ticks = st.lists(
    st.tuples(
        st.fixed_dictionaries({(name, key): verdicts for name in ("up", "fast") for key in KEYS}),
        st.floats(0.1, 5),
        st.sampled_from([None, None, None, "gone"]),
    ),
    max_size=40,
)


@given(ticks)
def test_every_key_is_in_exactly_one_place_and_well_only_if_it_was_seen_well(
    history: list[tuple[dict[Key, Verdict], float, str | None]],
) -> None:
    subject = Subject()
    for verdicts, after_s, unobservable in history:
        report = subject.tick(verdicts, after_s=after_s, unobservable=unobservable)
        broken = {finding.fingerprint for finding in report.broken}
        places = [broken, set(report.holding), set(report.unclear)]
        assert sum(len(place) for place in places) == len(set().union(*places)) == 4
        seen_well = {
            Fingerprint("s", *key)
            for key, verdict in verdicts.items()
            if isinstance(verdict, Holds) and unobservable is None
        }
        assert report.holding == seen_well
        seen_broken = {
            Fingerprint("s", *key)
            for key, verdict in verdicts.items()
            if isinstance(verdict, Broken) and unobservable is None
        }
        assert broken <= seen_broken
