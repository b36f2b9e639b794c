"""What can never work is said at once, with how to mend it; what may yet work is waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr

from bot.slack.errors import SlackConfigError
from tests.bot.slack.stage import Stage, down


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


async def test_a_missing_scope(stage: Stage) -> None:
    slack = stage.server.slack
    bot = slack.manifest.oauth_config.scopes.model_copy(
        update={"bot": [one for one in slack.manifest.oauth_config.scopes.bot if one != "chat:write"]}
    )
    config = slack.manifest.oauth_config.model_copy(update={"scopes": bot})
    stage.server.slack = replace(slack, manifest=slack.manifest.model_copy(update={"oauth_config": config}))
    stage.fault(method="auth.test", kind="error", error="missing_scope")
    words = await refused(stage)
    assert "missing_scope" in words


async def test_a_channel_that_is_not_there(stage: Stage) -> None:
    assert "there is no channel #nowhere that the app can see" in await refused(stage, channel="#nowhere")
    assert "channel_not_found" in await refused(stage, channel="C0NOWHERE")


async def test_a_channel_by_its_id(stage: Stage) -> None:
    stage.settings = stage.settings.model_copy(update={"channel": stage.channel})
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
    assert len(stage.roots()) == 1
