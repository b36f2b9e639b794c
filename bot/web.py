"""Health and metrics over HTTP: for a supervisor, a load balancer, Prometheus. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from bot.config_sources import ConfigError
from bot.metrics import Metrics
from bot.settings import WebSettings
from bot.vitals import Vitals


def application(vitals: Vitals, metrics: Metrics) -> web.Application:
    """The routes.

    ``/healthz``: 200 while the checks are being made, 503 with the overdue subjects otherwise. ``/readyz``: 200 while
    everything works, else 503; ``{"ready", "problems"}``. ``/metrics``: for Prometheus.
    """
    expose = make_aiohttp_handler(metrics.registry)

    async def healthz(_request: web.Request) -> web.Response:
        late = vitals.loop.late()
        if late:
            return web.Response(status=503, text=f"overdue: {', '.join(late)}\n")
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        problems = vitals.problems()
        return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    async def scrape(request: web.Request) -> web.StreamResponse:
        await metrics.refresh()
        return await expose(request)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", scrape)
    return app


@asynccontextmanager
async def serving(settings: WebSettings, app: web.Application) -> AsyncIterator[str]:
    """Serve while inside; gives the address. Raises ``ConfigError`` where it can't listen there."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"web.port: can't listen on {settings.host}:{settings.port} ({error.strerror or error}); "
                "set another port, or 0 for any free one"
            ) from error
        host, port, *_ = runner.addresses[0]
        yield f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"
    finally:
        await runner.cleanup()
