"""The page in Debian's Chromium: what a person on call sees and does."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from playwright.async_api import async_playwright, expect

from tests.compose.slack.harness import Inbox, Local, actions, button, local_slack, options
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Page
    from slack_bolt.context.ack.async_ack import AsyncAck

    from compose.slack.records import JsonObject

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 15_000  # ms, for a busy machine

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
expect.set_options(timeout=PATIENCE)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield chromium
        finally:
            await chromium.close()


@asynccontextmanager
async def seen(browser: Browser, url: str, *, width: int = 1280) -> AsyncIterator[Page]:
    """Open the page; any error or warning in its console fails the test."""
    context = await browser.new_context(viewport={"width": width, "height": 800})
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url)
    try:
        yield page
        assert complaints == []
    finally:
        await context.close()


async def test_messages_threads_and_badges_appear_live(local: Local, browser: Browser) -> None:
    async with seen(browser, local.server.url) as page:
        await expect(page.get_by_text("local Slack (stand-in)").first).to_be_visible()
        await expect(page.get_by_role("heading", name="# incidents")).to_be_visible()

        card = await local.post("*Redis* is _slow_ `p99` <https://example.com|runbook> :fire: 5 &lt; 6")
        body = page.locator("#messages article .text")
        await expect(body).to_have_text("Redis is slow p99 runbook 🔥 5 < 6")
        await expect(body.locator("strong")).to_have_text("Redis")
        await expect(body.get_by_role("link", name="runbook")).to_have_attribute("href", "https://example.com/")

        await local.post("looking", thread_ts=card)
        await local.post("found it", thread_ts=card)
        await page.get_by_role("link", name="2 replies, open the thread").click()
        replies = page.get_by_role("log", name="Replies")
        await expect(replies.get_by_text("found it")).to_be_visible()
        await local.post("a third, live", thread_ts=card)
        await expect(replies.get_by_text("a third, live")).to_be_visible()
        await expect(page.get_by_text("3 replies").first).to_be_visible()
        await page.get_by_role("textbox", name="Reply in the thread").fill("thanks @ben")
        await page.keyboard.press("Enter")
        await expect(replies.get_by_text("thanks @Ben")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(replies).to_be_hidden()

        await local.client.chat_update(channel=local.incidents, ts=card, text="mended")
        await expect(page.get_by_text("mended")).to_be_visible()
        await expect(page.get_by_text("(edited)")).to_be_visible()


async def test_instants_are_shown_in_the_readers_own_time_or_as_their_fallback(local: Local, browser: Browser) -> None:
    async with seen(browser, local.server.url) as page:
        noon = "<!date^43200^on {date_num} at {time_secs}|1970>"
        await local.post(f"{noon} / <!date^never^{{date}}|some day> / <!date^43200^{{nothing}}|x>")
        text = page.locator("#messages article .text")
        await expect(text).to_have_text(re.compile(r"^on 1970-01-0[12] at \d\d:\d\d:00 / some day / \{nothing\}$"))


async def test_text_from_an_app_is_never_markup(local: Local, browser: Browser) -> None:
    hostile = "<img src=x onerror=alert(1)> <script>alert(2)</script> <javascript:alert(3)|click>"
    async with seen(browser, local.server.url) as page:
        await local.post(hostile)
        await local.post(
            "x",
            blocks=[
                {"type": "section", "text": {"type": "mrkdwn", "text": "<javascript:alert(4)|press>" + hostile}},
                {
                    "type": "rich_text",
                    "elements": [
                        {
                            "type": "rich_text_preformatted",
                            "elements": [{"type": "text", "text": "<!channel> *no* <@U1>"}],
                        }
                    ],
                },
            ],
        )
        await expect(page.locator("#messages pre")).to_have_text("<!channel> *no* <@U1>")
        await expect(page.locator("#messages article")).to_have_count(2)
        assert await page.locator("#messages article :is(script, img[src='x'], [onerror])").count() == 0
        assert await page.locator("#messages a[href^='javascript']").count() == 0


async def test_a_click_reaches_the_app_after_its_confirmation(local: Local, browser: Browser) -> None:
    app, clicks = local.bolt(), Inbox()

    @app.action("approve")
    async def approve(ack: AsyncAck, body: JsonObject) -> None:
        await ack()
        await clicks.take(body)

    await local.connect(app)
    plain: JsonObject = {"type": "plain_text", "text": "Really?"}
    asked: JsonObject = {"title": plain, "text": plain, "confirm": plain, "deny": {"type": "plain_text", "text": "No"}}
    await local.post(blocks=actions(button(confirm=asked), button("nobody")))

    async with seen(browser, local.server.url) as page:
        go = page.locator("[data-action=approve]")
        await go.click()
        await page.get_by_role("button", name="No").click()
        await go.click()
        await page.get_by_role("button", name="Really?").click()
        await expect(go).to_have_attribute("data-state", "acked")
        assert len(clicks.items) == 1

        await page.locator("[data-action=nobody]").click()
        await expect(page.locator("[data-action=nobody]")).to_have_attribute("data-state", "failed")
        await expect(page.get_by_text("⚠ the app did not respond")).to_be_visible()


async def test_commands_and_what_only_one_user_sees(local: Local, browser: Browser) -> None:
    async with seen(browser, local.server.url) as page:
        await expect(page.get_by_text("No app is connected")).to_be_visible()
        composer = page.get_by_role("textbox", name="Message #incidents")
        await composer.press_sequentially("/op")
        await expect(page.get_by_role("listbox", name="Suggestions")).to_contain_text("status | tickets | show")
        await composer.press("Tab")
        await composer.press_sequentially("status")
        await composer.press("Enter")
        failure = page.get_by_text("/operator failed because the app did not respond")
        await expect(failure).to_be_visible()
        await expect(page.get_by_text("Only visible to you")).to_be_visible()

        app = local.bolt()

        @app.command("/operator")
        async def command(ack: AsyncAck) -> None:
            await ack("all is well")

        await local.connect(app)
        await expect(page.get_by_text("Operator is connected")).to_be_visible()
        await composer.fill("/operator status")
        await composer.press("Enter")
        await expect(page.get_by_text("all is well")).to_be_visible()

        await page.get_by_label("Acting as").select_option(label="Ben Okoye · secondary on call")
        await expect(page.locator("#messages article")).to_have_count(0)
        await composer.fill("hello from Ben")
        await composer.press("Enter")
        await expect(page.get_by_role("article", name="Ben Okoye")).to_contain_text("hello from Ben")


async def test_a_mention_of_me_or_my_group_is_marked_and_counted(local: Local, browser: Browser) -> None:
    async with seen(browser, f"{local.server.url}#{local.channel('general')}") as page:
        await expect(page.get_by_role("heading", name="# general")).to_be_visible()
        await local.post("quiet")
        await expect(page.get_by_role("link", name="incidents, 1 unread")).to_be_visible()
        await local.post(f"broken <!subteam^{local.group('oncall-primary')}>")
        await expect(page.get_by_role("link", name="incidents, 1 mention, 2 unread")).to_be_visible()
        assert (await page.title()).startswith("(1) #general")

        await page.get_by_role("link", name="incidents").click()
        called = page.locator("article.called")
        await expect(called).to_have_count(1)
        await expect(called.locator(".mention.me")).to_have_text("@oncall-primary")
        await expect(page.get_by_role("link", name="incidents", exact=True)).to_be_visible()
        await until(lambda: local.server.slack.workspace.read_up_to(local.user("ana"), local.incidents) != "0", "read")

        await page.get_by_label("Acting as").select_option(label="Ben Okoye · secondary on call")
        await expect(page.locator("article.called")).to_have_count(0)


async def test_the_keyboard_is_enough(local: Local, browser: Browser) -> None:
    app, clicks = local.bolt(), Inbox()

    @app.action("approve")
    async def approve(ack: AsyncAck, body: JsonObject) -> None:
        await ack()
        await clicks.take(body)

    await local.connect(app)
    await local.post("reply", thread_ts=await local.post("card", blocks=actions(button())))
    async with seen(browser, local.server.url) as page:
        await expect(page.locator("#messages article")).to_have_count(1)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the composer")).to_be_focused()
        for _ in range(20):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.dataset.action === 'approve'"):
                break
        await page.keyboard.press("Enter")
        await until(lambda: clicks.items, "the click")
        await expect(page.locator("[data-action=approve]")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#thread-name")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("link", name="1 reply, open the thread")).to_be_focused()


async def test_it_reconnects_and_shows_what_it_missed(local: Local, browser: Browser) -> None:
    async with seen(browser, local.server.url, width=390) as page:
        await local.post("before")
        await expect(page.get_by_text("before")).to_be_visible()
        local.server.drop_pages()
        await local.post("meanwhile")
        await expect(page.get_by_text("meanwhile")).to_be_visible()
        await local.post("after")
        await expect(page.get_by_text("after")).to_be_visible()


async def test_a_permalink_opens_the_reply_in_its_thread(local: Local, browser: Browser) -> None:
    parent = await local.post("parent")
    reply = await local.post("the reply", thread_ts=parent)
    link = await local.client.chat_getPermalink(channel=local.incidents, message_ts=reply)
    async with seen(browser, str(link["permalink"])) as page:
        replies = page.get_by_role("log", name="Replies")
        await expect(replies.locator(".pointed")).to_contain_text("the reply")


async def test_the_worlds_faults_can_be_broken_and_mended(tmp_path: Path, browser: Browser) -> None:
    active: list[str] = []
    authorized: list[str | None] = []

    async def state(request: web.Request) -> web.Response:
        authorized.append(request.headers.get("Authorization"))
        return web.json_response({"nodes": {"rl-1": {"kind": "node", "state": "running"}}, "faults": active})

    async def faults(_: web.Request) -> web.Response:
        return web.json_response([{"name": "stuck_key", "mechanism": "A key has no expiry.", "breaks": [], "cure": ""}])

    async def change(request: web.Request) -> web.Response:
        if request.match_info["verb"] == "faults":
            active.append(request.match_info["name"])
        else:
            active.remove(request.match_info["name"])
        return web.json_response({})

    app = web.Application()
    app.add_routes(
        [web.get("/state", state), web.get("/faults", faults), web.post("/{verb:faults|cures}/{name}", change)]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    world_file = tmp_path / "world.json"
    try:
        async with (
            local_slack(replace(options(tmp_path / "slack"), world_file=world_file)) as local,
            local.http.get(f"{local.server.url}world/state") as absent,
        ):
            assert absent.status == 503
            port = runner.addresses[0][1]
            (tmp_path / "token").write_text("secret\n")
            world_file.write_text(
                json.dumps({"control_url": f"http://127.0.0.1:{port}", "world_token_file": str(tmp_path / "token")})
            )
            async with seen(browser, local.server.url) as page:
                await page.get_by_role("button", name="Break stuck_key").click()
                await page.get_by_role("button", name="Mend stuck_key").click()
                await expect(page.get_by_role("button", name="Break stuck_key")).to_be_enabled()
                await expect(page.get_by_text("rl-1")).to_be_visible()
            assert active == []
            assert set(authorized) == {"Bearer secret"}
    finally:
        await runner.cleanup()
