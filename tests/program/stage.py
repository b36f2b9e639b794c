"""A stage for the program as a process: a scripted subject, a local Slack, and operator, which may be killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bot.failpoints import LOG_VARIABLE, VARIABLE
from tests.program import scripted_subject
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = str(Path(sys.executable).with_name("operator"))


@dataclass
class LocalSlack:
    """The local Slack as a person and as a test see it; everything is read back over HTTP."""

    url: str
    token: str
    channel: str
    control: str
    control_token: str
    users: Mapping[str, str]
    http: httpx.AsyncClient

    async def call(self, method: str, **params: str | int) -> dict[str, Any]:
        answer = await self.http.get(
            self.url + method, params=params, headers={"Authorization": f"Bearer {self.token}"}
        )
        body: dict[str, Any] = answer.json()
        assert body["ok"], body
        return body

    async def control_call(self, verb: str, path: str, body: object = None) -> dict[str, Any]:
        answer = await self._control(verb, path, body)
        assert answer.status_code < 300, answer.text
        result: dict[str, Any] = answer.json()
        return result

    async def _control(self, verb: str, path: str, body: object) -> httpx.Response:
        return await self.http.request(
            verb, self.control + path, json=body, headers={"Authorization": f"Bearer {self.control_token}"}
        )

    async def roots(self) -> list[dict[str, Any]]:
        """Our threads' first messages, oldest first; a reply that is also shown in the channel is none."""
        body = await self.call("conversations.history", channel=self.channel, include_all_metadata=1, limit=200)
        # A reply that was broadcast is in the history too.
        return [
            message
            for message in reversed(body["messages"])
            if message.get("metadata") and message.get("thread_ts", message["ts"]) == message["ts"]
        ]

    async def replies(self, root: str) -> list[dict[str, Any]]:
        body = await self.call(
            "conversations.replies", channel=self.channel, ts=root, include_all_metadata=1, limit=900
        )
        return list(body["messages"][1:])

    async def click(self, user: str, ts: str, action_id: str) -> None:
        """Press a button, if it is there: a card may have lost it at that moment."""
        press = {"user": self.users[user], "action": "click", "channel": self.channel, "ts": ts, "action_id": action_id}
        answer = await self._control("POST", "/act", press)
        assert answer.status_code < 300 or "no element" in answer.text, answer.text


def slot(message: Mapping[str, Any]) -> str:
    return str(message["metadata"]["event_payload"]["slot"])


def owner(message: Mapping[str, Any]) -> str:
    return str(message["metadata"]["event_payload"]["owner"])


@dataclass
class Stage:
    """``folder`` holds everything; ``break_`` and ``mend`` change what the subject sees."""

    folder: Path
    slack: LocalSlack
    interval_s: float = 0.1
    hold_s: float = 0.3
    subjects: tuple[str, ...] = ("scripted",)
    many: int = 0
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    starts: int = 0
    failpoint: str | None = None
    lives: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def ready_file(self) -> Path:
        """Written by operator once all is up."""
        return self.folder / "ready.json"

    def prepare(self, slack_json: Mapping[str, Any]) -> None:
        self.break_()
        tables = "".join(
            f'[subjects.{name}]\nkind = "scripted"\ninterval_s = {self.interval_s}\n'
            f'file = "{self.folder / "broken"}"\nmany = {self.many}\n'
            for name in self.subjects
        )
        (self.folder / "operator.toml").write_text(
            f'state_dir = "{self.folder / "state"}"\n'
            f"[incidents]\nhold_s = {self.hold_s}\nflap_window_s = 600\ncall_again_s = 600\n"
            f'[web]\nport = 0\n[slack]\nchannel = "{self.slack.channel}"\n'
            f'[slack.call]\ncritical = "{slack_json["usergroups"]["oncall-primary"]}"\n{tables}'
        )
        self.environment = {
            **scripted_subject.install(self.folder / "site"),
            "SLACK_BOT_TOKEN": slack_json["bot_token"],
            "SLACK_APP_TOKEN": slack_json["app_token"],
            "SLACK_API_URL": slack_json["api_url"],
        }

    def break_(self, *keys: str) -> None:
        partial = self.folder / "broken.partial"
        partial.write_text("\n".join(keys))
        partial.replace(self.folder / "broken")

    def forbid_blocking(self) -> None:
        """Any call of ours that blocks the event loop fails where it is made, in the next process."""
        (self.folder / "site" / "sitecustomize.py").write_text(
            'from blockbuster import BlockBuster\nBlockBuster(["bot", "scheduler", "subjects"]).activate()\n'
        )

    def arm(self, failpoint: str, *, lives: int) -> None:
        """Each of the next ``lives`` processes dies at that failpoint, each therefore at another place of the story."""
        self.failpoint, self.lives = failpoint, lives

    def start(self, *, log: Path | None = None) -> None:
        environment = dict(self.environment)
        if self.failpoint and self.starts < self.lives:
            environment[VARIABLE] = self.failpoint
        if log:
            environment[LOG_VARIABLE] = str(log)
        self.ready_file.unlink(missing_ok=True)
        with (self.folder / "operator.log").open("ab") as output:
            self.process = subprocess.Popen(
                [
                    OPERATOR, "run", "--config", str(self.folder / "operator.toml"), "--log-format", "human",
                    "--ready-file", str(self.ready_file),
                ],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=output,
            )  # fmt: skip
        self.starts += 1

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def keep_running(self) -> None:
        """Start it again where it was killed; any other end is a failure."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            return
        assert code == -signal.SIGKILL, f"operator ended with {code}:\n{self.log()}"
        self.deaths += 1
        self.start()

    async def stop(self) -> None:
        """End it in good order; where it is killed at that, the next one is ended so."""
        while True:
            process = self.process
            assert process is not None
            process.terminate()
            await until(lambda process=process: process.poll() is not None, "operator ends on SIGTERM")
            if process.returncode == 0:
                return
            self.keep_running()
            await self.alive_until(self.ready_file.exists, "operator is up again")

    def log(self) -> str:
        return (self.folder / "operator.log").read_text()[-4000:]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        path = self.folder / "state" / "operator.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def ticket_state(self) -> str:
        rows = self.rows("SELECT state FROM tickets ORDER BY id DESC LIMIT 1")
        return str(rows[0][0]) if rows else "none"

    def cli(self, *arguments: str) -> Any:
        done = subprocess.run(
            [OPERATOR, *arguments, "--config", str(self.folder / "operator.toml"), "--json"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    async def alive_until(self, condition: Any, what: str, *, within_s: float = 90.0) -> None:
        """Wait for ``condition``, starting operator again whenever it was killed."""

        async def check() -> bool:
            self.keep_running()
            result = condition()
            return bool(await result if asyncio.iscoroutine(result) else result)

        try:
            await until(check, what, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None


@contextlib.asynccontextmanager
async def stage(folder: Path, *, limits: bool = False, **settings: Any) -> AsyncIterator[Stage]:
    """A stage with its own local Slack; everything that was started is gone at the end."""
    home = folder / "slack"
    home.mkdir(parents=True)
    with (folder / "slack.log").open("wb") as output:
        slack_process = subprocess.Popen(
            [
                sys.executable, "-m", "compose.slack", "--dir", str(home), "--compress", "600",
                "--limits" if limits else "--no-limits", "--manifest", str(ROOT / "bot" / "slack" / "manifest.json"),
            ],
            cwd=ROOT, stdout=output, stderr=output,
        )  # fmt: skip
    http = httpx.AsyncClient(timeout=20)
    made: Stage | None = None
    try:
        ready = home / "slack.json"
        await until(lambda: ready.exists() or slack_process.poll() is not None, "the local Slack is ready")
        content = json.loads(ready.read_text())
        slack = LocalSlack(
            url=content["api_url"],
            token=content["bot_token"],
            channel=content["channels"]["incidents"],
            control=content["control_url"].rstrip("/"),
            control_token=Path(content["control_token_file"]).read_text().strip(),
            users=content["users"],
            http=http,
        )
        made = Stage(folder, slack, **settings)
        made.prepare(content)
        yield made
    finally:
        if made is not None and made.process is not None and made.process.poll() is None:
            made.kill()
        slack_process.kill()
        slack_process.wait()
        await http.aclose()
