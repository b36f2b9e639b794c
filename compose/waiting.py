"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from compose.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float, what: str, every_s: float = 0.05) -> None:
    """Return as soon as the condition holds.

    Raises:
        ConflictError: It did not within `within_s` seconds; the text is `what` and that time.
    """
    try:
        async with asyncio.timeout(within_s):
            while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes
                await asyncio.sleep(every_s)
    except TimeoutError as error:
        raise ConflictError(f"{what} (waited {within_s:g} s)") from error
