"""Dates in addresses: written as dates, never as seconds since 1970."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import Query
from pydantic import BeforeValidator


def _dated(value: object) -> object:
    if isinstance(value, str) and "-" not in value[1:]:
        raise ValueError("write a date, as 2026-11-21 or 2026-11-21T12:00:00Z")
    return value


Day = Annotated[date | None, BeforeValidator(_dated)]
Moment = Annotated[
    datetime | None,
    BeforeValidator(_dated),
    Query(description="ISO 8601; without an offset, UTC."),
]
