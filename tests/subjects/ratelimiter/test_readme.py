"""What the README says about the invariants is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import subjects.ratelimiter
from subjects.clock import SystemClock
from subjects.configuration import validate
from subjects.ratelimiter import invariants
from subjects.ratelimiter.subject import RateLimiterConfig, build
from tests.subjects.ratelimiter.samples import ALL, NODES

README = (Path(subjects.ratelimiter.__file__).parent / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(?P<name>\w+)` \|(?P<cells>.*)\|$", re.MULTILINE)


def test_the_table_of_invariants_is_true() -> None:
    rows = {row["name"]: [cell.strip() for cell in row["cells"].split("|")] for row in ROW.finditer(README)}
    assert rows == {
        each.name: [
            "node" if each.expected == NODES else "limit",
            each.sentence,
            f"{each.threshold:g} {each.unit}",
            f"{each.grace_s:g} s",
            f"{each.blind_grace_s:g} s",
            each.severity.value,
        ]
        for each in ALL
    }


def test_the_example_is_a_configuration() -> None:

    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    table = tomllib.loads(example)["subjects"]["ratelimiter"]
    assert table.pop("kind") == "ratelimiter"
    config = validate(RateLimiterConfig, table, subject="ratelimiter")
    assert config.invariants.high_latency.threshold == 200
    assert build("ratelimiter", table, SystemClock(), 1.0).title == "Rate limiter, 3 nodes"


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    assert f"fewer than {invariants.MIN_CHECKS} checks" in README
    assert invariants.STUCK_WINDOWS == 2
    assert "more than two windows away" in README
