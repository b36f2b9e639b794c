"""What one look at the rate limiter finds: plain frozen records, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part that could not be read, and why.

    ``because`` names the invariant and key that, when broken, already explains it.
    """

    why: str
    because: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class LimitVersion:
    """A limit: ``limit`` admissions per window of ``window_ms``; each change raises ``version`` by one."""

    limit: int
    window_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class RedisLink:
    """A node's connection to Redis as the node itself sees it; ``since_s``: for so long has it been so."""

    connected: bool
    since_s: float
    url: str
    error: str | None


@dataclass(frozen=True, slots=True)
class WriteBehind:
    """Admissions that a node has counted and not yet written to Redis."""

    pending: int
    stuck_for_s: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long checks took since the node's start.

    ``bounds_s`` are upper bounds in seconds, rising, the last one infinite; ``counts`` are cumulative.
    """

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says about itself. ``boot_id`` is new with each start; counts are since that start."""

    boot_id: str
    redis: RedisLink
    limits: Mapping[str, LimitVersion]
    admitted: Mapping[str, int]
    write_behind: WriteBehind
    latency: Histogram


NodeView: TypeAlias = NodeStatus | Unreadable


@dataclass(frozen=True, slots=True)
class Tally:
    """What Redis holds of one boot of a node: admissions per limit, or the error that reading it gave."""

    boot_id: str
    counts: Mapping[str, int] | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Counter:
    """One key's counter of a limit: entries in the window, and when Redis will drop it (None: never)."""

    limit: str
    key: str
    count: int
    ttl_ms: int | None


@dataclass(frozen=True, slots=True)
class SharedState:
    """What stands in Redis, as the node ``read_from`` read it in one go.

    ``tallies`` are by node. ``counters`` are the fullest of each limit, a bounded number.
    """

    read_from: str
    limits: Mapping[str, LimitVersion]
    tallies: Mapping[str, Tally]
    counters: tuple[Counter, ...]


@dataclass(frozen=True, slots=True)
class RateLimiterSnapshot:
    """One look: every configured node, and what they share."""

    nodes: Mapping[str, NodeView]
    shared: SharedState | Unreadable
