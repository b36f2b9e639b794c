from __future__ import annotations

from collections import Counter

import pytest


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
