"""One child process of the world: started, signalled, watched, and gone with the world however that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from compose.errors import ConflictError, DeployError
from compose.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

LAUNCHER = Path(__file__).with_name("launcher.py")
# How long a program may take to end after SIGTERM before it is killed.
GRACE_S = 3.0
SIGNAL_WITHIN_S = 3.0
READY_WITHIN_S = 15.0
TAIL_LINES = 15

Kind = Literal["limiter", "redis", "load", "batch"]
State = Literal["running", "frozen", "dead"]


class Process:
    """A program that can be started again and again.

    Args:
        name: What the world calls it.
        kind: What it is.
        url: Where it answers.
        command: The program and its arguments.
        directory: Where it is started.
        log: Where its output is appended.
        pid_file: Where its process id stands while it runs.
        ready: Whether it answers.
    """

    def __init__(
        self,
        *,
        name: str,
        kind: Kind,
        url: str,
        command: Sequence[str],
        directory: Path,
        log: Path,
        pid_file: Path,
        ready: Callable[[], Awaitable[bool]],
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.url = url
        self._command = tuple(command)
        self._directory = directory
        self._log = log
        self._pid_file = pid_file
        self._ready = ready
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    @property
    def state(self) -> State:
        """Whether it runs, is stopped by SIGSTOP, or is gone."""
        pid = self.pid
        letter = None if pid is None else _scheduler_state(pid)
        if letter is None or letter in "ZX":
            return "dead"
        return "frozen" if letter in "Tt" else "running"

    async def spawn(self) -> None:
        """Start it and return at once.

        Raises:
            ConflictError: It runs already.
        """
        if self.pid is not None:
            raise ConflictError(f"{self.name} runs already (pid {self.pid})")
        with _append(self._log) as log:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(LAUNCHER),
                str(os.getpid()),
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
            )
        self._pid_file.write_text(f"{self._child.pid}\n", encoding="ascii")

    async def wait_ready(self) -> None:
        """Return once it answers.

        Raises:
            DeployError: It ended, or does not answer in time; the text has the end of its log.
        """

        async def answers() -> bool:
            if self._child is not None and self._child.returncode is not None:
                raise DeployError(
                    f"{self.name} ended at its start with code {self._child.returncode}:\n{self.log_tail()}"
                )
            return await self._ready()

        try:
            await until(answers, within_s=READY_WITHIN_S, what=f"{self.name} does not answer", every_s=0.03)
        except ConflictError as error:
            raise DeployError(f"{error}:\n{self.log_tail()}") from error

    async def start(self) -> None:
        """Start it and return once it answers."""
        await self.spawn()
        await self.wait_ready()

    async def stop(self) -> None:
        """End it in an orderly way; a frozen one, or one that takes too long, is killed.

        Raises:
            ConflictError: It does not run.
        """
        self._alive()
        await self.end()

    async def kill(self) -> None:
        """End it with SIGKILL and return once it is gone.

        Raises:
            ConflictError: It does not run.
        """
        self._alive().kill()
        await self._gone()

    async def end(self) -> None:
        """See to it that it does not run."""
        if self._child is None or self.pid is None:
            return None
        if self.state != "frozen":
            self._child.terminate()
            try:
                async with asyncio.timeout(GRACE_S):
                    return await self._gone()
            except TimeoutError:
                pass  # killed below
        # asyncio looks whether it still lives before it sends.
        self._child.kill()
        return await self._gone()

    async def _gone(self) -> None:
        if self._child is not None:
            await self._child.wait()
        self._pid_file.unlink(missing_ok=True)

    async def restart(self) -> None:
        """End it if it lives, and start it."""
        await self.end()
        await self.start()

    async def pause(self) -> None:
        """Freeze it with SIGSTOP: its port still takes connections and nothing answers.

        Raises:
            ConflictError: It does not run, or is frozen.
        """
        await self._signal(signal.SIGSTOP, "frozen")

    async def resume(self) -> None:
        """Let it go on with SIGCONT.

        Raises:
            ConflictError: It is not frozen.
        """
        await self._signal(signal.SIGCONT, "running")

    async def _signal(self, number: signal.Signals, state: State) -> None:
        child = self._alive()
        if self.state == state:
            raise ConflictError(f"{self.name} is {state} already")
        child.send_signal(number)

        async def taken() -> bool:
            return self.state == state

        await until(taken, within_s=SIGNAL_WITHIN_S, what=f"{self.name} is not {state}", every_s=0.01)

    def _alive(self) -> asyncio.subprocess.Process:
        if self._child is None or self.pid is None:
            raise ConflictError(f"{self.name} does not run")
        return self._child

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            return f"(its log can't be read: {error})"
        return "\n".join(lines[-TAIL_LINES:])


def _append(path: Path) -> IO[bytes]:
    return path.open("ab")


def _scheduler_state(pid: int) -> str | None:
    """The state letter of proc(5), or None where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may hold anything.
    return stat.rpartition(")")[2].split()[0]
