"""Faults that tests and demos put into the Web API, and the record of the calls that it got."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from compose.slack.records import JsonObject
from compose.slack.wire import Call

FaultKind = Literal["down", "http_500", "html", "ratelimited", "error", "slow", "reset_before", "reset_after_apply"]
CALLS_KEPT: Final = 10_000


class FaultSpec(BaseModel):
    """A fault as the control API takes it; without `count` or `seconds` it lasts until it is deleted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Annotated[str, Field(min_length=1)] = "*"
    kind: FaultKind
    match: str | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    retry_after: Annotated[int, Field(ge=1)] = 1
    error: str = "internal_error"
    delay: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.count is not None and self.seconds is not None:
            raise ValueError("give count or seconds, not both")
        return self


@dataclass(slots=True)
class _Active:
    id: int
    spec: FaultSpec
    left: int | None
    until: float | None


class Faults:
    """The faults that are on."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._active: list[_Active] = []
        self._made = 0

    def add(self, spec: FaultSpec) -> int:
        """Turn a fault on and return its number."""
        self._made += 1
        until = None if spec.seconds is None else self._now() + spec.seconds
        self._active.append(_Active(self._made, spec, spec.count, until))
        return self._made

    def clear(self) -> None:
        """Turn every fault off."""
        self._active.clear()

    def active(self) -> Iterator[tuple[int, FaultSpec]]:
        """Yield what is on."""
        self._expire()
        for one in self._active:
            yield one.id, one.spec

    def strike(self, call: Call) -> FaultSpec | None:
        """Return the first fault that hits a call, and count it."""
        self._expire()
        for one in self._active:
            if one.spec.method not in {"*", call.method}:
                continue
            if one.spec.match is not None and one.spec.match not in call.raw:
                continue
            if one.left is not None:
                one.left -= 1
            return one.spec
        return None

    def _expire(self) -> None:
        now = self._now()
        self._active = [one for one in self._active if one.left != 0 and (one.until is None or one.until > now)]


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One Web API call: what was asked, and what was answered or done instead."""

    seq: int
    at: float
    method: str
    args: JsonObject
    status: int
    result: JsonObject
    fault: str | None


class CallLog:
    """The last calls, numbered from 1."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls: deque[RecordedCall] = deque(maxlen=CALLS_KEPT)
        self._seq = 0

    def add(self, call: Call, *, status: int, result: JsonObject, fault: str | None) -> None:
        """Record a call; the token is not part of its arguments."""
        self._seq += 1
        self._calls.append(RecordedCall(self._seq, self._now(), call.method, call.args, status, result, fault))

    def since(self, seq: int, method: str | None = None) -> list[RecordedCall]:
        """Return the calls after `seq`, of one method or of all."""
        return [one for one in self._calls if one.seq > seq and method in {None, one.method}]
