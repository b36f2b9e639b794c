"""Small checks for JSON, put together to say what Slack's block validator says, with JSON pointers."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from compose.slack.records import Json


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where (`pointer` is an RFC 6901 JSON pointer)."""

    message: str
    pointer: str

    def __str__(self) -> str:
        return f"{self.message} [json-pointer:{self.pointer}]"


Check = Callable[[Json, str], Iterator[Problem]]


def string(longest: int | None = None, *, shortest: int = 1, pattern: str | None = None) -> Check:
    """Accept a string within its length in characters."""
    form = re.compile(pattern) if pattern else None

    def check(value: Json, at: str) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield Problem("must be a string", at)
        elif len(value) < shortest:
            yield Problem(f"must be more than {shortest - 1} characters", at)
        elif longest is not None and len(value) > longest:
            yield Problem(f"must be less than {longest + 1} characters", at)
        elif form is not None and not form.fullmatch(value):
            yield Problem(f"input must match regex pattern: {form.pattern}", at)

    return check


def boolean(value: Json, at: str) -> Iterator[Problem]:
    """Accept true or false."""
    if not isinstance(value, bool):
        yield Problem("must be a boolean", at)


def integer(lowest: int, highest: int) -> Check:
    """Accept a whole number within its range."""

    def check(value: Json, at: str) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int):
            yield Problem("must be an integer", at)
        elif not lowest <= value <= highest:
            yield Problem(f"must be between {lowest} and {highest}", at)

    return check


def one_of(*allowed: str) -> Check:
    """Accept one of a few words."""

    def check(value: Json, at: str) -> Iterator[Problem]:
        if value not in allowed:
            yield Problem(f"must be a valid enum value: {', '.join(allowed)}", at)

    return check


def array(item: Check, most: int, *, least: int = 1) -> Check:
    """Accept a list within its number of items."""

    def check(value: Json, at: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield Problem("must be an array", at)
            return
        if len(value) < least:
            yield Problem(f"no fewer than {least} items allowed", at)
        if len(value) > most:
            yield Problem(f"no more than {most} items allowed", at)
        for index, one in enumerate(value):
            yield from item(one, f"{at}/{index}")

    return check


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Accept an object with these fields and no others; `type` is checked by whoever chose the shape."""
    may = dict(required) | dict(optional or {})

    def check(value: Json, at: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield Problem("must be an object", at)
            return
        for name in required:
            if name not in value:
                yield Problem(f"missing required field: {name}", at)
        for name, part in value.items():
            if name in may:
                yield from may[name](part, f"{at}/{name}")
            elif name != "type":
                yield Problem(f"invalid additional property: {name}", at)

    return check


def by_type(kinds: Mapping[str, Check]) -> Check:
    """Accept an object whose `type` is known, in the shape of that type."""

    def check(value: Json, at: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield Problem("must be an object", at)
            return
        kind = value.get("type")
        if not isinstance(kind, str):
            yield Problem("missing required field: type", at)
        elif kind not in kinds:
            yield Problem(f"unsupported type: {kind}", f"{at}/type")
        else:
            yield from kinds[kind](value, at)

    return check


def wrapped(inner: Check) -> Check:
    """Put Slack's general line before the particular ones, as it does for text objects."""

    def check(value: Json, at: str) -> Iterator[Problem]:
        problems = list(inner(value, at))
        if problems:
            yield Problem("failed to match all allowed schemas", at)
            yield from problems

    return check


def lazy(find: Callable[[], Check]) -> Check:
    """Look a check up when it is needed, for shapes that contain themselves."""

    def check(value: Json, at: str) -> Iterator[Problem]:
        yield from find()(value, at)

    return check
