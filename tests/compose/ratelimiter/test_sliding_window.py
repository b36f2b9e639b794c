"""The real Lua script, on every Redis of this machine, against a model of what a sliding window is."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from compose.ratelimiter import keys
from compose.ratelimiter.limiter import SLIDING_WINDOW
from compose.redis_server import find_redis_server, packaged_redis_server, redis_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WINDOW_MS = 1000
WINDOW_US = WINDOW_MS * 1000
# Far ahead of Redis' own clock, so that nothing expires by it while the script is told another time.
START_US = 4_000_000_000_000_000
TIME = "redis.call('TIME')"
# The same script with its one reading of the clock replaced by arguments.
TIMED = SLIDING_WINDOW.replace(TIME, "{ARGV[8], ARGV[9]}")

NUMBERS = itertools.count()


def redis_binaries() -> list[Path]:
    """The server that a world would use, the one of the wheel, and the machine's own."""
    own = shutil.which("redis-server", path="/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin")
    candidates = [find_redis_server(), packaged_redis_server(), Path(own) if own is not None else None]
    return list({binary.resolve(): binary for binary in candidates if binary is not None}.values())


@pytest.fixture(scope="module", params=redis_binaries(), ids=str)
def redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    directory = tmp_path_factory.mktemp("redis")
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = int(held.getsockname()[1])
        server = subprocess.Popen(
            redis_command(request.param, port=port, directory=directory), stdout=subprocess.DEVNULL
        )
        try:
            retry = Retry(ConstantBackoff(0.05), 100, supported_errors=(RedisConnectionError,))
            with Redis(port=port, decode_responses=True, retry=retry) as client:
                client.ping()
                yield client
        finally:
            server.kill()
            server.wait()


@dataclass(slots=True)
class Model:
    """The definition: an admission counts for exactly one window, and nothing else does."""

    admitted_us: list[int] = field(default_factory=list)

    def check(self, now: int, limit: int, cost: int) -> tuple[int, int, int]:
        live = sorted(at for at in self.admitted_us if at > now - WINDOW_US)
        if len(live) + cost <= limit:
            self.admitted_us += [now] * cost
            return 1, limit - len(live) - cost, 0
        if cost > limit:
            return 0, max(limit - len(live), 0), WINDOW_MS
        leaves = live[len(live) + cost - limit - 1] + WINDOW_US
        return 0, max(limit - len(live), 0), max(-(-(leaves - now) // 1000), 1)


@dataclass(frozen=True, slots=True)
class Step:
    after_us: int
    limit: int
    cost: int


STEPS = st.lists(
    st.builds(
        Step,
        # Often exactly a window, and one microsecond beside it: where a boundary would be wrong.
        after_us=st.one_of(
            st.sampled_from([0, 1, WINDOW_US - 1, WINDOW_US, WINDOW_US + 1, WINDOW_US // 2]),
            st.integers(0, WINDOW_US * 2),
        ),
        limit=st.sampled_from([1, 3, 5]),
        cost=st.integers(1, 6),
    ),
    min_size=1,
    max_size=25,
)


def ask(redis: Redis, script: str, key: str, step: Step, now: int | None) -> list[int]:
    counter = keys.counter("model", key)
    arguments: list[str | int] = [step.limit, WINDOW_MS, step.cost, f"m{next(NUMBERS)}", key, "rl:counter:model:", 100]
    if now is not None:
        arguments += [now // 1_000_000, now % 1_000_000]
    answer = redis.eval(script, 2, counter, keys.active("model"), *arguments)
    assert isinstance(answer, list)
    return answer


def test_the_script_reads_the_clock_once() -> None:
    assert SLIDING_WINDOW.count(TIME) == 1
    assert TIME not in TIMED


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_script_is_the_definition_of_a_sliding_window(redis: Redis, steps: Sequence[Step]) -> None:
    model, now, key = Model(), START_US, f"key-{next(NUMBERS)}"
    for step in steps:
        now += step.after_us
        assert ask(redis, TIMED, key, step, now) == list(model.check(now, step.limit, step.cost))
    largest = max(step.limit for step in steps)
    for end in model.admitted_us:
        assert sum(end - WINDOW_US < at <= end for at in model.admitted_us) <= largest
    redis.delete(keys.counter("model", key))


def test_a_denial_takes_nothing_and_does_not_prolong_the_counter(redis: Redis) -> None:
    key = f"key-{next(NUMBERS)}"
    counter = keys.counter("model", key)
    assert ask(redis, SLIDING_WINDOW, key, Step(0, 3, 3), None)[0] == 1
    expires = redis.pttl(counter)
    assert 0 < expires <= WINDOW_MS + 2
    assert ask(redis, SLIDING_WINDOW, key, Step(0, 3, 1), None)[0] == 0
    assert redis.zcard(counter) == 3
    assert redis.pttl(counter) <= expires


def test_the_index_forgets_what_has_expired_and_keeps_what_has_not(redis: Redis) -> None:
    index = keys.active("model")
    redis.delete(index)
    gone = {f"gone-{number}": float(number) for number in range(50)}
    redis.zadd(index, gone)
    redis.set("rl:counter:model:stays", "whatever")
    redis.zadd(index, {"stays": 0.0})
    for number in range(60):
        assert ask(redis, SLIDING_WINDOW, f"new-{number}", Step(0, 1, 1), None)[0] == 1
    found = set(redis.zrange(index, 0, -1))
    assert not found & set(gone)
    assert "stays" in found
    assert {f"new-{number}" for number in range(60)} <= found


def test_the_index_is_bounded(redis: Redis) -> None:
    redis.delete(keys.active("model"))
    for number in range(130):
        assert ask(redis, SLIDING_WINDOW, f"many-{number}", Step(0, 1, 1), None)[0] == 1
    assert redis.zcard(keys.active("model")) == 100
