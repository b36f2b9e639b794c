"""What is wrong with a setting, in one line: where it stands, what is wrong, how to mend it."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bot.config_sources import near
from bot.settings_layers import Layer

_EXPECTED: Final = {
    "bool": "true or false",
    "dict": "a table",
    "float": "a number",
    "int": "a whole number",
    "model": "a table",
    "path": "a path",
    "string": "a text",
}
_SECRET_PREFIXES: Final = ("xox", "xapp", "sk-")
_SHOWN: Final = 40


def origin(layers: Sequence[Layer], path: tuple[str, ...]) -> str:
    """Where the value at ``path`` stands that counts, or as near to it as there is anything."""
    return max(layers, key=lambda layer: layer.depth(path)).where(path)  # the first of equals is the one that wins


def sentence(model: type[BaseModel], error: ErrorDetails, layers: Sequence[Layer]) -> str:
    """One line for one of pydantic's findings."""
    path = tuple(str(part) for part in error["loc"] if str(part) not in ("[key]", "config"))
    return f"{origin(layers, path)}: {_what(model, error, path)}"


def _what(model: type[BaseModel], error: ErrorDetails, path: tuple[str, ...]) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return f"there is no such key; {near(path[-1], _keys(model, path[:-1]))}"
        case "missing":
            return "is missing; add it"
        case "value_error":
            return str(context["error"])
        case kind:
            return f"{_shown(path, error['input'])} {_misfit(kind, context, path)}"


def _misfit(kind: str, context: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """What is wrong with a value that pydantic did not take, without the value."""
    match kind:
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            (name, limit), *_ = context.items()
            words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
            return f"is out of range; write {words[name]} {limit:g}"
        case "enum" | "literal_error":
            return f"is not known; write {context['expected']}"
        case "string_pattern_mismatch":
            return f"does not fit; {_PATTERNS['subject' if path[0] == 'subjects' else 'channel']}"
        case "string_too_short" | "finite_number":
            return "is no value; write one"
        case _:
            expected = _EXPECTED.get(kind.partition("_")[0], "another kind of value")
            return f"is not {expected}; write {expected}"


_PATTERNS: Final = {
    "channel": 'write a channel\'s name like "#incidents", or its id',
    "subject": "a subject's name has small letters, digits, - and _, at most 40",
}


def _keys(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    here: type[BaseModel] | None = model
    for key in path:
        info = here.model_fields.get(key) if here else None
        here = _model_in(info.annotation) if info else None
    return sorted(here.model_fields) if here else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
    return None


def _shown(path: tuple[str, ...], value: object) -> str:
    """The value for the message, unless it is a secret or may be one that was pasted into the wrong place."""
    if any("token" in part for part in path) or (isinstance(value, str) and value.startswith(_SECRET_PREFIXES)):
        return "the value (not shown)"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
