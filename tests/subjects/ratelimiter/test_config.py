"""The configuration: what it takes, and that a wrong one says which key and how to mend it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from subjects.clock import SystemClock
from subjects.protocols import Severity, SubjectConfigError
from subjects.ratelimiter.subject import RateLimiter, build

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

Config = dict[str, Any]

GOOD: Config = {
    "nodes": {"rl-1": "http://rl-1:8080", "rl-2": "http://rl-2:8080/"},
    "limits": ["per-user", "login"],
    "runbook": "https://runbooks.example/rl",
    "invariants": {"high_latency": {"threshold": 200}},
}


def made(config: Config) -> RateLimiter:
    return build("limits", config, SystemClock(), 1.0)


def test_defaults_and_changes() -> None:
    config = copy.deepcopy(GOOD)
    config["invariants"] = {
        "high_latency": {"threshold": 200, "grace_s": 7, "min_checks": 50},
        "node_down": {"severity": "warning", "runbook": "https://runbooks.example/down", "blind_grace_s": 90.5},
        "stuck_key": {"threshold": 3},
    }
    by_name = {each.name: each for each in made(config).invariants}
    assert list(by_name) == [
        "node_down",
        "redis_disconnected",
        "high_latency",
        "counter_drift",
        "ghost_allowing",
        "stuck_key",
    ]
    assert (by_name["high_latency"].threshold, by_name["high_latency"].grace_s) == (200, 7)
    assert by_name["node_down"].severity is Severity.WARNING
    assert by_name["node_down"].runbook == "https://runbooks.example/down"
    assert by_name["node_down"].blind_grace_s == 90.5
    assert (by_name["stuck_key"].threshold, by_name["stuck_key"].grace_s) == (3, 1)
    assert by_name["redis_disconnected"].severity is Severity.CRITICAL
    assert by_name["node_down"].expected == ("rl-1", "rl-2")
    assert by_name["stuck_key"].expected == ("per-user", "login")


def test_the_shortest_configuration() -> None:
    subject = made({"nodes": {"a": "https://[::1]:8443/limiter"}, "limits": ["x"]})
    assert subject.runbook is None
    assert len(subject.invariants) == 6


def wrong(path: str, value: object, said: str) -> ParameterSet:
    """A value that does not belong at a path, and what has to be said about it."""
    return pytest.param(path, value, said, id=f"{path}={value!r}")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        wrong("node", {}, "node: there is no such key; did you mean nodes?"),
        wrong("zzz", 1, "zzz: there is no such key; known are invariants, limits, nodes, runbook."),
        wrong("invariants/node_donw", {}, "invariants.node_donw: there is no such key; did you mean node_down?"),
        wrong("invariants/high_latency/treshold", 1, "did you mean threshold?"),
        wrong("invariants/node_down/threshold", 2, "invariants.node_down.threshold: there is no such key"),
        wrong("invariants/stuck_key/min_checks", 2, "invariants.stuck_key.min_checks: there is no such key"),
        wrong("invariants/high_latency/threshold", 0, "threshold: should be greater than 0, but is 0."),
        wrong("invariants/high_latency/threshold", "150", "should be a valid number, but is a text."),
        wrong("invariants/high_latency/threshold", float("nan"), "should be a finite number"),
        wrong("invariants/high_latency/grace_s", -1, "should be greater than or equal to 0, but is -1."),
        wrong("invariants/high_latency/grace_s", True, "should be a valid number, but is True."),
        wrong("invariants/high_latency/min_checks", 2.5, "min_checks: should be a valid integer"),
        wrong("invariants/node_down/severity", "fatal", "should be 'critical' or 'warning', but is a text."),
        wrong("nodes", {}, "nodes: is empty; name at least one."),
        wrong("nodes/rl-3", "rl-3:8080", "nodes.rl-3: is not a URL: write it like http://rl-1:8080."),
        wrong("nodes/rl-3", "ftp://rl-3", "is not a URL"),
        wrong("nodes/rl-3", "http://rl-3:99999", "is not a URL"),
        wrong("nodes/rl-3", "http://:8080", "is not a URL"),
        wrong("nodes/rl-3", "http://me:secret@rl-3:8080", "carries a user or password"),
        wrong("nodes/rl-3", "http://rl-3:8080/?x=1", "has a query"),
        wrong("nodes/rl-3", "http://rl-3:8080/a b", "has a space"),
        wrong("nodes/rl-3", 8080, "nodes.rl-3: should be a valid string, but is 8080."),
        wrong("nodes/rl-3", "http://rl-2:8080", "nodes: rl-2 and rl-3 have the same URL"),
        wrong("nodes/rl 3", "http://rl-3:8080", "nodes.rl 3"),
        wrong("limits", [], "limits: is empty; name at least one."),
        wrong("limits", "per-user", "limits: should be a valid list, but is a text."),
        wrong("limits", ["a", "b", "a"], "limits: a stands there more than once"),
        wrong("limits", ["a:b"], "limits.0: "),
        wrong("runbook", "see the wiki", "runbook: is not a URL"),
    ],
)
def test_a_wrong_configuration_names_the_key(path: str, value: object, said: str) -> None:
    config = at = copy.deepcopy(GOOD)
    *parents, last = path.split("/")
    for parent in parents:
        at = at.setdefault(parent, {})
    at[last] = value
    with pytest.raises(SubjectConfigError) as raised:
        made(config)
    words = str(raised.value)
    assert said in words
    assert words.startswith("subject 'limits': ")
    assert "secret" not in words
    assert "pydantic" not in words


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SubjectConfigError) as raised:
        made({"nodes": {"rl-1": "nowhere"}, "limit": ["a"], "runbook": 5})
    for said in (
        "nodes.rl-1: ",
        "limit: there is no such key; did you mean limits?",
        "limits: is missing",
        "runbook: ",
    ):
        assert said in str(raised.value)


@pytest.mark.parametrize("interval_s", [0.0, -1.0])
def test_an_interval_has_to_be_positive(interval_s: float) -> None:
    with pytest.raises(ValueError, match="interval_s"):
        build("limits", GOOD, SystemClock(), interval_s)
