"""The configuration files of the three programs: JSON, strict, and written back atomically."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from compose.ratelimiter.errors import ConfigError

LIMIT_NAME_PATTERN = r"^[a-z][a-z0-9-]{0,63}$"


def check_redis_url(url: str) -> str:
    """Refuse a URL that redis-py would misread.

    Raises:
        ValueError: naming what is missing.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss"}:
        raise ValueError("must start with redis:// or rediss://")
    if not parts.hostname:
        raise ValueError("names no host; write redis://HOST:PORT/DB")
    if parts.port == 0:
        raise ValueError("port 0 can't be connected to")
    database = parts.path.removeprefix("/")
    if database and not database.isdecimal():
        raise ValueError("the path must be a database number, as in redis://HOST:PORT/0")
    if parts.query or parts.fragment:
        raise ValueError("must not carry a query or a fragment")
    return url


def without_password(url: str) -> str:
    """The same URL with its password, if any, written as `***`."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username or ''}:***@{host}").geturl()


RedisUrl = Annotated[str, Field(max_length=512), AfterValidator(check_redis_url)]
LimitName = Annotated[str, Field(pattern=LIMIT_NAME_PATTERN)]
LimitValue = Annotated[int, Field(ge=1, le=1_000_000)]
WindowMs = Annotated[int, Field(ge=10, le=86_400_000)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Strict(BaseModel):
    """No unknown field, no coercion, no change after construction."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SeedLimit(Strict):
    """A limit that is written into Redis where Redis does not know it yet."""

    limit: LimitValue
    window_ms: WindowMs


class Timings(Strict):
    """How often and how long, in seconds."""

    heartbeat_s: Seconds = 1.0
    ping_s: Seconds = 0.5
    ping_timeout_s: Seconds = 1.0
    # Above what a slow script of another client costs, so that it shows as latency and not as an outage.
    operation_timeout_s: Seconds = 1.5
    flush_s: Seconds = 0.5
    resubscribe_s: Seconds = 2.0


class NodeConfig(Strict):
    """One node. `redis_url` is the part that can be changed through the API."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port
    redis_url: RedisUrl
    token_file: str
    writes_file: str
    limits: dict[LimitName, SeedLimit]
    timings: Timings = Timings()


class Stream(Strict):
    """One kind of traffic: checks of one limit, a hot key and a Zipf tail of others.

    Attributes:
        limit: The limit that is asked.
        prefix: Keys are `<prefix>-1`, `<prefix>-2`, …; number 1 is the hot one.
        keys: How many keys there are.
        hot_per_s: Checks per second of the hot key.
        tail_per_s: Checks per second of all the others together.
        zipf: The exponent of the tail's distribution.
    """

    limit: LimitName
    prefix: Annotated[str, Field(min_length=1, max_length=64)]
    keys: Annotated[int, Field(ge=2, le=100_000)]
    hot_per_s: Annotated[float, Field(ge=0, le=10_000)]
    tail_per_s: Annotated[float, Field(ge=0, le=10_000)]
    zipf: Annotated[float, Field(ge=0, le=4)] = 1.1


class LoadConfig(Strict):
    """The load generator."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port
    seed: int = 1
    nodes: dict[str, str]
    streams: Annotated[list[Stream], Field(min_length=1)]
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 64
    timeout_s: Seconds = 2.0
    avoid_s: Seconds = 1.0


class BatchConfig(Strict):
    """The batch client. `rebuild` is a long job that takes Redis for itself, chunk by chunk."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port
    redis_url: RedisUrl
    job: Literal["aggregate", "rebuild"] = "aggregate"
    aggregate_every_s: Seconds = 2.0
    rebuild_chunk_s: Annotated[float, Field(gt=0, le=2)] = 0.4
    rebuild_pause_s: Seconds = 0.02


Config = TypeVar("Config", bound=Strict)


def load_config(path: Path, shape: type[Config]) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: naming the file, the field and what is wrong with it.
    """
    try:
        return shape.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {field}: {first['msg']}") from error


def save_config(path: Path, config: Strict) -> None:
    """Replace a configuration file as a whole: after a crash it is the old one or the new one.

    Raises:
        ConfigError: The file can't be written.
    """
    text = json.dumps(config.model_dump(mode="json"), indent=2) + "\n"
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: can't be written: {error.strerror}") from error
