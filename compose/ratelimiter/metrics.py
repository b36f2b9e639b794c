"""The node's Prometheus metrics, and the latency numbers that its status shows from the same histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from compose.ratelimiter.views import LatencyView

if TYPE_CHECKING:
    from compose.ratelimiter.accounting import Accounting
    from compose.ratelimiter.limits import LimitTable
    from compose.ratelimiter.redis_link import RedisLink

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5)

Outcome = Literal["allowed", "denied", "error"]


class Metrics:
    """What Prometheus reads from this node."""

    def __init__(self, redis: RedisLink, accounting: Accounting, table: LimitTable) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._table = table
        self._seconds = Histogram(
            "ratelimiter_check_seconds",
            "How long checks took that were asked of Redis.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._checks = Counter("ratelimiter_checks", "Checks by outcome.", ["limit", "outcome"], registry=self.registry)
        Gauge(
            "ratelimiter_redis_connected",
            "1 if the last ping of Redis was answered in time.",
            registry=self.registry,
        ).set_function(lambda: float(redis.connected))
        Gauge(
            "ratelimiter_write_behind_pending",
            "Admitted units that are not in the tally yet.",
            registry=self.registry,
        ).set_function(lambda: float(accounting.backlog().pending))
        self._version = Gauge(
            "ratelimiter_limit_version",
            "Version of the limit in force in this node.",
            ["limit"],
            registry=self.registry,
        )
        self._limit = Gauge("ratelimiter_limit", "Limit in force in this node.", ["limit"], registry=self.registry)

    def count(self, limit: str, outcome: Outcome, seconds: float) -> None:
        """Note one check that was asked of Redis."""
        self._checks.labels(limit, outcome).inc()
        self._seconds.observe(seconds)

    def latency(self) -> LatencyView:
        """The histogram's cumulative counts."""
        samples = [
            sample for metric in self._seconds.collect() for sample in metric.samples if sample.name.endswith("_bucket")
        ]
        return LatencyView(le=[*BUCKETS_S, "+Inf"], counts=[int(sample.value) for sample in samples])

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        for name, limit in self._table.all().items():
            self._version.labels(name).set(limit.version)
            self._limit.labels(name).set(limit.limit)
        return generate_latest(self.registry)
