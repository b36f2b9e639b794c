"""What a running node is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compose.ratelimiter.accounting import Accounting
    from compose.ratelimiter.clock import Clock
    from compose.ratelimiter.identity import Identity
    from compose.ratelimiter.limiter import Limiter
    from compose.ratelimiter.limits import LimitTable
    from compose.ratelimiter.metrics import Metrics
    from compose.ratelimiter.redis_link import RedisLink
    from compose.ratelimiter.subscription import Subscription
    from compose.ratelimiter.writes import WriteLog


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a node that its API reads and writes through.

    Attributes:
        started: The monotonic clock's reading at the node's start, in seconds.
        token: What management writes must carry.
    """

    identity: Identity
    clock: Clock
    started: float
    token: str
    redis: RedisLink
    table: LimitTable
    subscription: Subscription
    limiter: Limiter
    accounting: Accounting
    metrics: Metrics
    writes: WriteLog
