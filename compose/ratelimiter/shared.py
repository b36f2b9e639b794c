"""Reading what the nodes share in Redis, at one moment, with one script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from compose.ratelimiter import keys
from compose.ratelimiter.config import Strict
from compose.ratelimiter.errors import RedisRefused
from compose.ratelimiter.limits import Limit, parse_limits
from compose.ratelimiter.redis_link import script_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.ratelimiter.redis_link import RedisLink

SNAPSHOT = script_text("snapshot.lua")
RESET = "redis.call('ZREM', KEYS[2], ARGV[1]) return redis.call('DEL', KEYS[1])"
# Per limit: how many of the latest index entries are looked at, and how many of the fullest counters are shown.
LOOK_AT = 2_000
SHOW = 200


@dataclass(frozen=True, slots=True)
class RegisteredNode:
    """A node's entry in the registry, and how long ago it wrote it."""

    name: str
    address: str
    boot_id: str
    heartbeat_age_s: float


@dataclass(frozen=True, slots=True)
class Tally:
    """What Redis holds of one boot's admissions; `counts` is None where it can't be read, with the reason."""

    node: str
    boot_id: str
    counts: Mapping[str, int] | None
    error: str | None


@dataclass(frozen=True, slots=True)
class CounterReading:
    """One counter: units in the window that ends now, and when it expires (None: never)."""

    limit: str
    key: str
    count: int
    ttl_ms: int | None


@dataclass(frozen=True, slots=True)
class Shared:
    """Everything that the nodes share, at one moment."""

    limits: Mapping[str, Limit]
    nodes: tuple[RegisteredNode, ...]
    tallies: tuple[Tally, ...]
    counters: tuple[CounterReading, ...]


class _Entry(Strict):
    address: str
    pid: int
    boot_id: str
    at_ms: int


_Answer = TypeAdapter(
    tuple[
        list[str],
        list[str | int],
        list[tuple[str, str, str, list[str]]],
        list[tuple[str, str, int, int]],
    ]
)


async def read_shared(redis: RedisLink, *, limit: str = "", key: str = "") -> Shared:
    """Read everything; with `limit` the counters of that limit only, with `key` too that counter only.

    Raises:
        RedisLinkError: Redis gave no usable answer, or holds something that the nodes did not write.
    """
    answer = await redis.run_script(
        SNAPSHOT,
        [keys.LIMITS, keys.NODES],
        [keys.TALLY_PREFIX, keys.ACTIVE_PREFIX, keys.COUNTER_PREFIX, LOOK_AT, SHOW, limit, key],
    )
    try:
        limits, nodes, tallies, counters = _Answer.validate_python(answer)
        return Shared(
            limits=dict(sorted(parse_limits(limits).items())),
            nodes=_nodes(nodes),
            tallies=tuple(_tally(*row) for row in sorted(tallies, key=lambda row: row[0])),
            counters=tuple(
                CounterReading(limit=name, key=of, count=count, ttl_ms=None if ttl < 0 else ttl)
                for name, of, count, ttl in counters
            ),
        )
    except ValidationError as error:
        raise RedisRefused(f"Redis holds something that no node wrote: {error.errors()[0]['msg']}") from error


async def reset_counter(redis: RedisLink, limit: str, key: str) -> bool:
    """Delete a counter, so that its key starts from nothing; says whether there was one.

    Raises:
        RedisLinkError: Redis gave no usable answer.
    """
    answer = await redis.run_script(RESET, [keys.counter(limit, key), keys.active(limit)], [key])
    return answer == 1


def _nodes(flat: list[str | int]) -> tuple[RegisteredNode, ...]:
    found = []
    for name, text, age_ms in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
        entry = _Entry.model_validate_json(str(text))
        found.append(RegisteredNode(str(name), entry.address, entry.boot_id, int(age_ms) / 1000))
    return tuple(sorted(found, key=lambda node: node.name))


def _tally(node: str, boot_id: str, error: str, flat: list[str]) -> Tally:
    if error:
        return Tally(node, boot_id, None, error)
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    fields.pop(keys.TALLY_BATCH, None)
    try:
        counts = {name: int(units) for name, units in sorted(fields.items())}
    except ValueError as wrong:
        return Tally(node, boot_id, None, f"a count is not a number: {wrong}")
    return Tally(node, boot_id, counts, None)
