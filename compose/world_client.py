"""The control API of the world in a directory, for the command line."""

from __future__ import annotations

import fcntl
from pathlib import Path
from threading import Event
from time import monotonic
from typing import IO, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from compose.errors import ConflictError, NoWorldError, WorldError

# A write returns once it has taken; that may include the start of a process.
TIMEOUT_S = 60.0
ENDED_WITHIN_S = 20.0
ENDED_EVERY_S = 0.1

Shape = TypeVar("Shape", bound=BaseModel)


class WorldFile(BaseModel):
    """The parts of world.json that the command line needs."""

    control_url: str
    world_token_file: str


class ProcessState(BaseModel):
    """One process."""

    kind: str
    pid: int | None
    state: str
    url: str


class WorldState(BaseModel):
    """GET /state."""

    nodes: dict[str, ProcessState]
    faults: list[str]
    history: list[dict[str, float | str]]


class FaultAnswer(BaseModel):
    """What a fault or a cure did."""

    done: str
    cure: str


class NodeAnswer(BaseModel):
    """What became of a process."""

    name: str
    state: str


class StopAnswer(BaseModel):
    """The world is about to end."""

    stopping: bool


class _ErrorBody(BaseModel):
    message: str


class _ErrorAnswer(BaseModel):
    error: _ErrorBody


class WorldClient:
    """Talks to the world in a directory.

    Raises:
        NoWorldError: On any call, when no world runs there.
        ConflictError: On any call, when the world answers that it can't be done.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            found = WorldFile.model_validate_json((directory / "world.json").read_bytes())
            token = Path(found.world_token_file).read_text(encoding="ascii").strip()
        except OSError as error:
            raise NoWorldError(f"no world runs in {directory}; start one with: make demo") from error
        except ValidationError as error:
            raise WorldError(f"{directory / 'world.json'} is not a world's description") from error
        self._url = found.control_url
        self._headers = {"Authorization": f"Bearer {token}"}

    def state(self) -> WorldState:
        """Every process, what is broken, and what was done."""
        return self._call("GET", "/state", WorldState)

    def post_fault(self, verb: Literal["faults", "cures"], name: str, node: str | None) -> FaultAnswer:
        """Break or mend."""
        body = {} if node is None else {"node": node}
        return self._call("POST", f"/{verb}/{quote(name, safe='')}", FaultAnswer, body)

    def post_verb(self, name: str, verb: str) -> NodeAnswer:
        """Do something to one process."""
        return self._call("POST", f"/nodes/{quote(name, safe='')}/{verb}", NodeAnswer, {})

    def stop(self) -> None:
        """End the world, and return once it has ended."""
        with (self._directory / "lock").open("a", encoding="ascii") as lock:
            self._call("POST", "/stop", StopAnswer, {})
            deadline = monotonic() + ENDED_WITHIN_S
            while not _free(lock):
                if monotonic() > deadline:
                    raise WorldError(f"the world has not ended within {ENDED_WITHIN_S:g} s")
                Event().wait(ENDED_EVERY_S)

    def _call(self, method: str, path: str, shape: type[Shape], body: dict[str, str] | None = None) -> Shape:
        try:
            response = httpx.request(
                method,
                f"{self._url}{path}",
                json=body,
                headers=self._headers,
                timeout=TIMEOUT_S,
                trust_env=False,
            )
        except httpx.TransportError as error:
            raise NoWorldError(f"no world answers at {self._url} any more ({error})") from error
        if response.status_code != 200:
            raise ConflictError(_message(response))
        return shape.model_validate_json(response.content)


def _message(response: httpx.Response) -> str:
    try:
        return _ErrorAnswer.model_validate_json(response.content).error.message
    except ValidationError:
        return f"{response.request.url} was answered {response.status_code}: {response.text[:200]}"


def _free(lock: IO[str]) -> bool:
    """Whether nobody holds the lock any more."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
