"""Someone else's dead man's switch: a URL that is called as long as all is well, and not otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import httpx

from bot.trouble import Trouble

TIMEOUT_S: Final = 10.0
LOOK_AGAIN_S: Final = 1.0


async def beat(
    url: str, every_s: float, problems: Callable[[], Sequence[str]], trouble: Trouble, client: httpx.AsyncClient
) -> None:
    """Call ``url`` every ``every_s`` seconds while there are no ``problems``, until cancelled.

    The URL itself is a secret of sorts and never shown.
    """
    while True:
        if problems():
            await asyncio.sleep(min(LOOK_AGAIN_S, every_s))
            continue
        try:
            answer = await client.get(url, timeout=TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            trouble.met(f"{type(error).__name__}: {str(error).replace(url, 'the URL')}")
        else:
            if answer.is_success:
                trouble.over()
            else:
                trouble.met(f"it answered with status {answer.status_code}")
        await asyncio.sleep(every_s)
