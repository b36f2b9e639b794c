"""A subject's configuration through a pydantic model, with errors that say which key and how to mend it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from subjects.protocols import SubjectConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails


class ConfigModel(BaseModel):
    """Base of configuration models: strict types, unknown keys refused, no NaN, immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


ModelT = TypeVar("ModelT", bound=ConfigModel)


def validate(model: type[ModelT], config: Mapping[str, object], *, subject: str) -> ModelT:
    """The configuration as a model.

    Raises ``SubjectConfigError`` with one sentence for each thing that is wrong.
    """
    try:
        return model.model_validate(dict(config))
    except ValidationError as error:
        sentences = [_sentence(model, each) for each in error.errors(include_url=False)]
        raise SubjectConfigError(f"subject {subject!r}: " + " ".join(sentences)) from None


def check_url(url: str) -> str:
    """An http or https URL without user, query and fragment, and without a slash at its end.

    Raises ``ValueError`` with how to mend it; for use in pydantic validators.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL ({error}): write it like http://rl-1:8080") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("is not a URL: write it like http://rl-1:8080")
    if parts.username is not None or parts.password is not None:
        raise ValueError("carries a user or password: leave it out of the URL")
    if parts.query or parts.fragment:
        raise ValueError("has a query or a fragment: leave out what follows ? or #")
    if not url.isprintable() or " " in url:
        raise ValueError("has a space or a control character in it: leave it out")
    return url.rstrip("/")


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"]) or "the configuration"
    match error["type"]:
        case "extra_forbidden":
            return f"{path}: there is no such key; {_choices(model, error)}."
        case "missing":
            return f"{path}: is missing; add it."
        case "too_short":
            return f"{path}: is empty; name at least one."
        case "value_error":
            return f"{path}: {error['ctx']['error']}."
        case _:
            said = error["msg"].removeprefix("Input ")
            return f"{path}: {said[:1].lower()}{said[1:]}, but is {_shown(error['input'])}."


def _choices(model: type[BaseModel], error: ErrorDetails) -> str:
    *parents, wrong = error["loc"]
    allowed = sorted(_model_at(model, parents).model_fields)
    near = difflib.get_close_matches(str(wrong), allowed, n=1)
    if near:
        return f"did you mean {near[0]}? Known are {', '.join(allowed)}"
    return f"known are {', '.join(allowed)}"


def _model_at(model: type[BaseModel], path: list[int | str]) -> type[BaseModel]:
    """The model that stands at a path, going through containers of models."""
    for part in path:
        field = model.model_fields.get(str(part))
        candidates = [] if field is None else [field.annotation, *get_args(field.annotation)]
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return model


def _shown(value: object) -> str:
    """A value for a message; short, since it may be anything, a secret pasted into the wrong key included."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return "a text"
    return f"a {type(value).__name__}"
