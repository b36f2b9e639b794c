"""Cursors: opaque to the caller, and refused when they were made up."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from compose.slack.errors import ApiError
from compose.slack.wire import Call

MAX_LIMIT: Final = 999
T = TypeVar("T")


def encode_cursor(kind: str, value: str) -> str:
    """Return an opaque cursor."""
    return base64.urlsafe_b64encode(f"{kind}:{value}".encode()).decode()


def decode_cursor(call: Call, kind: str) -> str | None:
    """Return what a cursor of this kind carries; raises ApiError("invalid_cursor")."""
    cursor = call.text("cursor")
    if cursor is None:
        return None
    try:
        decoded = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ApiError("invalid_cursor") from None
    found, _, value = decoded.partition(":")
    if found != kind or not value:
        raise ApiError("invalid_cursor")
    return value


def limit_of(call: Call, default: int, *, refuse: bool = False) -> int:
    """Return the page size: at most 999, as Slack says "under 1000"; `refuse` answers invalid_limit."""
    limit = call.integer("limit", default)
    if not 1 <= limit <= MAX_LIMIT + 1:
        if refuse:
            raise ApiError("invalid_limit")
        return default if limit < 1 else MAX_LIMIT
    return min(limit, MAX_LIMIT)


def page_after(items: Sequence[T], key: Callable[[T], str], after: str | None, limit: int) -> tuple[Sequence[T], str]:
    """Return a page of what follows `after`, and the key to go on from ("" at the end)."""
    start = 0
    if after is not None:
        keys = [key(one) for one in items]
        if after not in keys:
            raise ApiError("invalid_cursor")
        start = keys.index(after)
    page = items[start : start + limit]
    rest = items[start + limit :]
    return page, key(rest[0]) if rest else ""
