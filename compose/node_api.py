"""The rate limiter's HTTP API as a person with its token uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ValidationError

from compose.errors import ConflictError
from compose.ratelimiter.views import (
    BatchStatusView,
    CheckView,
    ConfigView,
    LimitsView,
    NamedLimitView,
    ResetView,
    StatusView,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 3.0

Shape = TypeVar("Shape", bound=BaseModel)


class NodeApi:
    """One node.

    Args:
        session: The HTTP client.
        url: The node's address.
        token: What writes carry.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def healthy(self) -> bool:
        """Whether the process serves."""
        try:
            async with self._session.get(f"{self._url}/healthz", timeout=_timeout(1.0)) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def status(self) -> StatusView:
        """What the node knows by itself.

        Raises:
            ConflictError: It does not answer.
        """
        return await self._call("GET", "/v1/status", StatusView)

    async def batch_status(self) -> BatchStatusView:
        """What the batch client does, where this is the batch client's address.

        Raises:
            ConflictError: It does not answer.
        """
        return await self._call("GET", "/v1/status", BatchStatusView)

    async def limits(self) -> LimitsView:
        """The limits that stand in Redis.

        Raises:
            ConflictError: It does not answer, or has no Redis.
        """
        return await self._call("GET", "/v1/limits", LimitsView)

    async def check(self, limit: str, key: str) -> CheckView:
        """Ask for one unit.

        Raises:
            ConflictError: It does not answer, or has no Redis.
        """
        return await self._call("POST", "/v1/check", CheckView, {"limit": limit, "key": key})

    async def update_limit(self, name: str, limit: int) -> NamedLimitView:
        """Change a limit everywhere.

        Raises:
            ConflictError: It was not done.
        """
        return await self._call("PUT", f"/v1/limits/{name}", NamedLimitView, {"limit": limit})

    async def publish_limit(self, name: str) -> NamedLimitView:
        """Publish a limit again.

        Raises:
            ConflictError: It was not done.
        """
        return await self._call("POST", f"/v1/limits/{name}/publish", NamedLimitView)

    async def reset_counter(self, limit: str, key: str) -> ResetView:
        """Delete a counter.

        Raises:
            ConflictError: It was not done.
        """
        return await self._call("DELETE", f"/v1/counters/{limit}/{quote(key, safe='')}", ResetView)

    async def set_redis_url(self, url: str) -> ConfigView:
        """Make the node use another Redis.

        Raises:
            ConflictError: It was not done.
        """
        return await self._call("PATCH", "/v1/config", ConfigView, {"redis_url": url})

    async def _call(
        self, method: str, path: str, shape: type[Shape], body: Mapping[str, str | int] | None = None
    ) -> Shape:
        url = f"{self._url}{path}"
        try:
            async with self._session.request(
                method, url, json=body, headers=self._headers, timeout=_timeout(TIMEOUT_S)
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConflictError(f"{method} {url}: {str(error) or type(error).__name__}") from error
        if response.status != 200:
            raise ConflictError(f"{method} {url} was answered {response.status}: {text[:300]}")
        try:
            return shape.model_validate_json(text)
        except ValidationError as error:
            raise ConflictError(f"{method} {url} was answered something else: {text[:300]}") from error


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds)
