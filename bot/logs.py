"""The log: one short line per happening on a terminal, one JSON object per line elsewhere, always on stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.settings import LogSettings

_CHATTY: Final = ("httpx", "httpcore", "apscheduler", "asyncio", "aiohttp", "slack_bolt", "slack_sdk", "peewee")
"""Libraries that are heard from warnings on; some of them log addresses that carry secrets below that."""


def configure(settings: LogSettings, secrets: Sequence[SecretStr | None] = ()) -> None:
    """Set up logging for this process; ``secrets`` are blotted out wherever they turn up."""
    human = settings.format == "human" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=True),
    ]
    last: list[Processor]
    if human:
        colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        last = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    blot = _Blot([secret.get_secret_value() for secret in secrets if secret is not None])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, blot],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class _Blot:
    """The last step: the finished line without the secrets in it."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= 8]

    def __call__(self, _logger: WrappedLogger, _name: str, line: EventDict | str) -> str:
        text = str(line)
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text
