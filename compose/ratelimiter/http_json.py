"""JSON over HTTP, strictly: bodies, queries and errors in one shape."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from compose.ratelimiter.errors import RedisLinkError, RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BODY_BOUND = 65_536

Shape = TypeVar("Shape", bound=BaseModel)

log = logging.getLogger("ratelimiter.http")


def answer(view: BaseModel, *, headers: dict[str, str] | None = None) -> web.Response:
    """A 200 with a view as JSON."""
    return web.Response(text=view.model_dump_json(), content_type="application/json", headers=headers)


def error_answer(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """`{"error": {"code", "message"}}`."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for name, value in pairs:
        if name in seen:
            raise ValueError(f"the field {name!r} is given twice")
        seen[name] = value
    return seen


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


async def parse_body(request: web.Request, shape: type[Shape]) -> Shape:
    """The request's JSON body in its shape.

    Raises:
        RequestError: 400 naming the field, 413 or 415.
    """
    if request.content_type != "application/json":
        raise RequestError(415, "unsupported_media_type", "send the body as Content-Type: application/json")
    try:
        raw = (await request.read()).decode("utf-8")
        body: object = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestError(413, "body_too_large", f"the body may have {BODY_BOUND} bytes") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(400, "invalid_json", f"the body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise RequestError(400, "invalid_request", "the body must be a JSON object")
    return validated(shape, body)


def validated(shape: type[Shape], fields: object) -> Shape:
    """Fields in their shape.

    Raises:
        RequestError: 400 naming the first wrong field.
    """
    try:
        return shape.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        message = first["msg"].removeprefix("Value error, ")
        raise RequestError(400, "invalid_request", f"{field}: {message}") from error


def parse_query(request: web.Request, shape: type[Shape]) -> Shape:
    """The request's query in its shape; a parameter that is given twice is refused.

    Raises:
        RequestError: 400 naming the parameter.
    """
    for name in request.query:
        if len(request.query.getall(name)) > 1:
            raise RequestError(400, "invalid_request", f"{name}: given twice")
    return validated(shape, dict(request.query))


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give every error its one shape, those of aiohttp included."""
    try:
        return await handler(request)
    except RequestError as error:
        return error_answer(error.status, error.code, error.message, error.headers)
    except RedisLinkError as error:
        return error_answer(503, "redis_unavailable", f"Redis gave no usable answer: {error}")
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_answer(
            error.status,
            status.name.lower(),
            f"{request.method} {request.path}: {status.phrase.lower()}",
            headers,
        )
    except Exception:
        log.exception("unexpected error in %s %s", request.method, request.path)
        return error_answer(500, "internal_error", "an unexpected error; the node's log has the trace")


def build_app(routes: list[web.RouteDef]) -> web.Application:
    """The application that serves these routes."""
    app = web.Application(middlewares=[errors_as_json], client_max_size=BODY_BOUND)
    app.add_routes(routes)
    return app
