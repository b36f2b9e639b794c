"""The block validator: Slack's words and pointers, and nothing beyond the documented limits gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose.slack.blocks import MAX_TEXT_OF_ALL_BLOCKS, SUPPORTED_BLOCKS, checked_blocks, problems_of, text_length
from compose.slack.content import with_ids
from compose.slack.errors import ApiError
from compose.slack.ids import Ids
from compose.slack.records import Json, JsonObject
from tests.compose.slack.harness import button

MRKDWN: JsonObject = {"type": "mrkdwn", "text": "x"}
PLAIN: JsonObject = {"type": "plain_text", "text": "x"}


def text(length: int, kind: str = "mrkdwn") -> JsonObject:
    return {"type": kind, "text": "x" * length}


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({"type": "section", "text": text(3001)}, "failed to match all allowed schemas [json-pointer:/blocks/0/text]"),
        (
            {"type": "section", "text": text(3001)},
            "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        ),
        ({"type": "section", "text": text(0)}, "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        ({"type": "section"}, "must define either `text` or `fields` [json-pointer:/blocks/0/type]"),
        ({"type": "section", "fields": [MRKDWN] * 11}, "no more than 10 items allowed [json-pointer:/blocks/0/fields]"),
        (
            {"type": "section", "fields": [text(2001)]},
            "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
        ),
        (
            {"type": "actions", "elements": [button(f"a{number}") for number in range(26)]},
            "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            {"type": "context", "elements": [MRKDWN] * 11},
            "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
        ),
        ({"type": "carousel3"}, "unsupported type: carousel3 [json-pointer:/blocks/0/type]"),
        ({"type": "header", "text": MRKDWN}, "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]"),
        (
            {"type": "header", "text": text(151, "plain_text")},
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
        ),
        ({"type": "divider", "colour": "red"}, "invalid additional property: colour [json-pointer:/blocks/0]"),
        (
            {"type": "markdown", "text": "x" * 12_001},
            "must be less than 12001 characters [json-pointer:/blocks/0/text]",
        ),
        ({"type": "header"}, "missing required field: text [json-pointer:/blocks/0]"),
        ({"text": "no type"}, "missing required field: type [json-pointer:/blocks/0]"),
        (
            {"type": "actions", "elements": [button(value="v" * 2001)]},
            "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
        ),
        (
            {"type": "actions", "elements": [button("same"), button("same")]},
            "`action_id` same already exists [json-pointer:/blocks/0/elements/1/action_id]",
        ),
        (
            {"type": "actions", "elements": [button(style="loud")]},
            "must be a valid enum value: primary, danger [json-pointer:/blocks/0/elements/0/style]",
        ),
        (
            {
                "type": "section",
                "text": MRKDWN,
                "accessory": button(confirm={"title": PLAIN, "text": text(301), "confirm": PLAIN, "deny": PLAIN}),
            },
            "must be less than 301 characters [json-pointer:/blocks/0/accessory/confirm/text/text]",
        ),
        (
            {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "mrkdwn"}]}]},
            "unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/elements/0/type]",
        ),
    ],
)
def test_what_is_refused_says_where(block: JsonObject, problem: str) -> None:
    assert problem in [str(one) for one in problems_of([block])]


def test_at_most_fifty_blocks() -> None:
    divider: JsonObject = {"type": "divider"}
    assert problems_of([divider] * 50) == []
    assert [str(one) for one in problems_of([divider] * 51)] == ["no more than 50 items allowed [json-pointer:/blocks]"]


def test_everything_that_operator_needs_is_accepted() -> None:
    blocks: list[JsonObject] = [
        {"type": "header", "text": PLAIN},
        {"type": "section", "fields": [MRKDWN] * 10, "accessory": button("open", url="https://example.com")},
        {"type": "context", "elements": [MRKDWN, PLAIN]},
        {"type": "divider"},
        {
            "type": "rich_text",
            "elements": [
                {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "$ ls <@U123> *x*"}]},
                {
                    "type": "rich_text_section",
                    "elements": [
                        {"type": "user", "user_id": "U0123"},
                        {"type": "usergroup", "usergroup_id": "S0123"},
                        {"type": "text", "text": "bold", "style": {"bold": True}},
                        {"type": "link", "url": "https://example.com"},
                        {"type": "emoji", "name": "fire"},
                    ],
                },
                {
                    "type": "rich_text_list",
                    "style": "bullet",
                    "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "item"}]}],
                },
                {"type": "rich_text_quote", "elements": [{"type": "text", "text": "said"}]},
            ],
        },
        {"type": "markdown", "text": "# Title"},
        {
            "type": "actions",
            "elements": [
                button(style="danger", confirm={"title": PLAIN, "text": MRKDWN, "confirm": PLAIN, "deny": PLAIN}),
                {"type": "static_select", "placeholder": PLAIN, "options": [{"text": PLAIN, "value": "v"}]},
                {"type": "overflow", "options": [{"text": PLAIN, "value": "v"}]},
            ],
        },
    ]
    assert problems_of(list[Json](blocks)) == []
    assert {str(one["type"]) for one in blocks} | {"image"} == SUPPORTED_BLOCKS


def test_the_sum_of_all_text_is_bounded() -> None:
    section: JsonObject = {"type": "section", "text": text(3000)}
    assert len(checked_blocks([section] * (MAX_TEXT_OF_ALL_BLOCKS // 3000))) == 4
    with pytest.raises(ApiError, match="msg_blocks_too_long"):
        checked_blocks([section] * 5)


words = st.text(max_size=160) | st.sampled_from(["x" * n for n in (75, 76, 150, 151, 2000, 2001, 3000, 3001)])
texts = st.fixed_dictionaries({"type": st.sampled_from(["plain_text", "mrkdwn", "html"]), "text": words})
buttons = st.fixed_dictionaries(
    {"type": st.just("button"), "text": texts},
    optional={"action_id": words, "value": words, "style": st.sampled_from(["primary", "danger", "odd"])},
)
sections = st.fixed_dictionaries(
    {"type": st.just("section")}, optional={"text": texts, "fields": st.lists(texts, max_size=12), "accessory": buttons}
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "elements", "fields", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
some_blocks = st.lists(
    sections
    | st.fixed_dictionaries({"type": st.just("header"), "text": texts})
    | st.fixed_dictionaries({"type": st.just("actions"), "elements": st.lists(buttons, max_size=27)})
    | st.fixed_dictionaries({"type": st.just("context"), "elements": st.lists(texts, max_size=12)})
    | st.just({"type": "divider"}),
    max_size=6,
)


@given(some_blocks)
def test_whatever_is_accepted_keeps_the_documented_limits(blocks: list[Json]) -> None:
    try:
        accepted = checked_blocks(blocks)
    except ApiError:
        return
    assert len(accepted) <= 50
    assert text_length(blocks) <= MAX_TEXT_OF_ALL_BLOCKS
    for block in accepted:
        match block:
            case {"type": "header", "text": {"type": kind, "text": str(shown)}}:
                assert kind == "plain_text"
                assert 1 <= len(shown) <= 150
            case {"type": "actions", "elements": list(elements)}:
                assert 1 <= len(elements) <= 25
                for one in elements:
                    assert within_button_limits(one)
            case {"type": "context", "elements": list(elements)}:
                assert 1 <= len(elements) <= 10
            case {"type": "section"}:
                assert within_section_limits(block)
            case {"type": "divider"}:
                pass
            case _:
                pytest.fail(f"accepted: {block}")


def within_section_limits(block: JsonObject) -> bool:
    match block.get("text"):
        case {"text": str(shown)}:
            assert 1 <= len(shown) <= 3000
        case other:
            assert other is None
            assert block.get("fields")
    fields = block.get("fields", [])
    assert isinstance(fields, list)
    assert len(fields) <= 10
    assert all(isinstance(one, dict) and 1 <= len(str(one["text"])) <= 2000 for one in fields)
    return "accessory" not in block or within_button_limits(block["accessory"])


def within_button_limits(one: Json) -> bool:
    assert isinstance(one, dict)
    shown = one["text"]
    assert isinstance(shown, dict)
    assert shown["type"] == "plain_text"
    assert 1 <= len(str(shown["text"])) <= 75
    assert len(str(one.get("value", ""))) <= 2000
    assert len(str(one.get("action_id", ""))) <= 255
    return one.get("style") in {None, "primary", "danger"}


@given(st.lists(anything, max_size=4) | anything)
def test_no_input_makes_the_validator_fail(blocks: Json) -> None:
    for problem in problems_of(blocks):
        assert problem.pointer.startswith("/blocks")


@given(some_blocks)
def test_filling_in_ids_keeps_blocks_valid_and_complete(blocks: list[Json]) -> None:
    try:
        accepted = checked_blocks(blocks)
    except ApiError:
        return
    filled = [with_ids(one, Ids()) for one in accepted]
    assert all(one["block_id"] for one in filled)
    assert problems_of(list[Json](filled)) == []
