"""One look at simulated nodes: what becomes of each answer, and who is asked."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from subjects.bounded_http import new_http_client
from subjects.ratelimiter.snapshot import (
    Counter,
    Histogram,
    LimitVersion,
    NodeStatus,
    RedisLink,
    SharedState,
    Tally,
    Unreadable,
    WriteBehind,
)
from tests.subjects.ratelimiter.samples import NODES
from tests.subjects.ratelimiter.simulated import (
    Document,
    SimulatedNodes,
    always,
    failing,
    never,
    refused,
    shared_document,
    status_document,
)

MIB = 1024 * 1024


@pytest.fixture
def nodes() -> SimulatedNodes:
    return SimulatedNodes()


async def test_a_look_reads_every_node_and_the_shared_state_once(nodes: SimulatedNodes) -> None:
    subject = nodes.subject()
    snapshot = await subject.observe()
    assert sorted(nodes.asked) == ["rl-1/v1/shared", "rl-1/v1/status", "rl-2/v1/status", "rl-3/v1/status"]
    assert snapshot.nodes["rl-2"] == NodeStatus(
        boot_id="boot-of-rl-2",
        redis=RedisLink(connected=True, since_s=12.1, url="redis://127.0.0.1:6379/0", error=None),
        limits={
            "per-user": LimitVersion(20, 2000, 1),
            "per-ip": LimitVersion(60, 3000, 1),
            "login": LimitVersion(5, 2000, 1),
        },
        admitted={"per-user": 100, "per-ip": 50, "login": 0},
        write_behind=WriteBehind(3, 0.0, None),
        latency=Histogram((0.005, 0.1, 1.0, math.inf), (150, 180, 180, 180)),
    )
    shared = snapshot.shared
    assert isinstance(shared, SharedState)
    assert shared.read_from == "rl-1"
    assert shared.tallies["rl-3"] == Tally("boot-of-rl-3", {"per-user": 98, "per-ip": 50}, None)
    assert shared.counters == (Counter("per-user", "user-1", 20, 1990), Counter("login", "user-7", 5, None))
    await subject.aclose()


async def test_each_look_asks_another_node_for_the_shared_state(nodes: SimulatedNodes) -> None:
    subject = nodes.subject()
    for _ in range(6):
        await subject.observe()
    asked = [path.partition("/")[0] for path in nodes.asked if path.endswith("shared")]
    assert asked == ["rl-1", "rl-2", "rl-3"] * 2


async def test_a_node_without_redis_is_asked_last(nodes: SimulatedNodes) -> None:
    lost = status_document("rl-2")
    lost["redis"] |= {"connected": False, "error": "connection refused"}
    nodes.special = {"rl-2/v1/status": always(lost), "rl-2/v1/shared": failing(503)}
    subject = nodes.subject()
    await subject.observe()
    nodes.asked.clear()
    for _ in range(6):
        assert isinstance((await subject.observe()).shared, SharedState)
    assert "rl-2/v1/shared" not in nodes.asked


async def test_the_next_node_is_asked_when_one_fails(nodes: SimulatedNodes) -> None:
    error = {"error": {"code": "redis_unavailable", "message": "Redis\ncannot be read"}}
    nodes.special = {"rl-1/v1/shared": failing(503, error), "rl-2/v1/shared": refused}
    shared = (await nodes.subject().observe()).shared
    assert isinstance(shared, SharedState)
    assert shared.read_from == "rl-3"


async def test_the_next_node_is_asked_when_one_is_silent(nodes: SimulatedNodes) -> None:
    nodes.special = {"rl-1/v1/shared": never, "rl-1/v1/status": never}
    snapshot = await nodes.subject(interval_s=0.5).observe()
    assert isinstance(snapshot.shared, SharedState)
    assert snapshot.shared.read_from == "rl-2"
    assert snapshot.nodes["rl-1"] == Unreadable("no answer within 0.3 s")


async def test_when_no_node_can_read_redis_it_says_why_and_what_explains_it(nodes: SimulatedNodes) -> None:
    error = {"error": {"code": "redis_unavailable", "message": "Redis\ncannot be read"}}
    nodes.special = {f"{node}/v1/shared": failing(503, error) for node in NODES}
    for node in NODES:
        lost = status_document(node)
        lost["redis"] |= {"connected": False, "error": "connection refused"}
        nodes.special[f"{node}/v1/status"] = always(lost)
    shared = (await nodes.subject().observe()).shared
    assert shared == Unreadable(
        "; ".join(f"{n} was asked for the shared state: answered 503 (Redis cannot be read)" for n in NODES),
        because=("redis_disconnected", "rl-1"),
    )


@pytest.mark.parametrize(
    ("down", "lost", "because"),
    [
        pytest.param(set(NODES), set(), ("node_down", "rl-1"), id="all down"),
        pytest.param({"rl-1", "rl-3"}, {"rl-2"}, ("redis_disconnected", "rl-2"), id="the rest without redis"),
        pytest.param({"rl-1"}, {"rl-2"}, ("high_latency", "rl-3"), id="one that has redis but fails"),
    ],
)
async def test_what_explains_that_the_shared_state_cannot_be_read(
    nodes: SimulatedNodes, down: set[str], lost: set[str], because: tuple[str, str]
) -> None:
    for node in NODES:
        document = status_document(node)
        document["redis"]["connected"] = node not in lost
        nodes.special[f"{node}/v1/status"] = refused if node in down else always(document)
        nodes.special[f"{node}/v1/shared"] = failing(503)
    shared = (await nodes.subject().observe()).shared
    assert isinstance(shared, Unreadable)
    assert shared.because == because


async def test_silence_everywhere_ends_and_leaves_no_task(nodes: SimulatedNodes) -> None:
    for node in NODES:
        nodes.special |= {f"{node}/v1/status": never, f"{node}/v1/shared": never}
    subject = nodes.subject(interval_s=0.3)
    before = asyncio.all_tasks()
    snapshot = await subject.observe()
    assert all(isinstance(view, Unreadable) for view in snapshot.nodes.values())
    assert isinstance(snapshot.shared, Unreadable)
    assert snapshot.shared.because == ("node_down", "rl-1")
    assert asyncio.all_tasks() == before


async def test_a_cancelled_look_leaves_no_task(nodes: SimulatedNodes) -> None:
    for node in NODES:
        nodes.special |= {f"{node}/v1/status": never, f"{node}/v1/shared": never}
    under_way = asyncio.Event()

    async def never_and_say_so(request: httpx.Request) -> httpx.Response:
        under_way.set()
        return await never(request)

    nodes.special["rl-1/v1/shared"] = never_and_say_so
    before = asyncio.all_tasks()
    look = asyncio.create_task(nodes.subject(interval_s=100).observe())
    await under_way.wait()
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert asyncio.all_tasks() == before


Change = Callable[[Document], object]


async def _read_status(nodes: SimulatedNodes, change: Change) -> NodeStatus | Unreadable:
    document = copy.deepcopy(status_document("rl-2"))
    change(document)
    nodes.special["rl-2/v1/status"] = always(document)
    snapshot = await nodes.subject().observe()
    assert isinstance(snapshot.nodes["rl-1"], NodeStatus)
    return snapshot.nodes["rl-2"]


def _set(path: str, value: object) -> Any:  # a pytest parameter
    def change(document: Any) -> None:
        *parents, last = path.split("/")
        for parent in parents:
            document = document[int(parent) if isinstance(document, list) else parent]
        document[last] = value

    return pytest.param(change, path.partition("/")[0], id=f"{path}={str(value)[:30]}")


def _drop(path: str) -> Any:  # a pytest parameter
    def change(document: Any) -> None:
        *parents, last = path.split("/")
        for parent in parents:
            document = document[int(parent) if isinstance(document, list) else parent]
        del document[last]

    return pytest.param(change, path.partition("/")[0], id=f"no {path}")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        _drop("node"),
        _drop("boot_id"),
        _drop("redis"),
        _drop("redis/connected"),
        _drop("redis/since_s"),
        _drop("limits"),
        _drop("admitted"),
        _drop("write_behind"),
        _drop("latency"),
        _drop("latency/counts"),
        _set("boot_id", 7),
        _set("boot_id", ""),
        _set("redis/connected", "true"),
        _set("redis/connected", 1),
        _set("redis/connected", None),
        _set("redis/since_s", -1),
        _set("limits/login/limit", "5"),
        _set("limits/login/window_ms", 0),
        _set("admitted/login", 1.5),
        _set("admitted/login", -1),
        _set("admitted/login", 10**30),
        _set("latency/le", [0.1, 1]),
        _set("latency/le", ["+Inf"]),
        _set("latency/le", [0.1, "+Inf", 1, "+Inf"]),
        _set("latency/le", [0.1, 0.1, 1, "+Inf"]),
        _set("latency/le", [1, 0.1, 2, "+Inf"]),
        _set("latency/le", ["a", 0.1, 1, "+Inf"]),
        _set("latency/counts", [1, 2, 3]),
        _set("latency/counts", [5, 4, 6, 7]),
    ],
)
async def test_a_status_of_another_shape_is_unreadable(nodes: SimulatedNodes, change: Change, names: str) -> None:
    view = await _read_status(nodes, change)
    assert isinstance(view, Unreadable)
    assert view.why.startswith(f"answered JSON of another shape: {names}")


async def test_additional_fields_are_no_business_of_ours(nodes: SimulatedNodes) -> None:
    def change(document: Document) -> None:
        document["new"] = {"deep": [1]}
        document["redis"]["new"] = 1
        document["latency"]["new"] = "x"

    assert isinstance(await _read_status(nodes, change), NodeStatus)


async def test_another_node_at_the_address_is_not_the_node(nodes: SimulatedNodes) -> None:
    view = await _read_status(nodes, lambda document: document.update(node="rl-9\n<!channel>"))
    assert view == Unreadable("answered as rl-9 <!channel>, which is another node")


async def test_passwords_and_control_characters_stay_outside(nodes: SimulatedNodes) -> None:
    def change(document: Document) -> None:
        document["redis"] |= {
            "url": "redis://me:s3cret@10.0.0.5:6379/0?password=s3cret",
            "error": "no\u202e\x1b[31m way\n" + "x" * 5000,
        }

    view = await _read_status(nodes, change)
    assert isinstance(view, NodeStatus)
    assert view.redis.url == "redis://10.0.0.5:6379/0"
    assert view.redis.error is not None
    assert view.redis.error.isprintable()
    assert len(view.redis.error) <= 200


@pytest.mark.parametrize(
    ("change", "names"),
    [
        _drop("limits"),
        _drop("tallies"),
        _drop("counters"),
        _drop("tallies/0/counts"),
        _drop("tallies/0/boot_id"),
        _drop("counters/0/ttl_ms"),
        _set("tallies/0/node", "rl-2"),
        _set("tallies/0/counts", {"login": "3"}),
        _set("counters/0/count", -1),
        _set("counters/0/ttl_ms", -1),
        _set("counters", None),
    ],
)
async def test_a_shared_state_of_another_shape_is_read_elsewhere(
    nodes: SimulatedNodes, change: Change, names: str
) -> None:
    document = shared_document()
    change(document)
    nodes.special["rl-1/v1/shared"] = always(document)
    shared = (await nodes.subject().observe()).shared
    assert isinstance(shared, SharedState)
    assert shared.read_from == "rl-2"
    nodes.special |= {f"{node}/v1/shared": always(document) for node in NODES}
    nowhere = (await nodes.subject().observe()).shared
    assert isinstance(nowhere, Unreadable)
    assert f"rl-1 was asked for the shared state: answered JSON of another shape: {names}" in nowhere.why


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(failing(500), "answered 500", id="500"),
        pytest.param(failing(301), "answered 301", id="301"),
        pytest.param(failing(204), "answered 204", id="204"),
        pytest.param(refused, "connection refused", id="refused"),
        pytest.param(always([]), "answered JSON of another shape: : Input should be an object", id="list"),
    ],
)
async def test_a_node_that_does_not_answer_properly_is_unreadable(nodes: SimulatedNodes, answer: Any, why: str) -> None:
    nodes.special["rl-3/v1/status"] = answer
    assert (await nodes.subject().observe()).nodes["rl-3"] == Unreadable(why)


async def test_an_answer_is_cut_off_at_one_mebibyte(nodes: SimulatedNodes) -> None:
    taken = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 8 * MIB:
            taken += 65_536
            yield b" " * 65_536

    async def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=flood())

    nodes.special["rl-3/v1/status"] = answer
    assert (await nodes.subject().observe()).nodes["rl-3"] == Unreadable("answered with more than 1048576 bytes")
    assert taken <= 2 * MIB


async def test_a_compressed_answer_is_not_unpacked(nodes: SimulatedNodes) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return httpx.Response(200, stream=httpx.ByteStream(b"\x1f\x8b"), headers={"Content-Encoding": "gzip"})

    nodes.special["rl-3/v1/status"] = answer
    assert (await nodes.subject().observe()).nodes["rl-3"] == Unreadable("answered compressed, which was not asked for")


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with httpx.AsyncClient() as usual:
        assert usual._mounts
    async with new_http_client() as ours:
        assert not ours._mounts


async def test_closing_twice_is_fine(nodes: SimulatedNodes) -> None:
    subject = nodes.subject()
    await subject.observe()
    await subject.aclose()
    await subject.aclose()
