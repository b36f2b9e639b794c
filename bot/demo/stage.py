"""The demo's stage: everything started, told of each other, and ended again."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from bot.demo.children import Child
from bot.demo.errors import AlreadyRuns, DemoError, Unreachable

UP_WITHIN_S: Final = 60.0
"""Generous: the demo may run on a busy laptop."""
CHANNEL: Final = "incidents"
MANIFEST: Final = Path(__file__).parents[1] / "slack" / "manifest.json"
"""The one that people install: the local Slack grants no more than it asks for."""
LIMITS: Final = ("per-user", "per-ip", "login")
"""What the world's rate limiter is born with."""


FileT = TypeVar("FileT", bound=BaseModel)


class NodeFile(BaseModel):
    """A node in ``world.json``."""

    url: str


class WorldFile(BaseModel):
    """What the demo needs of the world's ``world.json``."""

    control_url: str
    world_token_file: Path
    nodes: dict[str, NodeFile]


class SlackFile(BaseModel):
    """What the demo needs of the local Slack's ``slack.json``."""

    url: str
    api_url: str
    bot_token: str
    app_token: str
    channels: dict[str, str]
    usergroups: dict[str, str]


class OperatorFile(BaseModel):
    """What ``operator run`` writes when it is up."""

    pid: int
    web: str


@dataclass(frozen=True, slots=True)
class Times:
    """How fast the demo's operator is, seconds: it looks often, and calls things resolved soon."""

    interval_s: float = 1.0
    hold_s: float = 3.0
    flap_window_s: float = 60.0
    call_again_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs, and where it is."""

    folder: Path
    world: WorldFile
    slack: SlackFile
    operator: OperatorFile
    children: tuple[Child, ...]

    @property
    def state_dir(self) -> Path:
        """Operator's state directory."""
        return self.folder / "state"

    @property
    def channel(self) -> str:
        """The id of the channel that incidents go to."""
        return self.slack.channels[CHANNEL]

    async def died(self) -> DemoError:
        """Wait until one of the processes has ended by itself; returns what to say about it."""
        tasks = [asyncio.create_task(child.died()) for child in self.children]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        return done.pop().result()


@asynccontextmanager
async def staged(folder: Path, times: Times) -> AsyncIterator[Stage]:
    """Start everything in ``folder``; on leaving, end it: operator first, so that it sees nothing of the end.

    Raises ``DemoError`` where something does not come up.
    """
    children: list[Child] = []
    with _alone(folder):
        try:
            yield await _start(folder, times, children)
        finally:
            # A second Ctrl-C must not leave anything behind: the rest is ended by the kernel, as this process ends.
            for child in reversed(children[2:]):
                await child.end()
            await asyncio.gather(*(child.end() for child in children[:2]))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder; that ends with this process, however it ends. Raises ``AlreadyRuns``."""
    with (folder / "demo.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRuns(f"a demo runs in {folder} already{_where(folder)}; end it with Ctrl-C first") from None
        yield


def _where(folder: Path) -> str:
    """The address of the demo that runs in the folder, where it is up."""
    try:
        return f", at {SlackFile.model_validate_json((folder / 'slack.ready').read_bytes()).url}"
    except (OSError, ValidationError):
        return ""


async def _start(folder: Path, times: Times, children: list[Child]) -> Stage:
    world_ready, slack_ready, operator_ready = (folder / f"{name}.ready" for name in ("world", "slack", "operator"))
    world_dir, slack_dir = folder / "world", folder / "slack"
    slack_dir.mkdir(exist_ok=True)
    world_arguments = ["run", "--dir", str(world_dir), "--ready-file", str(world_ready)]
    children.append(await Child.start("world", "compose.world", world_arguments, folder=folder, ready_file=world_ready))
    slack_arguments = ["--dir", str(slack_dir), "--world-file", str(world_dir / "world.json")]
    slack_arguments += ["--ready-file", str(slack_ready), "--manifest", str(MANIFEST)]
    children.append(await Child.start("slack", "compose.slack", slack_arguments, folder=folder, ready_file=slack_ready))
    slack = _read(SlackFile, await children[1].ready(UP_WITHIN_S), "the local Slack")
    world = _read(WorldFile, await children[0].ready(UP_WITHIN_S), "the world")
    settings = folder / "operator.toml"
    settings.write_text(_settings(folder / "state", world, slack, times))
    operator_arguments = ["run", "--config", str(settings), "--ready-file", str(operator_ready)]
    children.append(
        await Child.start(
            "operator",
            "bot.cli",
            operator_arguments,
            folder=folder,
            ready_file=operator_ready,
            environ=environ(slack),
        )
    )
    operator = _read(OperatorFile, await children[2].ready(UP_WITHIN_S), "operator")
    return Stage(folder, world, slack, operator, tuple(children))


def environ(slack: SlackFile) -> dict[str, str]:
    """Ours without anything that would set operator up otherwise, and with the local Slack's tokens."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPERATOR_", "SLACK_")) or name.startswith("OPERATOR_FAILPOINT")
    }
    return {
        **kept,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
    }


def _settings(state_dir: Path, world: WorldFile, slack: SlackFile, times: Times) -> str:
    groups = slack.usergroups
    tables: Mapping[str, Mapping[str, object]] = {
        "web": {"port": 0},
        "log": {"format": "human"},
        "slack": {"channel": slack.channels[CHANNEL]},
        "slack.call": {"critical": groups["oncall-primary"], "warning": groups["oncall-secondary"]},
        "incidents": {
            "hold_s": times.hold_s,
            "flap_window_s": times.flap_window_s,
            "call_again_s": times.call_again_s,
        },
        "subjects.ratelimiter": {
            "interval_s": times.interval_s,
            "limits": list(LIMITS),
            "runbook": f"{world.control_url}/runbook",
        },
        "subjects.ratelimiter.nodes": {name: node.url for name, node in world.nodes.items()},
        # At the demo's traffic the default of 100 would take more than a minute to reach.
        "subjects.ratelimiter.invariants.counter_drift": {"threshold": 25},
    }
    # Texts, numbers and lists of them are written the same in JSON and TOML.
    lines = ["# Written by `operator demo`.", f"state_dir = {json.dumps(str(state_dir))}"]
    for table, values in tables.items():
        lines += ["", f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _read(model: type[FileT], text: str, whose: str) -> FileT:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise Unreachable(f"{whose} wrote a ready file that the demo does not understand: {error}") from error
