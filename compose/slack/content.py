"""What a message may contain: the checks that chat.* and response_url share."""

import json
from dataclasses import dataclass, replace
from typing import Final

from compose.slack.blocks import INTERACTIVE_TYPES, checked_blocks
from compose.slack.errors import ApiError
from compose.slack.ids import Ids
from compose.slack.mrkdwn import normalize
from compose.slack.records import Json, JsonObject
from compose.slack.wire import Call

MAX_TEXT: Final = 40_000
MAX_UPDATED_TEXT: Final = 4_000
MAX_MARKDOWN: Final = 12_000
MAX_ATTACHMENTS: Final = 100
MAX_METADATA: Final = 8_192  # characters of JSON; the reference says 8 KB


@dataclass(frozen=True, slots=True)
class Content:
    """A message's content as given; None means that the caller left a part out."""

    text: str | None
    blocks: tuple[JsonObject, ...] | None
    attachments: tuple[JsonObject, ...] | None
    metadata: JsonObject | None
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.text or self.blocks or self.attachments)


def read_content(call: Call, ids: Ids) -> Content:
    """Return the checked content of a call, or raise the error that Slack answers."""
    blocks = _blocks(call)
    text = call.text("text")
    markdown = call.text("markdown_text")
    if markdown is not None:
        if text is not None or blocks is not None:
            raise ApiError("markdown_text_conflict")
        if len(markdown) > MAX_MARKDOWN:
            raise ApiError("msg_too_long")
        text, blocks = markdown, ({"type": "markdown", "text": markdown},)
    warnings: tuple[str, ...] = ()
    if text is not None:
        text = normalize(text)
        if len(text) > MAX_TEXT:
            text, warnings = text[:MAX_TEXT], ("message_truncated",)
    content = Content(text, blocks, _attachments(call), _metadata(call), warnings)
    if content.blocks is not None:
        content = replace(content, blocks=tuple(with_ids(one, ids) for one in content.blocks))
    return content


def _blocks(call: Call) -> tuple[JsonObject, ...] | None:
    given = call.structure("blocks", malformed="invalid_blocks_format")
    return None if given is None else checked_blocks(given)


def _attachments(call: Call) -> tuple[JsonObject, ...] | None:
    given = call.structure("attachments", malformed="invalid_attachments")
    if given is None:
        return None
    if not isinstance(given, list):
        raise ApiError("invalid_attachments")
    if len(given) > MAX_ATTACHMENTS:
        raise ApiError("too_many_attachments")
    objects = tuple(one for one in given if isinstance(one, dict))
    if len(objects) != len(given):
        raise ApiError("invalid_attachments")
    return objects


def _metadata(call: Call) -> JsonObject | None:
    given = call.structure("metadata", malformed="invalid_metadata_format")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise ApiError("invalid_metadata_format")
    if not given:
        return {}
    if not isinstance(given.get("event_type"), str) or not isinstance(given.get("event_payload"), dict):
        raise ApiError("invalid_metadata_schema")
    if len(json.dumps(given, ensure_ascii=False)) > MAX_METADATA:
        raise ApiError("metadata_too_large")
    return {"event_type": given["event_type"], "event_payload": given["event_payload"]}


def with_ids(block: JsonObject, ids: Ids) -> JsonObject:
    """Return a block with the block_id and action_ids that Slack fills in where they are missing."""
    filled: JsonObject = dict(block)
    if not filled.get("block_id"):
        filled["block_id"] = ids.block_id()
    if isinstance(filled.get("accessory"), dict):
        filled["accessory"] = _with_action_id(filled["accessory"], ids)
    elements = filled.get("elements")
    if filled.get("type") == "actions" and isinstance(elements, list):
        filled["elements"] = [_with_action_id(one, ids) for one in elements]
    return filled


def _with_action_id(element: Json, ids: Ids) -> Json:
    if not isinstance(element, dict) or element.get("type") not in INTERACTIVE_TYPES or element.get("action_id"):
        return element
    return element | {"action_id": ids.block_id()}
