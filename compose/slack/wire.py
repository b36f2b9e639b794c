"""What came over the wire: Slack takes arguments from the query, a form, multipart or JSON, and so does this.

Business errors are HTTP 200 with ok:false; only rate limits (429) and faults use other statuses.
"""

import json
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from compose.slack.errors import ApiError
from compose.slack.records import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Call:
    """One Web API call with its arguments, whatever way they came."""

    method: str
    token: str | None
    args: JsonObject
    raw: str

    def text(self, name: str) -> str | None:
        """Return an argument as a string; None if it is absent or empty."""
        value = self.args.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
        raise ApiError("invalid_arguments", f"must be a string [json-pointer:/{name}]")

    def required(self, name: str) -> str:
        """Return an argument that the catalogue made sure of."""
        value = self.text(name)
        if value is None:
            raise ApiError("invalid_arguments", f"missing required field: {name}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean, which clients send as true, 1 or JSON."""
        value = self.text(name)
        return default if value is None else value.lower() in {"1", "true", "yes"}

    def integer(self, name: str, default: int) -> int:
        """Return a whole number."""
        value = self.text(name)
        if value is None:
            return default
        try:
            return int(value)
        except ValueError:
            raise ApiError("invalid_arguments", f"must be an integer [json-pointer:/{name}]") from None

    def structure(self, name: str, *, malformed: str) -> Json:
        """Return a structured argument, which forms carry as a JSON string; `malformed` is its error code."""
        value = self.args.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            decoded: Json = json.loads(value)
        except ValueError:
            raise ApiError(malformed) from None
        return decoded

    def names(self, name: str) -> tuple[str, ...]:
        """Return a list that clients send separated by commas or as JSON."""
        value = self.args.get(name)
        if isinstance(value, list):
            return tuple(str(one) for one in value)
        return tuple(part.strip() for part in (self.text(name) or "").split(",") if part.strip())


async def read_call(request: web.Request, method: str) -> Call:
    """Read a request; raise ApiError where its body can't be understood."""
    args: JsonObject = dict(request.query)
    kind = request.content_type
    if kind == "multipart/form-data":
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        args |= fields
        raw = "&".join(f"{name}={value}" for name, value in fields.items())
    else:
        raw = (await request.read()).decode("utf-8", errors="replace")
        if kind == "application/json" and raw:
            args |= _json_body(raw)
        elif raw:
            args |= dict(parse_qsl(raw, keep_blank_values=True))
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    in_body = args.pop("token", None)
    token = credential.strip() if scheme.lower() == "bearer" and credential.strip() else in_body
    return Call(method, token if isinstance(token, str) and token else None, args, raw or request.query_string)


def _json_body(raw: str) -> JsonObject:
    try:
        body: Json = json.loads(raw)
    except ValueError:
        raise ApiError("invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError("json_not_object")
    return body
