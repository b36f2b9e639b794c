"""Everything that this package raises on purpose.

RateLimiterError
├── ConfigError           a configuration file can't be read, or says something impossible
├── RedisLinkError        Redis gave no usable answer: a check is then never admitted
│   ├── RedisUnavailable  no connection, or no answer in time (the operation may have been done)
│   └── RedisRefused      Redis answered with an error (the operation was not done)
└── RequestError          a request that is answered with an HTTP status other than 200
"""

from __future__ import annotations


class RateLimiterError(Exception):
    """Root of the package's errors."""


class ConfigError(RateLimiterError):
    """A configuration file can't be read or written, or says something impossible."""


class RedisLinkError(RateLimiterError):
    """Redis gave no usable answer."""


class RedisUnavailable(RedisLinkError):  # noqa: N818 - names a state, like its HTTP status 503
    """No connection to Redis, or no answer in time; whether the operation was done is not known."""


class RedisRefused(RedisLinkError):  # noqa: N818 - names Redis' answer, as redis-py's ResponseError does
    """Redis answered with an error reply."""


class RequestError(RateLimiterError):
    """A request that is answered with an error.

    Args:
        status: The HTTP status.
        code: A word that programs can compare.
        message: What is wrong, and how to mend it.
        headers: Headers that belong to the answer, such as `WWW-Authenticate`.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
