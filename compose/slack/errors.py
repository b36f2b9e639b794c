"""What can go wrong in the local Slack.

LocalSlackError
├── ApiError            answered as HTTP 200 with ok:false, as Slack does
├── RateLimitedError    answered as HTTP 429 with Retry-After
├── NotDeliveredError   an app did not take a slash command or a click
└── StartError          the server can't start
    ├── DirectoryInUseError
    ├── PortTakenError
    └── JournalError
"""

from compose.slack.records import JsonObject


class LocalSlackError(Exception):
    """Everything that this package raises on purpose."""


class ApiError(LocalSlackError):
    """A Web API call that Slack would refuse."""

    def __init__(self, code: str, *messages: str, **extra: str | list[str]) -> None:
        """Take Slack's error code, the lines for response_metadata.messages, and further top-level fields."""
        super().__init__(code)
        self.code = code
        self.messages = messages
        self.extra = extra

    def body(self) -> JsonObject:
        """Return the JSON that Slack answers."""
        answer: JsonObject = {"ok": False, "error": self.code}
        for name, value in self.extra.items():
            answer[name] = list(value) if isinstance(value, list) else value
        if self.messages:
            answer["response_metadata"] = {"messages": [f"[ERROR] {line}" for line in self.messages]}
        return answer


class RateLimitedError(LocalSlackError):
    """A call beyond the method's tier; `retry_after` is in whole seconds, at least 1."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"ratelimited, retry after {retry_after} s")
        self.retry_after = retry_after


class NotDeliveredError(LocalSlackError):
    """No app took the envelope; `reason` is `no_app` or `timeout`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StartError(LocalSlackError):
    """The server can't start; the text says what to do about it."""


class DirectoryInUseError(StartError):
    """Another local Slack already runs on the directory."""


class PortTakenError(StartError):
    """The port that was asked for, or that this workspace had before, belongs to somebody else."""


class JournalError(StartError):
    """The journal has a line, not the last, that can't be read."""
