"""Processes that the demo starts, and that end with it, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bot.demo.errors import ChildDied, TooLate

GRACE_S: Final = 7.0
"""So long may a process take to end when asked; then it is killed. Operator itself promises five seconds."""
TAIL_LINES: Final = 12
LOOK_S: Final = 0.05


class Child:
    """One process, its output in a log file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, ready_file: Path) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._ready_file = ready_file

    @classmethod
    async def start(
        cls,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        folder: Path,
        ready_file: Path,
        environ: Mapping[str, str] | None = None,
    ) -> Child:
        """Start ``python -m module`` in ``folder``; it writes ``ready_file`` once it is up.

        It begins as the world's launcher, which has the kernel kill it when this process ends in any way.
        """
        path = _log(folder, name, ready_file)
        with path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "compose.launcher", str(os.getpid())),
                *(sys.executable, "-m", module, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=dict(os.environ if environ is None else environ),
                start_new_session=True,
            )
        return cls(name, process, path, ready_file)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ready(self, within_s: float) -> str:
        """Wait until it has written its ready file; returns the text. Raises ``ChildDied`` or ``TooLate``."""
        try:
            async with asyncio.timeout(within_s):
                while not self._ready_file.is_file():
                    if self._process.returncode is not None:
                        raise ChildDied(self._words(self._process.returncode))
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise TooLate(f"{self.name} was not up within {within_s:g} s; its log ends:\n{self.tail()}") from None
        return self._ready_file.read_text()

    async def died(self) -> ChildDied:
        """Wait until it has ended; returns what to say about it."""
        return ChildDied(self._words(await self._process.wait()))

    async def end(self) -> None:
        """Ask it to end, and kill it if it does not. Idempotent."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(GRACE_S):
                    await self._process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
        await self._process.wait()

    def tail(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])

    def _words(self, code: int) -> str:
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        return f"{self.name} ended {how}; its log ends:\n{self.tail()}"


def _log(folder: Path, name: str, ready_file: Path) -> Path:
    """Where its output goes; the ready file of an earlier one is removed."""
    ready_file.unlink(missing_ok=True)
    path = folder / "logs" / f"{name}.log"
    path.parent.mkdir(exist_ok=True)
    return path
