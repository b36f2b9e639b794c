"""HTTP reads that end: bounded in time and size, no redirect followed, JSON checked against a model."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from subjects.words import one_line

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_BYTES = 1024 * 1024
"""The largest answer that is read, bytes."""


class ReadFailedError(Exception):
    """One read failed; the words say why, in one short line."""


class Answer(BaseModel):
    """Base of what other services answer: types are strict, additional fields are none of our business."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


AnswerT = TypeVar("AnswerT", bound=Answer)


def new_http_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """A client that goes where it is told: no redirects, no proxies or credentials from the environment."""
    return httpx.AsyncClient(
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


async def get_json(
    http: httpx.AsyncClient, url: str, model: type[AnswerT], *, timeout_s: float, max_bytes: int = MAX_BYTES
) -> AnswerT:
    """GET a URL and read its JSON answer.

    ``timeout_s`` bounds the whole read, not just each of its steps. Raises ``ReadFailedError``.
    """
    try:
        async with asyncio.timeout(timeout_s):
            body = await _get(http, url, timeout_s, max_bytes)
    except (TimeoutError, httpx.TimeoutException):
        raise ReadFailedError(f"no answer within {timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ReadFailedError(_describe(error)) from error
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise ReadFailedError(_first_fault(error)) from None


async def _get(http: httpx.AsyncClient, url: str, timeout_s: float, max_bytes: int) -> bytes:
    async with http.stream("GET", url, timeout=timeout_s, follow_redirects=False) as response:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            # Unpacking could yield any size before it can be counted.
            raise ReadFailedError("answered compressed, which was not asked for")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > max_bytes:
                raise ReadFailedError(f"answered with more than {max_bytes} bytes")
    if response.status_code != HTTPStatus.OK:
        raise ReadFailedError(f"answered {response.status_code}{_reason(bytes(body))}")
    return bytes(body)


class _ErrorBody(Answer):
    message: str


class _ErrorAnswer(Answer):
    error: _ErrorBody


def _reason(body: bytes) -> str:
    """The message of the usual error shape, where an answer has it."""
    try:
        return f" ({one_line(_ErrorAnswer.model_validate_json(body).error.message)})"
    except ValidationError:
        return ""


def _describe(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, ConnectionResetError):
            return "connection reset"
        cause = cause.__cause__ or cause.__context__
    return one_line(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _first_fault(error: ValidationError) -> str:
    # The input is left out: it may be large, and it is someone else's.
    first: ErrorDetails = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "answered something that is not JSON"
    path = one_line(".".join(str(part) for part in first["loc"]))
    return f"answered JSON of another shape: {path}: {one_line(first['msg'])}"
