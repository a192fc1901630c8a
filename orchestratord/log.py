"""Structured logs: one JSON object a line on standard error.

Every line carries the ids of the request and pane that it was written for.
Never give it a payload, pane output or an environment value.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import msgspec

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": record.name.removeprefix("orchestratord."),
            "event": record.getMessage(),
        }
        if (request := request_id.get()) is not None:
            line["request"] = request
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class Log:
    """A named source of log lines. The first argument is a fixed phrase, values are fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"orchestratord.{name}")

    def debug(self, event: str, **fields: Any) -> None:
        self._logger.debug(event, extra={"fields": fields})

    def info(self, event: str, **fields: Any) -> None:
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: Any) -> None:
        self._logger.warning(event, extra={"fields": fields})

    def error(self, event: str, **fields: Any) -> None:
        """Log a fault; inside an ``except`` block the traceback comes along."""
        self._logger.error(event, extra={"fields": fields}, exc_info=sys.exc_info()[0] is not None)


def configure(level: str) -> None:
    """Send every line of that level and above to standard error."""
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(_JsonLines())
    root = logging.getLogger("orchestratord")
    root.handlers[:] = [out]
    root.setLevel(level.upper())
    root.propagate = False
