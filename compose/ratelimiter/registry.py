"""A node's entry in the list of nodes that all of them share."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from compose.ratelimiter import keys
from compose.ratelimiter.accounting import TALLY_TTL_S
from compose.ratelimiter.errors import RedisLinkError
from compose.ratelimiter.redis_link import script_text

if TYPE_CHECKING:
    from compose.ratelimiter.config import Timings
    from compose.ratelimiter.identity import Identity
    from compose.ratelimiter.redis_link import RedisLink

HEARTBEAT = script_text("heartbeat.lua")

log = logging.getLogger("ratelimiter.registry")


class Registry:
    """Writes the heartbeat. An entry is never taken away: its age says that a node is gone."""

    def __init__(self, redis: RedisLink, identity: Identity, timings: Timings) -> None:
        self._redis = redis
        self._identity = identity
        self._timings = timings
        self._missing = False

    async def run(self) -> None:
        """Write a heartbeat every `heartbeat_s`, and say once when it fails and once when it works again."""
        while True:
            try:
                await self.beat()
            except RedisLinkError as error:
                if not self._missing:
                    log.warning("heartbeat fails: %s", error)
                self._missing = True
            else:
                if self._missing:
                    log.info("heartbeat works again")
                self._missing = False
            await asyncio.sleep(self._timings.heartbeat_s)

    async def beat(self) -> None:
        """Write one heartbeat.

        Raises:
            RedisLinkError: Redis gave no usable answer.
        """
        me = self._identity
        await self._redis.run_script(
            HEARTBEAT,
            [keys.NODES, keys.tally(me.name, me.boot_id)],
            [me.name, me.address, me.pid, me.boot_id, TALLY_TTL_S],
        )
