"""Nothing untrusted can ping, link, format, reorder, or leave its code span, whatever it is."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from bot.slack import escape
from compose.slack import mrkdwn

NASTY = [
    "<!channel>",
    "<!here|here>",
    "<@U0123ABC>",
    "<!subteam^S0123ABC>",
    "<https://evil.example|Acknowledge>",
    "https://evil.example/?q=`env`",
    "mailto:a@b.example",
    "```\n*out*\n```",
    "&lt;!channel&gt;",
    "&amp;lt;",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200f",
    "\ud800 lone \udfff",
    ":white_check_mark: resolved",
    "*bold* _it_ ~no~ > quote",
    "a\x00b\r\nc\td\u2028e",
    "\U000e0041\ufeff\u200b",
    "👩‍👩‍👧 fine 👍🏽",
    "שלום",
]
untrusted = st.lists(st.one_of(st.sampled_from(NASTY), st.text(), st.sampled_from(list("<>&`*_~:|^!@#")))).map("".join)
limits = st.integers(20, 400)
ENTITY = re.compile(r"&(?:amp|lt|gt);")
SPECIAL = re.compile(r"[<>]|&(?!(?:amp|lt|gt);)")


def harmless(text: str) -> None:
    assert not SPECIAL.search(text), "an unescaped special character, or an entity cut in two"
    assert not mrkdwn.mentioned_users(text)
    assert not mrkdwn.mentioned_groups(text)
    assert not mrkdwn.broadcasts(text)
    text.encode()  # no lone surrogate
    assert not re.search("[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", text.replace("\u2060", ""))


@given(untrusted, limits)
@example("`" * 500, 20)
@example("&" * 500, 20)
@example("\U0001f600" * 500, 21)
@example("\ud83d", 20)
def test_a_code_span_stays_one(text: str, limit: int) -> None:
    span = escape.code(text, limit)
    assert escape.units(span) <= limit
    assert span.startswith("`")
    assert span.endswith("`")
    assert span.count("`") == 2
    assert len(span) > 2
    harmless(span)


@given(untrusted, limits)
def test_prose_formats_nothing(text: str, limit: int) -> None:
    shown = escape.prose(text, limit)
    assert escape.units(shown) <= limit
    assert not set("`*~") & set(shown)
    assert not re.search(r"(?:^|\W)_|_(?:\W|$)", shown), "an underscore that begins or ends italics"
    assert not re.search(r":[A-Za-z0-9_+'-]*[a-z][A-Za-z0-9_+'-]*:", shown), "an emoji"
    harmless(shown)


@given(untrusted, limits)
def test_plain_text_has_no_brackets(text: str, limit: int) -> None:
    shown = escape.plain(text, limit)
    assert escape.units(shown) <= limit
    assert not set("<>") & set(shown)
    shown.encode()


@given(st.lists(untrusted))
def test_in_fallback_text_slack_links_nothing_by_itself(texts: list[str]) -> None:
    shown = escape.bare(" ".join([escape.code(text) + escape.prose(text) for text in texts]))
    assert mrkdwn.normalize(shown) == shown, "Slack would have made a link, or seen a reference"
    harmless(shown)


@given(untrusted)
def test_a_link_leads_where_it_says_or_is_no_link(url: str) -> None:
    shown = escape.link(url, "Open <it>|now")
    if shown.startswith("<"):
        inside = re.fullmatch(r"<(https?://[^<>|\s]+)\|Open &lt;it&gt;/now>", shown)
        assert inside
        assert inside[1].replace("&amp;", "&") == url
    else:
        harmless(shown)
    assert not mrkdwn.broadcasts(shown)


def test_our_own_references_survive_in_fallback_text() -> None:
    text = f"{escape.mention('S012')} {escape.mention('here')} <https://a.example/b|b> https://evil.example"
    shown = escape.bare(text)
    assert "<!subteam^S012> <!here> <https://a.example/b|b>" in shown
    assert "https://evil" not in shown


def test_what_is_copied_from_a_code_span_is_exact() -> None:
    detail = "GET http://rl_1:8080/status?x=1 -> 503 *_*"
    assert escape.code(detail) == "`" + detail.replace(">", "&gt;") + "`"


def test_terminal_sequences_leave_nothing_behind() -> None:
    assert escape.clean("\x1b[1;31mred\x1b[0m and \x1b]0;title\x07plain") == "red and plain"
