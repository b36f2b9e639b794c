"""`/world/...`: the demo's world through the page's own origin, so that the page never holds the world's token."""

import asyncio
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)


class _WorldFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    control_url: str
    world_token_file: Path


class WorldProxy:
    """Passes a few fixed requests on; the file is read at each, because the world comes and goes."""

    def __init__(self, world_file: Path | None) -> None:
        self._world_file = world_file
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to serve."""
        name = r"{name:[\w.-]+}"
        return [
            web.get("/world/{path:state|faults}", self._forward),
            web.post("/world/{path:(?:faults|cures)}/" + name, self._forward),
            web.post("/world/{path:nodes}/" + name + "/{order:start|stop|restart|pause|resume}", self._forward),
        ]

    async def close(self) -> None:
        """Close the client's connections."""
        if self._session is not None:
            await self._session.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if self._world_file is None:
            return _absent("This local Slack was started without a world.")
        try:
            world, token = await asyncio.to_thread(_read, self._world_file)
        except (OSError, ValidationError):
            return _absent("The demo's world is not running.")
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        path = "/".join(part for part in request.match_info.values() if part)
        try:
            async with self._session.request(
                request.method,
                f"{world.control_url.rstrip('/')}/{path}",
                headers={"Authorization": f"Bearer {token}"},
            ) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")
        except (aiohttp.ClientError, TimeoutError):
            return _absent("The demo's world does not answer.")


def _read(path: Path) -> tuple[_WorldFile, str]:
    world = _WorldFile.model_validate_json(path.read_bytes())
    token_file = path.parent / world.world_token_file
    return world, token_file.read_text(encoding="utf-8").strip()


def _absent(message: str) -> web.Response:
    return web.json_response({"error": {"code": "no_world", "message": message}}, status=503)
