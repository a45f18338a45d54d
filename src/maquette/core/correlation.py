"""The id that follows one request through logs, jobs and upstream calls."""

from __future__ import annotations

import re
from contextvars import ContextVar
from uuid import uuid4

HEADER = "X-Correlation-ID"
current: ContextVar[str | None] = ContextVar("maquette_correlation_id", default=None)

_PLAIN = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def accepted(given: str | None) -> str:
    """Keep a caller's id where it can stand in a header and a log; else make one."""
    if given is not None and _PLAIN.fullmatch(given):
        return given
    return str(uuid4())
