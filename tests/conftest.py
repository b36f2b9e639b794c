from __future__ import annotations

import os
from collections import Counter

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true nothing may be left out: a test that was skipped fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("\nwith CI=true nothing may be left out, and something was skipped", red=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how often, and where, the program was killed."""
    stories, kills = Counter[str](), Counter[str]()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "sigkill" and isinstance(value, dict):
                stories[str(value["kind"])] += 1
                kills[str(value["kind"])] += int(value["kills"])
    if kills:
        where = ", ".join(f"{kind} {kills[kind]} in {stories[kind]} incidents" for kind in sorted(kills))
        terminalreporter.write_line(f"SIGKILL and start again, {kills.total()} times: {where}")
