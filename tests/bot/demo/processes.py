"""Who descends from a process, and who of them is still there."""

from __future__ import annotations

from pathlib import Path

Identity = tuple[int, str]
"""A process id with its start time, as ids are used again."""


def _stat(pid: str) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def descendants(root: int) -> set[Identity]:
    """All processes under ``root``, not itself."""
    parents: dict[int, int] = {}
    starts: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(entry.name)) is not None:
            parents[int(entry.name)] = int(fields[1])
            starts[int(entry.name)] = fields[19]
    found: set[int] = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {(pid, starts[pid]) for pid in found - {root}}


def alive(processes: set[Identity]) -> set[Identity]:
    """Those that still run; a zombie does not."""
    return {
        (pid, start)
        for pid, start in processes
        if (fields := _stat(str(pid))) is not None and fields[19] == start and fields[0] not in "ZX"
    }
