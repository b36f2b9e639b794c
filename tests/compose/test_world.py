"""The world as a whole: its control API, its command line, its end, and another one beside it."""

from __future__ import annotations

import asyncio
import html
import json
import os
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import aiohttp
import pytest

from compose.world_cli import main
from tests.compose.running_world import Client, run_world
from tests.waiting import until

if TYPE_CHECKING:
    from tests.compose.running_world import WorldProcess

# Without the environment's own programs: another Redis than the usual one, where the machine has one.
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str


class Cli(Protocol):
    def __call__(self, directory: Path, *arguments: str) -> Ran: ...


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in this process: the same as `python -m compose.world`, without its start."""

    def run(directory: Path, *arguments: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--dir", str(directory)])
        said = capsys.readouterr()
        return Ran(int(ended.value.code or 0), said.out, said.err)

    return run


def alive(pid: int) -> bool:
    """Whether there is such a process; one that only waits to be collected has ended."""
    try:
        letter = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return letter not in "ZX"


async def test_reads_are_open_and_writes_need_the_worlds_token(world: Client) -> None:
    url = world.world.where.control_url
    assert (await world.request("GET", f"{url}/state")).status == 200
    assert (await world.request("GET", f"{url}/")).status == 200
    assert (await world.request("GET", f"{url}/faults")).status == 200
    before = await world.state()
    for path in ("/faults/node_down", "/cures/node_down", "/nodes/rl-1/stop", "/stop"):
        none = await world.request("POST", f"{url}{path}", body={})
        assert (none.status, none.error_code()) == (401, "unauthorized")
        wrong = await world.request("POST", f"{url}{path}", body={}, token=world.world.token())
        assert (wrong.status, wrong.error_code()) == (403, "forbidden")
    assert (await world.state()).nodes == before.nodes


async def test_the_runbook_has_every_invariant_with_what_mends_it(world: Client) -> None:
    url = world.world.where.control_url
    page = (await world.request("GET", f"{url}/runbook")).text
    for fault in json.loads((await world.request("GET", f"{url}/faults")).text):
        for broken in fault["breaks"]:
            assert f"<code>{broken.partition(':')[0]}</code>" in page
        if fault["name"] not in {"none", "two"}:
            assert html.escape(fault["cure"]) in page


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "localhost.example.org:80", "10.0.0.1"])
async def test_a_host_that_is_not_loopback_is_refused(world: Client, host: str) -> None:
    url = world.world.where.control_url
    for method, path in (("GET", "/state"), ("POST", "/faults/node_down")):
        reply = await world.request(method, f"{url}{path}", headers={"Host": host}, token=world.world.world_token())
        assert (reply.status, reply.error_code()) == (403, "forbidden_host")
    assert "Access-Control-Allow-Origin" not in (await world.control("GET", "/state")).headers


@pytest.mark.parametrize(
    ("path", "body", "status", "names"),
    [
        ("/faults/no_such", None, 404, "node_down"),
        ("/faults/node_down", {"node": "rl-9"}, 404, "rl-1"),
        ("/faults/redis_down", {"node": "rl-1"}, 409, "node"),
        ("/faults/node_down", {"where": "rl-1"}, 400, "where"),
        ("/cures/no_such", None, 404, "node_down"),
        ("/cures/node_down", None, 409, "runs already"),
        ("/cures/stuck_key", None, 409, "not stuck"),
        ("/cures/ghost_allowing", None, 409, "per-user"),
        ("/nodes/rl-9/stop", None, 404, "rl-1"),
        ("/nodes/rl-1/explode", None, 404, "restart"),
        ("/nodes/rl-1/start", None, 409, "runs already"),
        ("/nodes/rl-1/resume", None, 409, "running"),
    ],
)
async def test_what_is_not_possible_is_refused_with_what_is(
    world: Client, path: str, body: object, status: int, names: str
) -> None:
    before = (await world.state()).nodes
    reply = await world.control("POST", path, body)
    assert reply.status == status, reply
    assert names in reply.error_message()
    assert (await world.state()).nodes == before


async def test_the_same_fault_is_not_done_twice_and_any_node_can_be_chosen(world: Client) -> None:
    await world.done("/faults/node_down", {"node": "rl-1"})
    try:
        assert not await world.answers("rl-1")
        again = await world.control("POST", "/faults/node_down", {"node": "rl-3"})
        assert (again.status, again.error_code()) == (409, "conflict")
        assert await world.answers("rl-3")
    finally:
        await world.done("/cures/node_down")
    assert await world.answers("rl-1")


async def test_every_verb_does_what_it_says(world: Client) -> None:
    async def state_of(name: str) -> tuple[str, int | None]:
        node = (await world.state()).nodes[name]
        return node.state, node.pid

    first = (await state_of("load"))[1]
    await world.done("/nodes/load/pause")
    assert await state_of("load") == ("frozen", first)
    await world.done("/nodes/load/resume")
    assert await state_of("load") == ("running", first)
    await world.done("/nodes/load/pause")
    await world.done("/nodes/load/restart")
    state, second = await state_of("load")
    assert state == "running"
    assert second != first
    await world.done("/nodes/load/stop")
    assert await state_of("load") == ("dead", None)
    await world.done("/nodes/load/start")
    assert (await state_of("load"))[0] == "running"


async def test_redis_comes_back_with_its_data(world: Client) -> None:
    before = (await world.shared()).limits
    reply = await world.manage("PUT", "rl-1", "/v1/limits/per-ip", {"limit": 60})
    version = before["per-ip"].version + 1
    assert reply.status == 200
    await world.done("/faults/redis_down")
    await world.done("/cures/redis_down")
    assert (await world.shared()).limits["per-ip"].version == version


async def test_once_redis_is_back_no_check_fails_for_the_connections_that_were_lost(world: Client) -> None:
    async def burst() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(world.check("rl-2", "per-ip", f"burst-{number}"))

    await burst()
    await world.done("/faults/redis_down")
    await world.done("/cures/redis_down")
    await burst()


def test_tokens_are_for_their_owner_only(world_process: WorldProcess) -> None:
    for path in (world_process.where.token_file, world_process.where.world_token_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(world_process.directory.stat().st_mode) & 0o077 == 0
    assert world_process.token() != world_process.world_token()


def test_the_command_line_breaks_shows_and_mends(world_process: WorldProcess, cli: Cli) -> None:
    directory = world_process.directory
    broken = cli(directory, "break", "node_frozen", "--node", "rl-3")
    assert (broken.code, broken.err) == (0, "")
    assert "rl-3" in broken.out
    assert "Only cure: Resume" in broken.out
    shown = cli(directory, "state")
    assert "frozen" in shown.out
    assert "Broken: node_frozen" in shown.out
    assert cli(directory, "mend").out == "rl-3 was resumed.\n"
    assert cli(directory, "mend").out == "Nothing is broken.\n"
    assert cli(directory, "node", "restart", "rl-3").out == "rl-3 is running.\n"
    refused = cli(directory, "node", "start", "rl-3")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("Error: rl-3 runs already")
    unknown = cli(directory, "break", "no_such")
    assert unknown.code == 1
    assert "node_down" in unknown.err


def test_wrong_usage_and_a_missing_world_have_their_own_codes(tmp_path: Path, cli: Cli) -> None:
    assert cli(tmp_path, "break").code == 2
    for command in (("state",), ("break", "node_down"), ("mend",), ("node", "stop", "rl-1"), ("stop",)):
        missing = cli(tmp_path, *command)
        assert missing.code == 4
        assert "no world runs" in missing.err
    assert list(tmp_path.iterdir()) == []


def test_a_second_world_in_the_same_directory_is_refused(world_process: WorldProcess, cli: Cli) -> None:
    second = cli(world_process.directory, "run")
    assert second.code == 1
    assert "already" in second.err
    assert all(alive(pid) for pid in world_process.child_pids().values())


async def test_two_worlds_side_by_side_do_not_disturb_each_other(world: Client, tmp_path: Path, cli: Cli) -> None:
    with run_world(tmp_path / "other", path=SYSTEM_PATH) as process:
        async with aiohttp.ClientSession() as session:
            other = Client(process, session)
            await other.wait_healthy()
            before = (await world.state()).nodes
            ours = set(world.world.child_pids().values())
            assert not ours & set(process.child_pids().values())
            await other.done("/faults/redis_down")
            await other.done("/faults/node_down")
            assert await world.healthy()
            wrong = await other.control("POST", "/cures/node_down", token=world.world.world_token())
            assert wrong.status == 403
            await other.done("/cures/redis_down")
            await other.done("/cures/node_down")
            await other.wait_healthy()
            for fault in ("ghost_allowing", "stuck_key"):
                await other.done(f"/faults/{fault}")
                await other.done(f"/cures/{fault}")
            assert (await world.state()).nodes == before
            assert (await world.shared()).limits["per-user"].limit == 20
            stopped = cli(process.directory, "stop")
            assert (stopped.code, stopped.out) == (0, "The world has ended.\n")
            assert process.process.wait(5) == 0
            assert cli(process.directory, "state").code == 4
            assert await world.healthy()


async def test_nothing_outlives_a_killed_world_and_its_data_and_addresses_stay(tmp_path: Path, cli: Cli) -> None:
    with run_world(tmp_path, "--nodes", "1") as process:
        pids = process.child_pids()
        assert set(pids) == {"redis", "rl-1", "load", "batch"}
        assert all(alive(pid) for pid in pids.values())
        async with aiohttp.ClientSession() as session:
            client = Client(process, session)
            await client.manage("PUT", "rl-1", "/v1/limits/login", {"limit": 7})
            # A frozen process can't end by itself either.
            await client.done("/faults/node_frozen")
        os.kill(process.process.pid, signal.SIGKILL)
        process.process.wait(5)
        try:
            await until(lambda: not any(alive(pid) for pid in pids.values()), "every child is gone")
        finally:
            for pid in filter(alive, pids.values()):
                os.kill(pid, signal.SIGKILL)
        gone = cli(tmp_path, "state")
        assert gone.code == 4
        assert "no world" in gone.err
        nodes = process.where.nodes
    with run_world(tmp_path, "--nodes", "1") as process:
        assert process.where.nodes == nodes
        async with aiohttp.ClientSession() as session:
            client = Client(process, session)
            await client.wait_healthy()
            assert (await client.shared()).limits["login"].limit == 7
