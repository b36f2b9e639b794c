from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError

from compose.slack.catalog import load_catalog
from compose.slack.errors import RateLimitedError
from compose.slack.limits import MINUTE, PER_MINUTE, POST_BURST, Limiter
from tests.compose.slack.harness import Wall, local_slack, options

if TYPE_CHECKING:
    from pathlib import Path

UPDATE = load_catalog().methods["chat.update"]


def allowed(limiter: Limiter, who: str = "t") -> bool:
    try:
        limiter.check("chat.update", UPDATE, who)
    except RateLimitedError:
        return False
    return True


@given(st.lists(st.floats(0, 20), min_size=60, max_size=120))
def test_no_minute_admits_more_than_the_tier_and_retry_after_is_enough(gaps: list[float]) -> None:
    wall = Wall()
    limiter = Limiter(wall)
    admitted: list[float] = []
    waits: list[int] = []
    for gap in gaps:
        wall.seconds += gap / 10
        try:
            limiter.check("chat.update", UPDATE, "t")
        except RateLimitedError as error:
            waits.append(error.retry_after)
            wall.seconds += error.retry_after
            limiter.check("chat.update", UPDATE, "t")
        admitted.append(wall.seconds)
    assert all(1 <= wait <= MINUTE + 1 for wait in waits)
    for start in admitted:
        assert sum(start <= at < start + MINUTE for at in admitted) <= PER_MINUTE["t3"]


def test_tokens_and_methods_are_counted_apart_and_a_refusal_costs_nothing() -> None:
    limiter = Limiter(Wall())
    assert [allowed(limiter) for _ in range(60)] == [True] * 50 + [False] * 10
    assert allowed(limiter, "another")
    limiter.check("chat.delete", load_catalog().methods["chat.delete"], "t")


@given(st.lists(st.floats(0, 3), min_size=20, max_size=120))
def test_posts_in_a_channel_keep_to_one_a_second_after_a_burst(gaps: list[float]) -> None:
    wall = Wall()
    limiter = Limiter(wall)
    posted: list[float] = []
    for gap in gaps:
        wall.seconds += gap
        try:
            limiter.check_post("t", "C")
        except RateLimitedError as error:
            wall.seconds += error.retry_after
            limiter.check_post("t", "C")
        posted.append(wall.seconds)
    for index, start in enumerate(posted):
        for count, end in enumerate(posted[index:], start=1):
            assert count <= POST_BURST + (end - start) + 1e-6


async def test_over_the_wire_it_is_429_with_retry_after(tmp_path: Path) -> None:
    wall = Wall()
    async with local_slack(replace(options(tmp_path, limits=True), now=wall)) as local:
        for _ in range(POST_BURST):
            await local.post()
        with pytest.raises(SlackApiError) as sixth:
            await local.post()
        assert sixth.value.response.status_code == 429
        assert sixth.value.response["error"] == "ratelimited"
        wall.seconds += int(sixth.value.response.headers["Retry-After"])
        await local.post()
        await local.control("limits", {"enabled": False})
        for _ in range(POST_BURST * 2):
            await local.post()
