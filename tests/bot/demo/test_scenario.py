"""Incidents played by the demo, end to end, and read back from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli.demo import FAULTS

SAMPLE = ("none", "node_down", "twice")
BREAKS = {
    "none": [],
    "node_down": ["node_down:rl-2"],
    "node_frozen": ["node_down:rl-2"],
    "redis_down": ["redis_disconnected:rl-1", "redis_disconnected:rl-2", "redis_disconnected:rl-3"],
    "redis_cut": ["redis_disconnected:rl-2"],
    "high_latency": ["high_latency:rl-1", "high_latency:rl-2", "high_latency:rl-3"],
    "counter_drift": ["counter_drift:login", "counter_drift:per-ip", "counter_drift:per-user"],
    "ghost_allowing": ["ghost_allowing:per-user"],
    "stuck_key": ["stuck_key:per-user"],
    "twice": ["node_down:rl-2"],
    "two": ["ghost_allowing:per-user", "node_down:rl-3"],
}
KEYS = [
    *("subject", "fault", "ticket", "state", "healed_by", "detected_s", "thread_s", "resolved_s"),
    *("threads", "violations", "audit_entries", "audit_ok"),
]


def test_every_fault_is_played() -> None:
    assert set(BREAKS) == set(FAULTS)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("fault", [f if f in SAMPLE else pytest.param(f, marks=pytest.mark.slow) for f in FAULTS])
def test_an_incident_from_its_fault_to_its_resolution(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "stage"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bot.cli", "demo", "ratelimiter", "--fault", fault, "--heal-by-hand"),
            *("--headless", "--json", "--watch-s", "3", "--dir", str(folder)),
        ],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    log = folder / "logs" / "operator.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    assert done.stdout.count("\n") == 1
    outcome = json.loads(done.stdout)
    assert list(outcome) == KEYS
    assert (outcome["subject"], outcome["fault"], outcome["healed_by"]) == ("ratelimiter", fault, "hand")
    assert outcome["violations"] == BREAKS[fault]
    assert outcome["audit_ok"] is True
    assert "Traceback" not in log.read_text()
    if fault == "none":
        assert [outcome[key] for key in ("ticket", "state", "detected_s", "thread_s", "resolved_s")] == [None] * 5
        assert outcome["threads"] == 0
        return
    assert (outcome["ticket"], outcome["state"], outcome["threads"]) == (1, "resolved", 1)
    assert 0 <= outcome["detected_s"] <= outcome["thread_s"] + 0.1 <= outcome["resolved_s"]
    assert outcome["audit_entries"] >= 8
