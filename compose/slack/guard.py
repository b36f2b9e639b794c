"""Who may talk to a server on loopback: the right Host, and for writes from a browser the right Origin."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(port: Callable[[], int]) -> Middleware:
    """Return a middleware that refuses foreign hosts (DNS rebinding) and foreign origins (cross-site requests)."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = {f"127.0.0.1:{port()}", f"localhost:{port()}"}
        if request.headers.get("Host") not in hosts:
            raise web.HTTPForbidden(text="Wrong Host header: open the address that the local Slack printed.")
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            raise web.HTTPForbidden(text="Requests from other sites are refused.")
        if request.method not in {"GET", "HEAD"} and request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise web.HTTPForbidden(text="Requests from other sites are refused.")
        return await handler(request)

    return check


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Put the page's security headers on every answer (an aiohttp on_response_prepare signal)."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
