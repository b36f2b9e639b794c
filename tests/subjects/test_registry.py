"""Subjects by kind: ours, those of other packages, and the ways in which that goes wrong."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from subjects import registry
from subjects.clock import SystemClock
from subjects.protocols import SubjectConfigError, SubjectError

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution as pip leaves it: a dist-info directory and modules, on ``sys.path``."""
    before = set(sys.modules)

    def put(name: str, entry_points: str, *, version: str = "1.2.3", **modules: str) -> None:
        site = tmp_path / name
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[operator.subjects]\n{entry_points}\n")
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()

    yield put
    for module in set(sys.modules) - before:
        del sys.modules[module]


GOOD = """
class Nothing:
    name = "nothing"
    title = "Nothing at all"
    runbook = None
    invariants = ()

    async def observe(self):
        return None

    async def aclose(self):
        pass


def build(name, config, clock, interval_s):
    return Nothing()
"""


def test_ours_is_there() -> None:
    assert "ratelimiter" in registry.kinds()
    config = {"nodes": {"rl-1": "http://127.0.0.1:1"}, "limits": ["per-user"]}
    subject = registry.load("ratelimiter")("limits", config, SystemClock(), 1.0)
    assert (subject.name, subject.title) == ("limits", "Rate limiter, 1 node")


def test_a_package_of_someone_else_brings_a_subject(install: Install) -> None:
    install("acme-nothing", "nothing = acme_nothing:build", acme_nothing=GOOD)
    assert "nothing" in registry.kinds()
    subject = registry.load("nothing")("nothing", {}, SystemClock(), 1.0)
    assert subject.title == "Nothing at all"


def test_an_unknown_kind_names_the_known_ones_and_the_likely_one(install: Install) -> None:
    install("acme-nothing", "nothing = acme_nothing:build", acme_nothing=GOOD)
    with pytest.raises(registry.UnknownKindError) as raised:
        registry.load("ratelimitter")
    assert isinstance(raised.value, SubjectConfigError)
    words = str(raised.value)
    assert "'ratelimitter'" in words
    assert "nothing" in words
    assert "Did you mean 'ratelimiter'?" in words


def test_a_kind_unlike_any_other_is_not_guessed_at() -> None:
    with pytest.raises(registry.UnknownKindError) as raised:
        registry.load("zzz")
    assert "Did you mean" not in str(raised.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("import no_such_module_here", "No module named 'no_such_module_here'", id="import"),
        pytest.param("1 / 0", "ZeroDivisionError", id="raises"),
        pytest.param("nothing = None", "has no attribute 'build'", id="attribute"),
        pytest.param("def build(:", "SyntaxError", id="syntax"),
    ],
)
def test_a_package_that_cannot_be_imported_is_named(install: Install, source: str, said: str) -> None:
    install("acme-broken", "broken = acme_broken:build", acme_broken=source)
    with pytest.raises(registry.UnloadableKindError) as raised:
        registry.load("broken")
    assert isinstance(raised.value, SubjectError)
    words = str(raised.value)
    assert "the package acme-broken 1.2.3 (acme_broken:build)" in words
    assert said in words


def test_an_unusable_package_harms_no_other(install: Install) -> None:
    install("acme-broken", "broken = acme_broken:build", acme_broken="1 / 0")
    assert "broken" in registry.kinds()
    assert callable(registry.load("ratelimiter"))


def test_something_that_is_no_callable_is_refused(install: Install) -> None:
    install("acme-five", "five = acme_five:build", acme_five="build = 5")
    with pytest.raises(registry.UnloadableKindError, match="is a int, where a callable"):
        registry.load("five")


def test_two_packages_with_the_same_kind_are_both_named(install: Install) -> None:
    install("acme-one", "nothing = acme_one:build", acme_one=GOOD)
    install("acme-two", "nothing = acme_two:build", acme_two=GOOD)
    with pytest.raises(registry.UnloadableKindError) as raised:
        registry.load("nothing")
    assert "acme-one 1.2.3" in str(raised.value)
    assert "acme-two 1.2.3" in str(raised.value)
