"""One node of the rate limiter: `python -m compose.ratelimiter.node --config FILE`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from compose.ratelimiter.accounting import Accounting
from compose.ratelimiter.api import Api
from compose.ratelimiter.clock import system_clock
from compose.ratelimiter.config import NodeConfig, load_config
from compose.ratelimiter.errors import RedisLinkError
from compose.ratelimiter.http_json import build_app
from compose.ratelimiter.identity import new_boot
from compose.ratelimiter.limiter import Limiter
from compose.ratelimiter.limits import LimitTable
from compose.ratelimiter.management import Management
from compose.ratelimiter.metrics import Metrics
from compose.ratelimiter.parts import Parts
from compose.ratelimiter.redis_link import RedisLink
from compose.ratelimiter.registry import Registry
from compose.ratelimiter.service import run_program, served
from compose.ratelimiter.subscription import Subscription
from compose.ratelimiter.writes import WriteLog, read_token

if TYPE_CHECKING:
    from compose.ratelimiter.clock import Clock

# Between two attempts to load the limits at a start without Redis.
LOAD_AGAIN_S = 0.5
# At the end a last flush may take so long.
LAST_FLUSH_S = 1.0

log = logging.getLogger("ratelimiter.node")


def build(config: NodeConfig, clock: Clock) -> Parts:
    """Put a node together; nothing runs and no connection is made yet.

    Raises:
        ConfigError: The token can't be read.
    """
    identity = new_boot(config.name, f"http://{config.host}:{config.port}")
    redis = RedisLink(config.redis_url, name=config.name, timings=config.timings, clock=clock)
    table = LimitTable()
    accounting = Accounting(redis, identity, config.timings, clock)
    return Parts(
        identity=identity,
        clock=clock,
        started=clock.monotonic(),
        token=read_token(Path(config.token_file)),
        redis=redis,
        table=table,
        subscription=Subscription(
            redis, name=f"{config.name}:subscription", timings=config.timings, receive=table.follow
        ),
        limiter=Limiter(redis, identity.boot_id),
        accounting=accounting,
        metrics=Metrics(redis, accounting, table),
        writes=WriteLog(Path(config.writes_file), identity, clock),
    )


async def load_limits(parts: Parts, config: NodeConfig) -> None:
    """Load the limits once, as soon as Redis answers and the subscription stands.

    In this order nothing is missed: what changes after the subscription stands is heard, and what changed
    before it is read.
    """
    while True:
        await parts.subscription.wait_established()
        try:
            await parts.table.load(parts.redis, config.limits)
        except RedisLinkError as error:
            log.warning("limits not loaded, again in %g s: %s", LOAD_AGAIN_S, error)
            await asyncio.sleep(LOAD_AGAIN_S)
        else:
            return


async def run(path: Path) -> None:
    """Serve until cancelled, then flush what is admitted and not yet tallied.

    Raises:
        ConfigError: The configuration is wrong, or its address is taken.
    """
    config = load_config(path, NodeConfig)
    parts = build(config, system_clock())
    app = build_app([*Api(parts).routes(), *Management(parts, config, path).routes()])
    log.info("starting node=%s boot_id=%s", parts.identity.name, parts.identity.boot_id)
    try:
        async with served(app, config.host, config.port), asyncio.TaskGroup() as group:
            log.info("listening on %s", parts.identity.address)
            group.create_task(parts.redis.run())
            group.create_task(parts.subscription.run())
            group.create_task(load_limits(parts, config))
            group.create_task(Registry(parts.redis, parts.identity, config.timings).run())
            group.create_task(parts.accounting.run())
    finally:
        try:
            async with asyncio.timeout(LAST_FLUSH_S):
                await parts.accounting.flush()
        except TimeoutError:
            log.warning("the last flush took too long; %d units are lost", parts.accounting.backlog().pending)
        await parts.redis.close()


if __name__ == "__main__":
    raise SystemExit(run_program(__doc__, run))
