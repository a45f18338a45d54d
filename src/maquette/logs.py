"""Structured logs: one line an event, with the correlation id, without anybody's secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(
    r"(?i)(authorization|cookie|password|passwd|secret|token|api_?key|master_?key)"
)
_SHOWN = re.compile(r"(?i)\b(bearer\s+|sk-|mq_)[A-Za-z0-9._~+/=-]{6,}")
_MASK = "**********"
QUIET = ("httpx2", "httpcore2", "mcp", "dbos", "uvicorn.error", "botocore", "alembic")
"""Libraries whose chatter is left out."""


def configure(level: str, form: str) -> None:
    """Send all logs, ours and the libraries', to standard error: `auto`, `json` or `console`."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        last += [structlog.processors.format_exc_info, masked, structlog.processors.JSONRenderer()]
    else:
        last += [masked, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def masked(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide what may be a secret, by the name of the member or by how it looks."""
    for name, value in line.items():
        if _SECRET.search(name):
            line[name] = _MASK
        elif isinstance(value, str):
            line[name] = _SHOWN.sub(lambda found: found[1] + _MASK, value)
    return line
