"""`operator run` as a process, watching a scripted subject, without Slack; and the command line beside it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.program import scripted_subject
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = (sys.executable, "-m", "bot.cli")


@dataclass
class Running:
    """``folder`` holds the settings, the state and what the subject sees."""

    folder: Path
    process: subprocess.Popen[str] | None = None
    web: str = ""
    extra: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self, *, subject: str = "scripted") -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.break_()
        (self.folder / "operator.toml").write_text(
            f'state_dir = "{self.state_dir}"\n{self.extra}\n'
            "[incidents]\nhold_s = 0.3\nflap_window_s = 600\n[web]\nport = 0\n"
            f'[subjects.{subject}]\nkind = "scripted"\ninterval_s = 0.1\nfile = "{self.folder / "broken"}"\n'
        )
        self.environment = {
            **scripted_subject.install(self.folder / "site"),
            **self.environment,
        }

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def database(self) -> Path:
        return self.state_dir / "operator.db"

    @property
    def log_file(self) -> Path:
        return self.folder / "operator.log"

    def break_(self, *keys: str) -> None:
        partial = self.folder / "broken.partial"
        partial.write_text("\n".join(keys))
        partial.replace(self.folder / "broken")

    def command(self, *arguments: str) -> list[str]:
        return [*OPERATOR, *arguments, "--config", str(self.folder / "operator.toml")]

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                self.command("run", *arguments),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )

    async def start(self) -> None:
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        process = self.process = self.spawn("--ready-file", str(ready))
        await until(lambda: ready.exists() or process.poll() is not None, "operator is up", within_s=30)
        assert process.poll() is None, self.log()
        self.web = json.loads(ready.read_text())["web"]

    async def ended(self) -> int:
        process = self.process
        assert process is not None
        await until(lambda: process.poll() is not None, f"operator ends: {self.log()}")
        return int(process.returncode)

    async def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert await self.ended() == 0, self.log()

    def log(self) -> str:
        return self.log_file.read_text()

    def events(self) -> list[dict[str, Any]]:
        """The log's lines, all of which are JSON objects."""
        return [json.loads(line) for line in self.log().splitlines()]

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_cli(self.command(*arguments), self.folder, self.environment)

    def read(self, *arguments: str) -> Any:
        done = self.cli(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(self.web + path, timeout=10)


def run_cli(
    command: Sequence[str], folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@contextlib.contextmanager
def prepared(folder: Path, **settings: Any) -> Iterator[Running]:
    """Everything in place, nothing started; what is started is gone at the end."""
    made = Running(folder, **settings)
    made.prepare()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


@contextlib.asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[Running]:
    with prepared(folder, **settings) as made:
        await made.start()
        yield made
