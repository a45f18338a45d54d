"""What a refusal of the service means: whether it was charged, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from maquette import net
from maquette.core.errors import OutcomeUnknown, ProviderError, ProviderRefused, RateLimited

_LONGEST_PROBLEM_BYTES = 64 * 1024


class _Problem(BaseModel):
    """`{detail, status_code, type}`; the public description of 402 wraps it in `error`."""

    detail: Any = None
    type: Any = None
    error: dict[str, Any] | str | None = None


def failure(
    status: int, headers: Mapping[str, str], body: bytes, *, key_name: str, key: str
) -> ProviderError:
    """Return our error for an answer that brings no picture; no message ever holds the key."""
    said, kind = _said(body, key)
    facts: dict[str, str | float | None] = {"status": status, "upstream_code": kind}
    if status in (401, 403):
        # What the server says here may hold a part of the key.
        return ProviderRefused(
            f"Photoroom refused the key {key_name} ({status}); nothing was charged. Check that the "
            "key is right and that its plan includes the background removal.",
            **facts,
        )
    if status == 402:
        return ProviderRefused(
            f"The account behind {key_name} has no credit left (402), so nothing was charged: "
            f"{said} Add credit there, then `maquette resume`.",
            **facts,
        )
    if status == 429:
        return RateLimited(
            f"Photoroom asks for patience (429); nothing was charged: {said}",
            retry_after=net.retry_after(headers),
            **facts,
        )
    if status >= 500:
        return OutcomeUnknown(
            f"Photoroom failed after the call was sent ({status}): {said} It may have been "
            "charged.",
            **facts,
        )
    return ProviderRefused(
        f"Photoroom refused the request ({status}); nothing was charged: {said} Try another "
        "picture, or another backend.",
        **facts,
    )


def _said(body: bytes, key: str) -> tuple[str, str | None]:
    """Return what an error's body says, and its type."""
    try:
        problem = _Problem.model_validate_json(body[:_LONGEST_PROBLEM_BYTES])
    except ValidationError:
        return net.cleaned(None), None
    detail = problem.detail
    if detail is None:
        inner = problem.error
        detail = inner.get("detail") if isinstance(inner, dict) else inner
    kind = problem.type.replace(key, "***")[:100] if isinstance(problem.type, str) else None
    return net.cleaned(detail, key), kind
