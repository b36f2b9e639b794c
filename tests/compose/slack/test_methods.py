"""Every method through slack_sdk: its shape, against Slack's own samples, and its errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from compose.slack.catalog import load_catalog
from compose.slack.manifest import Manifest, load_manifest
from compose.slack.methods import METHODS
from tests.compose.slack.harness import Local, actions, button, local_slack, options, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slack_sdk.web.async_slack_response import AsyncSlackResponse

    from compose.slack.records import Json, JsonObject

GOLDEN: dict[str, list[str]] = json.loads((Path(__file__).parent / "golden_keys.json").read_text())
SECTION: JsonObject = {"type": "section", "text": {"type": "mrkdwn", "text": "*hi*"}}
# Newer than the samples, or the content of a message rather than its envelope.
BEYOND_THE_SAMPLES = (
    "bot_profile.icons",
    "bot_profile.user_id",
    "blocks",
    "attachments",
    "metadata",
    "team.is_verified",
    "bot.",
    "auto_type",
    "pin_count",
)


def keys_of(value: Json, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            path = f"{prefix}.{name}" if prefix else name
            yield path
            yield from keys_of(part, path)
    elif isinstance(value, list):
        for part in value:
            yield from keys_of(part, f"{prefix}[]")


def matches_the_sample(method: str, answer: AsyncSlackResponse) -> bool:
    data = answer.data
    assert isinstance(data, dict)
    unknown = {
        key
        for key in keys_of(data)
        if key not in GOLDEN[method]
        and key not in {"ok", "response_metadata", "response_metadata.next_cursor", "response_metadata.warnings"}
        and not any(part in key for part in BEYOND_THE_SAMPLES)
    }
    assert not unknown, f"{method} answers keys that Slack does not: {sorted(unknown)}"
    return True


def test_every_method_is_in_the_catalogue() -> None:
    assert METHODS.keys() <= load_catalog().methods.keys()


async def test_who_am_i(local: Local) -> None:
    answer = await local.client.auth_test()

    assert matches_the_sample("auth.test", answer)
    assert answer["user_id"] == local.bot
    assert answer["bot_id"].startswith("B")
    assert answer.headers["x-oauth-scopes"].startswith("app_mentions:read")
    assert (await local.client.api_test(foo="bar"))["args"] == {"foo": "bar"}
    assert await refused(local.client.api_test(error="my_error")) == "my_error"


async def test_tokens_and_scopes(local: Local) -> None:
    identity = local.server.slack.workspace.identity

    def client(token: str | None) -> AsyncWebClient:
        return AsyncWebClient(token=token, base_url=local.client.base_url, session=local.http)

    assert await refused(client(None).auth_test()) == "not_authed"
    assert await refused(client("xoxb-wrong").auth_test()) == "invalid_auth"
    assert await refused(client(identity.app_token).auth_test()) == "not_allowed_token_type"
    wrong = client(identity.bot_token).apps_connections_open(app_token=identity.bot_token)
    assert await refused(wrong) == "not_allowed_token_type"
    assert await refused(local.client.api_call("chat.nonsense")) == "unknown_method"
    assert await refused(local.client.chat_startStream(channel="C", thread_ts="1")) == "unknown_method"


async def test_a_scope_that_the_manifest_lacks_is_missed(tmp_path: Path) -> None:
    shipped = load_manifest().model_dump()
    shipped["oauth_config"]["scopes"]["bot"] = ("channels:read",)
    async with local_slack(replace(options(tmp_path), manifest=Manifest.model_validate(shipped))) as local:
        async with local.http.post(
            f"{local.server.url}api/chat.postMessage",
            data={"token": local.client.token, "channel": local.incidents, "text": "x"},
        ) as answer:
            body = await answer.json()
        assert (body["error"], body["needed"], body["provided"]) == ("missing_scope", "chat:write", "channels:read")
        await local.client.conversations_info(channel=local.incidents)


async def test_post_and_read_back(local: Local) -> None:
    blocks = [SECTION, *actions(button(""))]
    answer = await local.client.chat_postMessage(
        channel="#incidents",
        text="a & b <not a link> https://example.com",
        blocks=blocks,
        metadata={"event_type": "operator", "event_payload": {"nonce": "n-1"}},
    )

    assert matches_the_sample("chat.postMessage", answer)
    message = answer["message"]
    assert message["text"] == "a &amp; b &lt;not a link&gt; <https://example.com>"
    assert message["bot_id"] == local.server.slack.workspace.identity.bot_id
    assert all(one["block_id"] for one in message["blocks"])
    assert message["blocks"][1]["elements"][0]["action_id"]
    history = await local.client.conversations_history(channel=local.incidents, include_all_metadata=True)
    assert matches_the_sample("conversations.history", history)
    assert history["messages"][0]["metadata"]["event_payload"] == {"nonce": "n-1"}
    bare = await local.client.conversations_history(channel=local.incidents)
    assert "metadata" not in bare["messages"][0]


async def test_what_may_not_be_posted(local: Local) -> None:
    post, channel = local.client.chat_postMessage, local.incidents

    assert await refused(post(channel="C0NOTHERE00", text="x")) == "channel_not_found"
    assert await refused(post(channel=local.channel("general"), text="x")) == "not_in_channel"
    assert await refused(local.client.api_call("chat.postMessage", json={"channel": channel})) == "no_text"
    assert await refused(post(channel=channel, text="x", attachments=[{}] * 101)) == "too_many_attachments"
    assert await refused(post(channel=channel, text="x", markdown_text="y")) == "markdown_text_conflict"
    large = {"event_type": "t", "event_payload": {"x": "y" * 9000}}
    assert await refused(post(channel=channel, text="x", metadata=large)) == "metadata_too_large"
    assert await refused(post(channel=channel, text="x", metadata={"a": 1})) == "invalid_metadata_schema"
    assert await refused(post(channel=channel, text="x", blocks="nonsense")) == "invalid_blocks_format"
    long = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2500}}] * 5
    assert await refused(post(channel=channel, text="x", blocks=long)) == "msg_blocks_too_long"
    workspace = local.server.slack.workspace
    workspace.put_channel(replace(workspace.channels[channel], is_archived=True))
    assert await refused(post(channel=channel, text="x")) == "is_archived"


async def test_invalid_blocks_say_where(local: Local) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    answer = await local.client._request(
        http_verb="POST",
        api_url=f"{local.client.base_url}chat.postMessage",
        req_args={
            "json": {"channel": local.incidents, "text": "x", "blocks": blocks},
            "headers": {"Authorization": f"Bearer {local.client.token}"},
        },
    )

    problem = "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    assert answer["data"]["error"] == "invalid_blocks"
    assert problem in answer["data"]["errors"]
    assert f"[ERROR] {problem}" in answer["data"]["response_metadata"]["messages"]


async def test_a_text_beyond_forty_thousand_is_cut_with_a_warning(local: Local) -> None:
    answer = await local.client.chat_postMessage(channel=local.incidents, text="x" * 40_001)

    assert len(answer["message"]["text"]) == 40_000
    assert answer["warning"] == "message_truncated"


async def test_missing_arguments_are_named(local: Local) -> None:
    async with local.http.post(
        f"{local.server.url}api/chat.update", data={"token": local.client.token, "text": "x"}
    ) as answer:
        body = await answer.json()
    assert (answer.status, body["error"]) == (200, "invalid_arguments")
    assert body["response_metadata"]["messages"] == [
        "[ERROR] missing required field: ts",
        "[ERROR] missing required field: channel",
    ]


async def test_update_replaces_what_is_given_and_keeps_the_rest(local: Local) -> None:
    update = local.client.chat_update
    channel = local.incidents
    ts = await local.post("first", blocks=[SECTION])

    answer = await update(channel=channel, ts=ts, blocks=[{"type": "divider"}], text="second")
    assert matches_the_sample("chat.update", answer)
    assert answer["message"]["edited"]["user"] == local.bot
    assert [one["type"] for one in answer["message"]["blocks"]] == ["divider"]
    text_only = await update(channel=channel, ts=ts, text="third")
    assert "blocks" not in text_only["message"]
    assert (await local.client.conversations_history(channel=channel))["messages"][0]["text"] == "third"

    assert await refused(update(channel=channel, ts="1.000000", text="x")) == "message_not_found"
    assert await refused(update(channel=channel, ts=ts, text="x" * 4001)) == "msg_too_long"
    theirs = str((await local.act("ana", "message", text="mine"))["ts"])
    assert await refused(update(channel=channel, ts=theirs, text="x")) == "cant_update_message"
    assert await refused(local.client.chat_delete(channel=channel, ts=theirs)) == "cant_delete_message"


async def test_delete_and_what_becomes_of_the_thread(local: Local) -> None:
    channel = local.incidents
    parent = await local.post("parent")
    reply = await local.post("reply", thread_ts=parent)

    assert matches_the_sample("chat.delete", await local.client.chat_delete(channel=channel, ts=parent))
    kept = await local.client.conversations_replies(channel=channel, ts=parent)
    assert [one.get("subtype") for one in kept["messages"]] == ["tombstone", None]
    late = await local.client.chat_postMessage(channel=channel, text="late", thread_ts=parent, reply_broadcast=True)
    assert "thread_ts" not in late["message"]  # Slack un-threads it silently
    assert "subtype" not in late["message"]
    assert await refused(local.client.chat_delete(channel=channel, ts=parent)) == "message_not_found"

    await local.client.chat_delete(channel=channel, ts=reply)
    assert await refused(local.client.conversations_replies(channel=channel, ts=parent)) == "thread_not_found"
    under_reply = local.client.chat_postMessage(
        channel=channel, text="x", thread_ts=await local.post("a reply", thread_ts=await local.post("p"))
    )
    assert await refused(under_reply) == "cannot_reply_to_message"


async def test_a_broadcast_reply_stands_in_its_thread_and_in_the_channel(local: Local) -> None:
    parent, channel = await local.post("parent"), local.incidents
    answer = await local.client.chat_postMessage(channel=channel, text="again", thread_ts=parent, reply_broadcast=True)
    assert (answer["message"]["subtype"], answer["message"]["thread_ts"]) == ("thread_broadcast", parent)
    await local.post("only here", thread_ts=parent)
    seen = (await local.client.conversations_history(channel=channel))["messages"]
    assert [one["text"] for one in seen] == ["again", "parent"]
    thread = (await local.client.conversations_replies(channel=channel, ts=parent))["messages"]
    assert [one["text"] for one in thread] == ["parent", "again", "only here"]


async def test_history_pages_newest_first_and_replies_oldest_first(local: Local) -> None:
    channel = local.incidents
    tops = [await local.post(str(number)) for number in range(7)]
    replies = [await local.post(f"r{number}", thread_ts=tops[0]) for number in range(5)]

    seen: list[str] = []
    cursor = None
    while True:
        page = await local.client.conversations_history(channel=channel, limit=3, cursor=cursor)
        seen += [one["ts"] for one in page["messages"]]
        if not page["has_more"]:
            break
        cursor = page["response_metadata"]["next_cursor"]
    assert seen == tops[::-1]

    thread = await local.client.conversations_replies(channel=channel, ts=tops[0])
    assert matches_the_sample("conversations.replies", thread)
    assert [one["ts"] for one in thread["messages"]] == [tops[0], *replies]
    parent = thread["messages"][0]
    assert (parent["reply_count"], parent["latest_reply"], parent["reply_users"]) == (5, replies[-1], [local.bot])
    first = await local.client.conversations_replies(channel=channel, ts=tops[0], limit=3)
    following = first["response_metadata"]["next_cursor"]
    second = await local.client.conversations_replies(channel=channel, ts=tops[0], limit=9, cursor=following)
    assert [one["ts"] for one in second["messages"]] == [tops[0], *replies[2:]]
    alone = await local.client.conversations_replies(channel=channel, ts=replies[2])
    assert [one["ts"] for one in alone["messages"]] == [replies[2]]


async def test_history_between_two_times(local: Local) -> None:
    channel = local.incidents
    tops = [await local.post(str(number)) for number in range(4)]

    async def between(*, inclusive: bool) -> list[str]:
        found = await local.client.conversations_history(
            channel=channel, oldest=tops[1], latest=tops[3], inclusive=inclusive
        )
        return [one["ts"] for one in found["messages"]]

    assert await between(inclusive=False) == [tops[2]]
    assert await between(inclusive=True) == [tops[3], tops[2], tops[1]]
    history = local.client.conversations_history
    assert await refused(history(channel=channel, oldest="yesterday")) == "invalid_ts_oldest"
    assert await refused(history(channel=channel, latest="now")) == "invalid_ts_latest"
    assert await refused(history(channel=channel, cursor="made up")) == "invalid_cursor"
    assert await refused(history(channel=local.channel("general"))) == "not_in_channel"


async def test_channels(local: Local) -> None:
    client = local.client
    info = await client.conversations_info(channel=local.incidents, include_num_members=True)
    assert matches_the_sample("conversations.info", info)
    assert (info["channel"]["is_member"], info["channel"]["num_members"]) == (True, 5)
    listed = await client.conversations_list(limit=1)
    assert matches_the_sample("conversations.list", listed)
    rest = await client.conversations_list(limit=1, cursor=listed["response_metadata"]["next_cursor"])
    assert {one["channels"][0]["name"] for one in (listed, rest)} == {"incidents", "general"}
    members = await client.conversations_members(channel=local.incidents, limit=2)
    assert matches_the_sample("conversations.members", members)
    assert members["members"] == [local.user("ana"), local.user("ben")]
    assert await refused(client.conversations_list(types="nonsense")) == "invalid_types"
    assert await refused(client.conversations_list(cursor="nonsense")) == "invalid_cursor"
    assert await refused(client.conversations_info(channel="C0NOPE")) == "channel_not_found"

    joined = await client.conversations_join(channel=local.channel("general"))
    assert matches_the_sample("conversations.join", joined)
    assert joined["channel"]["is_member"]
    again = await client.conversations_join(channel=local.channel("general"))
    assert again["warning"] == "already_in_channel"


async def test_direct_messages(local: Local) -> None:
    ana = local.user("ana")
    opened = await local.client.conversations_open(users=ana)
    assert matches_the_sample("conversations.open", opened)
    again = await local.client.conversations_open(users=[ana], return_im=True)
    assert (again["channel"]["id"], again["already_open"]) == (opened["channel"]["id"], True)
    assert again["channel"]["user"] == ana
    direct = await local.client.chat_postMessage(channel=ana, text="psst")
    assert direct["channel"] == opened["channel"]["id"]
    nobody = local.client.api_call("conversations.open", json={"return_im": True})
    assert await refused(nobody) == "users_list_not_supplied"
    assert await refused(local.client.conversations_open(users="U0NOBODY")) == "user_not_found"
    wrong = local.client.conversations_join(channel=opened["channel"]["id"])
    assert await refused(wrong) == "method_not_supported_for_channel_type"


async def test_people_groups_team_and_bot(local: Local) -> None:
    client, workspace = local.client, local.server.slack.workspace
    ana = await client.users_info(user=local.user("ana"))
    assert matches_the_sample("users.info", ana)
    assert (ana["user"]["real_name"], ana["user"]["is_restricted"]) == ("Ana Ruiz", False)
    guest = await client.users_info(user=local.user("gus"))
    assert guest["user"]["is_restricted"] is True
    people = await client.users_list()
    assert matches_the_sample("users.list", people)
    assert [one["is_bot"] for one in people["members"]] == [False, False, False, False, True]
    groups = await client.usergroups_list(include_users=True, include_count=True)
    assert matches_the_sample("usergroups.list", groups)
    assert groups["usergroups"][0]["users"] == [local.user("ana")]
    primary = await client.usergroups_users_list(usergroup=local.group("oncall-secondary"))
    assert matches_the_sample("usergroups.users.list", primary)
    assert primary["users"] == [local.user("ben")]
    team = await client.team_info()
    assert matches_the_sample("team.info", team)
    assert team["team"]["id"] == workspace.identity.team_id
    bot = await client.bots_info(bot=workspace.identity.bot_id)
    assert matches_the_sample("bots.info", bot)
    assert bot["bot"]["user_id"] == local.bot
    assert await refused(client.users_info(user="U0NOBODY")) == "user_not_found"
    assert await refused(client.usergroups_users_list(usergroup="S0NOPE")) == "no_such_subteam"
    assert await refused(client.bots_info(bot="B0NOPE")) == "bot_not_found"


async def test_reactions(local: Local) -> None:
    ts = await local.post()
    where = {"channel": local.incidents, "timestamp": ts}
    assert matches_the_sample("reactions.add", await local.client.reactions_add(name="eyes", **where))
    history = await local.client.conversations_history(channel=local.incidents)
    assert history["messages"][0]["reactions"] == [{"name": "eyes", "users": [local.bot], "count": 1}]
    assert await refused(local.client.reactions_add(name="eyes", **where)) == "already_reacted"
    assert await refused(local.client.reactions_remove(name="fire", **where)) == "no_reaction"
    assert await refused(local.client.reactions_add(name="No Such", **where)) == "invalid_name"
    gone = local.client.reactions_add(name="eyes", channel=local.incidents, timestamp="1.000000")
    assert await refused(gone) == "message_not_found"
    assert matches_the_sample("reactions.remove", await local.client.reactions_remove(name="eyes", **where))
    assert "edited" not in (await local.client.conversations_history(channel=local.incidents))["messages"][0]


async def test_permalinks_lead_to_the_page(local: Local) -> None:
    parent = await local.post("parent")
    reply = await local.post("reply", thread_ts=parent)

    answer = await local.client.chat_getPermalink(channel=local.incidents, message_ts=reply)
    assert matches_the_sample("chat.getPermalink", answer)
    assert answer["permalink"].endswith(
        f"archives/{local.incidents}/p{reply.replace('.', '')}?thread_ts={parent}&cid={local.incidents}"
    )
    async with local.http.get(answer["permalink"], allow_redirects=False) as page:
        assert page.headers["Location"] == f"/#{local.incidents}/p{reply.replace('.', '')}"
    missing = local.client.chat_getPermalink(channel=local.incidents, message_ts="1.000000")
    assert await refused(missing) == "message_not_found"


async def test_ephemeral_messages_are_for_members_only_and_in_no_history(local: Local) -> None:
    post = local.client.chat_postEphemeral
    answer = await post(channel=local.incidents, user=local.user("ana"), text="just you")
    assert matches_the_sample("chat.postEphemeral", answer)
    assert local.ephemerals("ana") == ["just you"]
    assert (await local.client.conversations_history(channel=local.incidents))["messages"] == []
    outsider = post(channel=local.incidents, user="U0NOBODY", text="x")
    assert await refused(outsider) == "user_not_in_channel"


async def test_blocks_can_be_validated_without_posting(local: Local) -> None:
    ok = await local.client.api_call("blocks.validate", json={"blocks": [SECTION]})
    assert ok["ok"]
    async with local.http.post(
        f"{local.server.url}api/blocks.validate",
        json={"message": {"blocks": [{"type": "section"}]}},
        headers={"Authorization": f"Bearer {local.client.token}"},
    ) as answer:
        body = await answer.json()
    assert body["errors"][0]["pointer"] == "/message/blocks/0/type"
    assert local.texts() == []


@pytest.mark.parametrize("way", ["query", "form", "multipart", "json"])
async def test_arguments_and_token_may_come_in_any_way(local: Local, way: str) -> None:
    fields = {"channel": local.incidents, "text": way, "blocks": json.dumps([SECTION])}
    token = local.client.token or ""
    url = f"{local.server.url}api/chat.postMessage"
    bearer = {"Authorization": f"Bearer {token}"}
    match way:
        case "query":
            request = local.http.post(url, params=fields, headers=bearer)
        case "form":
            request = local.http.post(url, data=fields | {"token": token})
        case "multipart":
            form = aiohttp.FormData(fields | {"token": token}, default_to_multipart=True)
            request = local.http.post(url, data=form)
        case _:
            request = local.http.post(url, json=fields | {"blocks": [SECTION]}, headers=bearer)
    async with request as answer:
        body = await answer.json()
    assert body["ok"], body
    assert body["message"]["blocks"][0]["type"] == "section"


async def test_a_body_that_is_no_json(local: Local) -> None:
    for body, error in (("{", "invalid_json"), ("[]", "json_not_object")):
        async with local.http.post(
            f"{local.server.url}api/api.test", data=body, headers={"Content-Type": "application/json"}
        ) as answer:
            assert (answer.status, (await answer.json())["error"]) == (200, error)


async def test_ts_are_unique_and_grow_when_the_clock_stands_still(tmp_path: Path) -> None:
    stuck = replace(options(tmp_path), now=lambda: 1_795_000_000.0)
    async with local_slack(stuck) as local:
        first = [await local.post(str(number)) for number in range(5)]
    async with local_slack(stuck) as local:
        then = [await local.post(str(number)) for number in range(5)]
    assert first + then == sorted(set(first + then))
