"""`make bench`: measure, print a table, write the same as JSON beside it.

python -m tests.bench [audit] [ticks] [program]    only these parts
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import audit, program, ticks
from tests.bench.figures import Figure, table

RESULTS = Path(__file__).parent / "results.json"
PARTS: dict[str, Callable[[Path], list[Figure]]] = {
    "audit": audit.measure,
    "ticks": ticks.measure,
    "program": program.measure,
}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    figures: list[Figure] = []
    for name in wanted:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            figures += PARTS[name](Path(folder))
    print(table(figures))
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"machine": machine, "figures": [one.as_json() for one in figures]}, indent=1) + "\n")
    print(f"\nwritten to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
