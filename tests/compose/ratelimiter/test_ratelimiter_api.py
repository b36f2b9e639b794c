"""The node's HTTP API, on a running cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from compose.ratelimiter.views import CountersView, LimitsView, NodesView
from tests.waiting import until

if TYPE_CHECKING:
    from tests.compose.running_world import Client

BAD_CHECKS = [
    (b"", "invalid_json", ""),
    (b"{", "invalid_json", ""),
    (b"\xff", "invalid_json", ""),
    (b"[" * 50_000, "invalid_json", ""),
    (b"[]", "invalid_request", "object"),
    (b"{}", "invalid_request", "limit"),
    (b'{"limit": "per-user"}', "invalid_request", "key"),
    (b'{"limit": "per-user", "key": ""}', "invalid_request", "key"),
    (b'{"limit": "per-user", "key": 7}', "invalid_request", "key"),
    (b'{"limit": "per-user", "key": "a\\nb"}', "invalid_request", "key"),
    (b'{"limit": "per-user", "key": "\\ud800"}', "invalid_request", "key"),
    (b'{"limit": "per-user", "key": "%s"}' % (b"x" * 257), "invalid_request", "key"),
    (b'{"limit": "per-user", "key": "k", "cost": 0}', "invalid_request", "cost"),
    (b'{"limit": "per-user", "key": "k", "cost": "1"}', "invalid_request", "cost"),
    (b'{"limit": "per-user", "key": "k", "cost": 1.0}', "invalid_request", "cost"),
    (b'{"limit": "per-user", "key": "k", "cost": true}', "invalid_request", "cost"),
    (b'{"limit": "per-user", "key": "k", "cost": NaN}', "invalid_json", ""),
    (b'{"limit": "per-user", "key": "k", "cost": 1e400}', "invalid_request", "cost"),
    (b'{"limit": "per-user", "key": "k", "burst": 2}', "invalid_request", "burst"),
    (b'{"limit": "per-user", "key": "k", "key": "l"}', "invalid_json", "key"),
    (b'{"limit": "Per User", "key": "k"}', "invalid_request", "limit"),
]


@pytest.mark.parametrize(("raw", "code", "names"), BAD_CHECKS)
async def test_a_bad_check_is_refused_with_the_fields_name(world: Client, raw: bytes, code: str, names: str) -> None:
    reply = await world.ask("POST", "rl-1", "/v1/check", raw=raw)
    assert reply.status == 400, reply
    assert reply.error_code() == code
    assert names in reply.error_message()


async def test_other_mistakes_have_their_own_status(world: Client) -> None:
    check = b'{"limit": "per-user", "key": "k"}'
    wrong_type = await world.ask("POST", "rl-1", "/v1/check", raw=check, headers={"Content-Type": "text/plain"})
    assert (wrong_type.status, wrong_type.error_code()) == (415, "unsupported_media_type")
    large = await world.ask("POST", "rl-1", "/v1/check", raw=b'{"key": "' + b"x" * 70_000 + b'"}')
    assert (large.status, large.error_code()) == (413, "body_too_large")
    unknown = await world.ask("POST", "rl-1", "/v1/check", body={"limit": "no-such", "key": "k"})
    assert (unknown.status, unknown.error_code()) == (404, "unknown_limit")
    nowhere = await world.ask("GET", "rl-1", "/v1/nothing")
    assert (nowhere.status, nowhere.error_code()) == (404, "not_found")
    method = await world.ask("GET", "rl-1", "/v1/check")
    assert (method.status, method.error_code()) == (405, "method_not_allowed")
    assert method.headers["Allow"] == "POST"
    parameter = await world.ask("GET", "rl-1", "/v1/status?verbose=1")
    assert parameter.status == 400
    assert "verbose" in parameter.error_message()
    alone = await world.ask("GET", "rl-1", "/v1/counters?key=k")
    assert alone.status == 400
    assert "limit" in alone.error_message()
    twice = await world.ask("GET", "rl-1", "/v1/counters?limit=login&limit=per-ip")
    assert twice.status == 400


WRITES = [
    ("PUT", "/v1/limits/per-user", {"limit": 20}),
    ("POST", "/v1/limits/per-user/publish", None),
    ("DELETE", "/v1/counters/per-user/nobody", None),
    ("PATCH", "/v1/config", {"redis_url": "redis://127.0.0.1:1/0"}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_writes_need_the_token_and_without_it_change_nothing(
    world: Client, method: str, path: str, body: object
) -> None:
    before = (await world.status("rl-1")).writes
    limits = (await world.shared()).limits
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {world.world.token()}"}):
        reply = await world.ask(method, "rl-1", path, body=body, headers=headers)
        assert (reply.status, reply.error_code()) == (401, "unauthorized")
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    for wrong in ("wrong", world.world.token() + "x", world.world.token()[:-1], world.world.world_token(), "ä"):
        reply = await world.ask(method, "rl-1", path, body=body, headers={"Authorization": f"Bearer {wrong}"})
        assert (reply.status, reply.error_code()) == (403, "forbidden")
    assert (await world.status("rl-1")).writes == before
    assert (await world.shared()).limits == limits
    assert (await world.status("rl-1")).redis.url == world.world.where.redis_url


async def test_no_answer_holds_a_token(world: Client) -> None:
    for path in ("/v1/status", "/v1/shared", "/v1/config", "/metrics"):
        assert world.world.token() not in (await world.ask("GET", "rl-1", path)).text


@pytest.mark.parametrize(
    ("method", "path", "body", "names"),
    [
        ("PUT", "/v1/limits/per-user", {}, "limit"),
        ("PUT", "/v1/limits/per-user", {"limit": 0}, "limit"),
        ("PUT", "/v1/limits/per-user", {"limit": "20"}, "limit"),
        ("PUT", "/v1/limits/per-user", {"limit": 20, "window_ms": -1}, "window_ms"),
        ("PUT", "/v1/limits/per-user", {"limit": 20, "version": 9}, "version"),
        ("PUT", "/v1/limits/Per%20User", {"limit": 20}, "name"),
        ("PATCH", "/v1/config", {}, "redis_url"),
        ("PATCH", "/v1/config", {"redis_url": "http://127.0.0.1:1"}, "redis_url"),
        ("PATCH", "/v1/config", {"redis_url": "redis://"}, "redis_url"),
        ("PATCH", "/v1/config", {"redis_url": "redis://127.0.0.1:99999/0"}, "redis_url"),
        ("PATCH", "/v1/config", {"redis_url": "redis://127.0.0.1:1/0?socket_timeout=99"}, "redis_url"),
        ("PATCH", "/v1/config", {"name": "rl-9"}, "redis_url"),
    ],
)
async def test_a_bad_write_is_refused_with_the_fields_name(
    world: Client, method: str, path: str, body: object, names: str
) -> None:
    before = await world.status("rl-1")
    reply = await world.manage(method, "rl-1", path, body)
    assert reply.status == 400, reply
    assert names in reply.error_message()
    after = await world.status("rl-1")
    assert (after.writes, after.limits, after.redis.url) == (before.writes, before.limits, before.redis.url)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/limits/no-such", {"limit": 3}),
        ("POST", "/v1/limits/no-such/publish", None),
        ("DELETE", "/v1/counters/no-such/k", None),
    ],
)
async def test_a_write_to_an_unknown_limit_is_a_404_and_makes_none(
    world: Client, method: str, path: str, body: object
) -> None:
    reply = await world.manage(method, "rl-1", path, body)
    assert (reply.status, reply.error_code()) == (404, "unknown_limit")
    assert "no-such" not in (await world.shared()).limits


async def test_a_changed_limit_is_in_force_at_every_node_with_its_version_and_written_down(
    world: Client,
) -> None:
    before = (await world.shared()).limits["per-ip"]
    writes = (await world.status("rl-3")).writes["update_limit"]
    try:
        reply = await world.manage("PUT", "rl-3", "/v1/limits/per-ip", {"limit": 61, "window_ms": 2500})
        assert json.loads(reply.text) == {
            "name": "per-ip",
            "limit": 61,
            "window_ms": 2500,
            "version": before.version + 1,
            "receivers": len(world.nodes),
        }
        for node in world.nodes:

            async def has_it(node: str = node) -> bool:
                held = (await world.status(node)).limits["per-ip"]
                return (held.limit, held.window_ms, held.version) == (61, 2500, before.version + 1)

            await until(has_it, f"{node} has the new limit")
        again = await world.manage("POST", "rl-1", "/v1/limits/per-ip/publish")
        assert json.loads(again.text)["version"] == before.version + 1
    finally:
        await world.manage("PUT", "rl-3", "/v1/limits/per-ip", {"limit": 60, "window_ms": 3000})
    assert (await world.status("rl-3")).writes["update_limit"] == writes + 2
    lines = (world.world.directory / "logs" / "rl-3.writes.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["limit"] for line in lines[-2:]] == [61, 60]


@pytest.mark.parametrize("key", ["plain", "a/b", "100%", "%2F", "ü ñ", "a:b?c=d&e#f", "..", "+"])
async def test_a_counter_can_be_read_and_reset_whatever_its_key(world: Client, key: str) -> None:
    for _ in range(3):
        await world.check("rl-1", "login", key)
    where = f"?limit=login&key={quote(key, safe='')}"
    seen = CountersView.model_validate_json((await world.ask("GET", "rl-2", f"/v1/counters{where}")).text)
    assert [(counter.limit, counter.key, counter.count) for counter in seen.counters] == [("login", key, 3)]
    assert seen.counters[0].ttl_ms is not None
    escaped = quote(key, safe="").replace(".", "%2E")
    reply = await world.manage("DELETE", "rl-3", f"/v1/counters/login/{escaped}")
    assert json.loads(reply.text) == {"limit": "login", "key": key, "existed": True}
    seen = CountersView.model_validate_json((await world.ask("GET", "rl-2", f"/v1/counters{where}")).text)
    assert seen.counters == []


async def test_a_denied_check_says_when_to_come_back_and_then_it_is_allowed(world: Client) -> None:
    for left in (4, 3, 2, 1, 0):
        answer = await world.check("rl-1", "login", "patient")
        assert (answer.allowed, answer.remaining, answer.limit) == (True, left, 5)
    reply = await world.ask("POST", "rl-2", "/v1/check", body={"limit": "login", "key": "patient"})
    denied = json.loads(reply.text)
    assert denied["allowed"] is False
    assert denied["node"] == "rl-2"
    assert 0 < denied["retry_after_ms"] <= 2000
    assert int(reply.headers["Retry-After"]) * 1000 >= denied["retry_after_ms"]

    async def allowed() -> bool:
        return (await world.check("rl-3", "login", "patient")).allowed

    await until(allowed, "the key is allowed again")


async def test_a_check_takes_all_of_its_cost_or_nothing(world: Client) -> None:
    assert (await world.check("rl-1", "login", "bulk", cost=4)).remaining == 1
    refused = await world.check("rl-2", "login", "bulk", cost=2)
    assert (refused.allowed, refused.remaining) == (False, 1)
    assert (await world.check("rl-3", "login", "bulk", cost=1)).allowed
    impossible = await world.check("rl-1", "login", "bulk-2", cost=6)
    assert (impossible.allowed, impossible.remaining) == (False, 5)


async def test_the_management_reads_are_parts_of_the_shared_state(world: Client) -> None:
    shared = await world.shared()
    limits = LimitsView.model_validate_json((await world.ask("GET", "rl-2", "/v1/limits")).text)
    assert limits.limits == shared.limits
    nodes = NodesView.model_validate_json((await world.ask("GET", "rl-2", "/v1/nodes")).text)
    assert {(node.name, node.address, node.boot_id) for node in nodes.nodes} == {
        (name, world.world.where.nodes[name].url, (await world.status(name)).boot_id) for name in world.nodes
    }
    await world.check("rl-1", "per-ip", "asked-for")
    one = CountersView.model_validate_json((await world.ask("GET", "rl-2", "/v1/counters?limit=per-ip")).text)
    assert {counter.limit for counter in one.counters} == {"per-ip"}


async def test_the_status_shows_the_numbers_of_the_metrics(world: Client) -> None:
    await world.check("rl-1", "login", "measured")
    status = await world.status("rl-1")
    text = (await world.ask("GET", "rl-1", "/metrics")).text
    for name in (
        "ratelimiter_check_seconds_bucket",
        'ratelimiter_checks_total{limit="login",outcome="allowed"}',
        "ratelimiter_redis_connected 1.0",
        "ratelimiter_write_behind_pending",
        'ratelimiter_limit_version{limit="login"}',
        'ratelimiter_limit{limit="login"}',
        "process_cpu_seconds_total",
    ):
        assert name in text
    assert status.latency.le[-1] == "+Inf"
    assert status.latency.counts == sorted(status.latency.counts)
    total = next(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("ratelimiter_check_seconds_count")
    )
    assert 0 < status.latency.counts[-1] <= total
