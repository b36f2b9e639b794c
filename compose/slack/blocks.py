"""Block Kit's rules for messages: which blocks exist, their fields and their limits.

The numbers are those of Slack's block reference (docs.slack.dev/reference/block-kit). The sum of all text is not
documented; apps have seen `msg_blocks_too_long` from about 12,000 characters on, and the strict end is used here.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from compose.slack.errors import ApiError
from compose.slack.records import Json, JsonObject
from compose.slack.schema import (
    Check,
    Problem,
    array,
    boolean,
    by_type,
    integer,
    lazy,
    one_of,
    shape,
    string,
    wrapped,
)

MAX_BLOCKS: Final = 50
MAX_TEXT_OF_ALL_BLOCKS: Final = 12_000

_ID: Final = string(255, shortest=0)
_HTTP_URL: Final = string(3000)


def _text(longest: int, *kinds: str) -> Check:
    fields = {"text": string(longest)}
    shapes = {
        "plain_text": shape(fields, {"emoji": boolean}),
        "mrkdwn": shape(fields, {"verbatim": boolean}),
    }
    return wrapped(by_type({kind: shapes[kind] for kind in kinds or shapes}))


_PLAIN: Final = "plain_text"

_CONFIRM: Final = shape(
    {
        "title": _text(100, _PLAIN),
        "text": _text(300),
        "confirm": _text(30, _PLAIN),
        "deny": _text(30, _PLAIN),
    },
    {"style": one_of("primary", "danger")},
)
_OPTION: Final = shape({"text": _text(75), "value": string(150)}, {"description": _text(75), "url": _HTTP_URL})
_OPTION_GROUP: Final = shape({"label": _text(75, _PLAIN), "options": array(_OPTION, 100)})
_BUTTON: Final = shape(
    {"text": _text(75, _PLAIN)},
    {
        "action_id": _ID,
        "url": _HTTP_URL,
        "value": string(2000, shortest=0),
        "style": one_of("primary", "danger"),
        "confirm": _CONFIRM,
        "accessibility_label": string(75),
    },
)
_OVERFLOW: Final = shape({"options": array(_OPTION, 5)}, {"action_id": _ID, "confirm": _CONFIRM})


def _static_select(value: Json, at: str) -> Iterator[Problem]:
    yield from shape(
        {},
        {
            "action_id": _ID,
            "placeholder": _text(150, _PLAIN),
            "options": array(_OPTION, 100),
            "option_groups": array(_OPTION_GROUP, 100),
            "initial_option": _OPTION,
            "confirm": _CONFIRM,
            "focus_on_load": boolean,
        },
    )(value, at)
    if isinstance(value, dict) and ("options" in value) == ("option_groups" in value):
        yield Problem("must define either `options` or `option_groups`", f"{at}/type")


def _image(value: Json, at: str) -> Iterator[Problem]:
    yield from shape(
        {"alt_text": string(2000)},
        {"image_url": _HTTP_URL, "slack_file": shape({}, {"id": string(), "url": string()})},
    )(value, at)
    if isinstance(value, dict) and ("image_url" in value) == ("slack_file" in value):
        yield Problem("must define either `image_url` or `slack_file`", f"{at}/type")


_INTERACTIVE: Final[dict[str, Check]] = {
    "button": _BUTTON,
    "overflow": _OVERFLOW,
    "static_select": _static_select,
}
INTERACTIVE_TYPES: Final = frozenset(_INTERACTIVE)

# Rich text

_STYLE: Final = shape(
    {}, dict.fromkeys(("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight"), boolean)
)
_STYLED: Final = {"style": _STYLE}
_INLINE: Final = by_type(
    {
        "text": shape({"text": string()}, _STYLED),
        "link": shape({"url": string()}, _STYLED | {"text": string(shortest=0), "unsafe": boolean}),
        "emoji": shape({"name": string()}, _STYLED | {"unicode": string(), "skin_tone": integer(1, 6)}),
        "user": shape({"user_id": string(pattern="^[UW][A-Z0-9]{2,}$")}, _STYLED),
        "usergroup": shape({"usergroup_id": string(pattern="^S[A-Z0-9]{2,}$")}, _STYLED),
        "channel": shape({"channel_id": string(pattern="^[CDG][A-Z0-9]{2,}$")}, _STYLED),
        "broadcast": shape({"range": one_of("here", "channel", "everyone")}, _STYLED),
        "color": shape({"value": string()}, _STYLED),
        "date": shape(
            {"timestamp": integer(0, 1 << 53), "format": string()},
            _STYLED | {"url": string(), "fallback": string()},
        ),
    }
)
_INLINES: Final = array(_INLINE, 10_000, least=0)
_SECTION_OF_RICH_TEXT: Final = shape({"elements": _INLINES})
_BORDERED: Final = shape({"elements": _INLINES}, {"border": integer(0, 1), "language": string(shortest=0)})
_LIST: Final = shape(
    {
        "style": one_of("bullet", "ordered"),
        "elements": array(by_type({"rich_text_section": _SECTION_OF_RICH_TEXT}), 1000, least=0),
    },
    {"indent": integer(0, 8), "offset": integer(0, 1 << 31), "border": integer(0, 1)},
)
_RICH: Final = by_type(
    {
        "rich_text_section": _SECTION_OF_RICH_TEXT,
        "rich_text_preformatted": _BORDERED,
        "rich_text_quote": _BORDERED,
        "rich_text_list": _LIST,
    }
)

# Blocks


def _section(value: Json, at: str) -> Iterator[Problem]:
    yield from shape(
        {},
        {
            "block_id": _ID,
            "text": _text(3000),
            "fields": array(_text(2000), 10),
            "accessory": by_type(_INTERACTIVE | {"image": _image}),
            "expand": boolean,
        },
    )(value, at)
    if isinstance(value, dict) and "text" not in value and "fields" not in value:
        yield Problem("must define either `text` or `fields`", f"{at}/type")


def _image_block(value: Json, at: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        return
    of_block = {"block_id", "title"}
    yield from shape({}, {"block_id": _ID, "title": _text(2000, _PLAIN)})(
        {name: part for name, part in value.items() if name in of_block}, at
    )
    yield from _image({name: part for name, part in value.items() if name not in of_block}, at)


_BLOCKS: Final[dict[str, Check]] = {
    "section": _section,
    "header": shape({"text": _text(150, _PLAIN)}, {"block_id": _ID, "level": integer(1, 4)}),
    "divider": shape({}, {"block_id": _ID}),
    "context": shape(
        {
            "elements": array(
                by_type(
                    {
                        "plain_text": lazy(lambda: _text(2000, _PLAIN)),
                        "mrkdwn": lazy(lambda: _text(2000, "mrkdwn")),
                        "image": _image,
                    }
                ),
                10,
            )
        },
        {"block_id": _ID},
    ),
    "actions": shape({"elements": array(by_type(_INTERACTIVE), 25)}, {"block_id": _ID}),
    "image": _image_block,
    "rich_text": shape({"elements": array(_RICH, 1000, least=0)}, {"block_id": _ID}),
    "markdown": shape({"text": string(12_000)}, {"block_id": _ID}),
}
SUPPORTED_BLOCKS: Final = frozenset(_BLOCKS)
_MESSAGE_BLOCKS: Final = array(by_type(_BLOCKS), MAX_BLOCKS, least=0)


def interactive_elements(blocks: Iterable[JsonObject]) -> Iterator[tuple[JsonObject, JsonObject, str]]:
    """Yield each block's buttons and menus as (block, element, pointer below /blocks)."""
    for index, block in enumerate(blocks):
        accessory = block.get("accessory")
        if isinstance(accessory, dict) and accessory.get("type") in INTERACTIVE_TYPES:
            yield block, accessory, f"/{index}/accessory"
        elements = block.get("elements")
        if block.get("type") == "actions" and isinstance(elements, list):
            for position, element in enumerate(elements):
                if isinstance(element, dict):
                    yield block, element, f"/{index}/elements/{position}"


def _repeated(blocks: list[JsonObject], at: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        block_id = block.get("block_id")
        if isinstance(block_id, str) and block_id:
            if block_id in seen:
                yield Problem(f"`block_id` {block_id} already exists", f"{at}/{index}/block_id")
            seen.add(block_id)
    actions: set[tuple[int, str]] = set()
    for block, element, pointer in interactive_elements(blocks):
        action_id = element.get("action_id")
        if isinstance(action_id, str) and action_id:
            if (id(block), action_id) in actions:
                yield Problem(f"`action_id` {action_id} already exists", f"{at}{pointer}/action_id")
            actions.add((id(block), action_id))


def problems_of(blocks: Json, at: str = "/blocks") -> list[Problem]:
    """Return everything that Slack would refuse in a message's blocks; an empty list means accepted."""
    found = list(_MESSAGE_BLOCKS(blocks, at))
    if not found and isinstance(blocks, list):
        found += _repeated([one for one in blocks if isinstance(one, dict)], at)
    return found


def text_length(value: Json) -> int:
    """Return the characters of all text in blocks: every `text` string, however deep."""
    if isinstance(value, list):
        return sum(text_length(one) for one in value)
    if isinstance(value, dict):
        own = value.get("text")
        deeper = sum(text_length(part) for part in value.values())
        return deeper + (len(own) if isinstance(own, str) else 0)
    return 0


def checked_blocks(blocks: Json) -> tuple[JsonObject, ...]:
    """Return the blocks of a message, or raise ApiError as Slack does."""
    if not isinstance(blocks, list):
        raise ApiError("invalid_blocks_format")
    found = problems_of(blocks)
    if found:
        lines = [str(one) for one in found]
        raise ApiError("invalid_blocks", *lines, errors=lines)
    if text_length(blocks) > MAX_TEXT_OF_ALL_BLOCKS:
        raise ApiError("msg_blocks_too_long")
    return tuple(one for one in blocks if isinstance(one, dict))
