"""What can never work is said at once, with how to mend it; what may yet work is waited for."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.slack.errors import SlackConfigError
from tests.bot.slack.stage import Stage, down
from tests.waiting import until


async def refused(stage: Stage, **settings: object) -> str:
    stage.settings = stage.settings.model_copy(update=settings)
    with pytest.raises(SlackConfigError) as error:
        await stage.new_view().run()
    return str(error.value)


async def test_a_wrong_token(stage: Stage) -> None:
    words = await refused(stage, bot_token=SecretStr("xoxb-wrong"))
    assert "auth.test (invalid_auth): the token is wrong; copy it anew" in words


async def test_tokens_in_each_others_place(stage: Stage) -> None:
    identity = stage.server.slack.workspace.identity
    words = await refused(stage, app_token=SecretStr(identity.bot_token))
    assert "apps.connections.open (not_allowed_token_type)" in words
    assert "SLACK_APP_TOKEN the app's (xapp-…)" in words


async def test_a_wrong_app_token(stage: Stage) -> None:
    assert "apps.connections.open (invalid_auth)" in await refused(stage, app_token=SecretStr("xapp-wrong"))


async def test_scopes_that_are_missing_are_all_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    left = stage.server.slack.manifest.scopes - {"chat:write", "users:read"}
    monkeypatch.setattr(type(stage.server.slack.manifest), "scopes", left)
    words = await refused(stage)
    assert words.startswith("the app lacks the scopes chat:write, users:read; add them at api.slack.com/apps")


async def test_without_a_list_of_scopes_it_goes_on_and_finds_out(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    original = web.json_response

    def without(*args: Any, **kwargs: Any) -> web.Response:
        response = original(*args, **kwargs)
        response.headers.popall("x-oauth-scopes", None)
        return response

    monkeypatch.setattr(web, "json_response", without)
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        assert len(stage.roots()) == 1
        monkeypatch.setattr(
            type(stage.server.slack.manifest), "scopes", stage.server.slack.manifest.scopes - {"chat:write"}
        )
        await stage.resolve()
        await until(lambda: "add the scope chat:write to the app" in stage.view.health().why, "health says so")


async def test_a_channel_that_is_not_there(stage: Stage) -> None:
    assert "there is no channel #nowhere that the app can see" in await refused(stage, channel="#nowhere")
    assert "channel_not_found" in await refused(stage, channel="C0NOWHERE")


async def test_a_channel_by_its_id(stage: Stage) -> None:
    stage.settings = stage.settings.model_copy(update={"channel": stage.channel})
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
    assert len(stage.roots()) == 1
