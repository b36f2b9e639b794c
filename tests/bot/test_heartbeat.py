from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from bot import heartbeat
from bot.trouble import Trouble
from tests.clock import ManualClock
from tests.waiting import until

URL = "https://hc.invalid/ping/sesame?token=sesame"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    structlog.reset_defaults()
    monkeypatch.setattr(heartbeat, "LOOK_AGAIN_S", 0.01)


@asynccontextmanager
async def beating(
    answer: Callable[[httpx.Request], httpx.Response], problems: Callable[[], list[str]]
) -> AsyncIterator[Trouble]:
    trouble = Trouble("can't be called", "is called again", ManualClock())
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        task = asyncio.create_task(heartbeat.beat(URL, 0.01, problems, trouble, client))
        try:
            yield trouble
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_it_is_called_only_while_all_is_well() -> None:
    calls: list[str] = []
    problems: list[str] = ["dark"]

    def answer(request: httpx.Request) -> httpx.Response:
        assert problems == []
        calls.append(str(request.url))
        return httpx.Response(200)

    looked = 0

    def look() -> list[str]:
        nonlocal looked
        looked += 1
        return problems

    async with beating(answer, look):
        await until(lambda: looked > 3, "it looks")
        assert calls == []
        problems.clear()
        await until(lambda: len(calls) > 2, "it calls")
        problems.append("dark again")
        before, seen = len(calls), looked
        await until(lambda: looked > seen + 3, "it looks on")
        assert len(calls) == before
    assert set(calls) == {URL}


@pytest.mark.parametrize("failure", ["status", "refused"])
async def test_failures_are_said_once_without_the_url_until_it_works_again(failure: str) -> None:
    calls = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        if calls > 5:
            return httpx.Response(204)
        if failure == "refused":
            raise httpx.ConnectError(f"no way to {request.url}", request=request)
        return httpx.Response(404)

    with capture_logs() as lines:
        async with beating(answer, list) as trouble:
            await until(lambda: trouble.now is not None, "the failure is met")
            await until(lambda: calls > 6 and trouble.now is None, "it recovers")
    assert [line["event"] for line in lines] == ["can't be called", "is called again"]
    assert "sesame" not in str(lines)
