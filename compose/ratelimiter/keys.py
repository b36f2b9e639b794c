"""The names of what the rate limiter keeps in Redis. All of them start with `rl:`.

| Key | Type | What |
| --- | --- | --- |
| `rl:limits` | hash | limit name → JSON {limit, window_ms, version}; also the name of the channel |
| `rl:nodes` | hash | node name → JSON {address, pid, boot_id, at_ms}, written at every heartbeat |
| `rl:counter:<limit>:<key>` | zset | one member per admitted unit, its score the time in µs |
| `rl:active:<limit>` | zset | the keys of that limit which have a counter, by last sight in µs |
| `rl:tally:<node>:<boot id>` | hash | limit name → units admitted by that boot; `#batch` the last batch |
"""

from __future__ import annotations

LIMITS = "rl:limits"
NODES = "rl:nodes"
COUNTER_PREFIX = "rl:counter:"
ACTIVE_PREFIX = "rl:active:"
TALLY_PREFIX = "rl:tally:"
# A limit's name can't hold a "#", so this field of a tally never meets one.
TALLY_BATCH = "#batch"


def counter(limit: str, key: str) -> str:
    """The sorted set with the admissions of one key under one limit."""
    return f"{COUNTER_PREFIX}{limit}:{key}"


def active(limit: str) -> str:
    """The index of one limit's counters."""
    return f"{ACTIVE_PREFIX}{limit}"


def tally(node: str, boot_id: str) -> str:
    """The admitted totals of one boot of one node."""
    return f"{TALLY_PREFIX}{node}:{boot_id}"
