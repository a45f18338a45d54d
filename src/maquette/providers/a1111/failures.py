"""What a refusal of the server means, and what to do; nothing here ever costs money."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from maquette import net
from maquette.core.errors import ProviderError, ProviderRefused, ProviderUnavailable, RateLimited
from maquette.providers.a1111.config import SECTION, A1111Config

_LONGEST_PROBLEM_BYTES = 64 * 1024
_MEMORY = re.compile(r"out ?of ?memory|not enough memory|failed to allocate", re.IGNORECASE)


class _Problem(BaseModel, frozen=True):
    """FastAPI says `detail`; the web UI also `error` and `errors`; stable-diffusion.cpp `error`."""

    detail: Any = None
    errors: Any = None
    error: Any = None
    message: Any = None


def failure(
    status: int, headers: Mapping[str, str], body: bytes, config: A1111Config, password: str | None
) -> ProviderError:
    """Return our error for an answer that brings no picture; no message holds the password."""
    words = _words(body)
    said = net.cleaned(words, password)
    facts: dict[str, str | float | None] = {"status": status}
    if status in (401, 403):
        return ProviderRefused(_unwelcome(status, config), **facts)
    if _MEMORY.search(words):
        return ProviderRefused(
            f"The server has not enough memory for this ({status}): {said} It cost nothing. Ask "
            "for a smaller --size or fewer pictures at once.",
            **facts,
        )
    if status in (404, 405) and words in ("", "Not Found", "Method Not Allowed"):
        return ProviderRefused(
            f"{config.base_url} has no such address ({status}): the server was started without "
            f"its API (--api), or it is another one. Start it with --api, or correct "
            f"{SECTION}BASE_URL.",
            **facts,
        )
    if status == 429:
        return RateLimited(
            f"The server asks for patience (429): {said}",
            retry_after=net.retry_after(headers),
            **facts,
        )
    if status >= 500:
        return ProviderUnavailable(
            f"The server failed ({status}): {said} It cost nothing.", **facts
        )
    return ProviderRefused(
        f"The server refused the request ({status}): {said} It cost nothing.", **facts
    )


def _unwelcome(status: int, config: A1111Config) -> str:
    if config.user is None:
        return (
            f"{config.base_url} wants a user and a password ({status}). Set {SECTION}USER, and the "
            f"password as the key {config.key_name}."
        )
    return (
        f"{config.base_url} refused the user {config.user!r} with the password of the key "
        f"{config.key_name} ({status}). Check {SECTION}USER and that key."
    )


def _words(body: bytes) -> str:
    """Return what an error's body says, in its own words."""
    try:
        problem = _Problem.model_validate_json(body[:_LONGEST_PROBLEM_BYTES])
    except ValidationError:
        return ""
    told = (problem.error, _flat(problem.detail), problem.errors, problem.message)
    return "; ".join(dict.fromkeys(str(one).strip() for one in told if one))


def _flat(detail: Any) -> str:
    """Write a list of validation errors in one line."""
    if not isinstance(detail, list):
        return str(detail or "")
    rows = cast("list[Any]", detail)
    return "; ".join(_field(row) for row in rows[:5])


def _field(row: Any) -> str:
    if not isinstance(row, dict):
        return str(row)
    told = cast("dict[str, Any]", row)
    place: Any = told.get("loc")
    names = cast("list[Any]", place) if isinstance(place, list) else []
    return f"{'.'.join(str(name) for name in names)}: {told.get('msg')}"
