"""What a refusal of the service means: whether it was charged, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from maquette import net
from maquette.core.errors import OutcomeUnknown, ProviderError, ProviderRefused, RateLimited
from maquette.providers.removebg import pricing

_LONGEST_PROBLEM_BYTES = 64 * 1024


class _Problem(BaseModel):
    title: str = ""
    code: str | None = None


class _Problems(BaseModel):
    """`{"errors": [{title, code}]}`."""

    errors: tuple[_Problem, ...] = ()


def failure(
    status: int, headers: Mapping[str, str], body: bytes, *, key_name: str, key: str
) -> ProviderError:
    """Return our error for an answer that brings no picture; no message ever holds the key."""
    said, code = _said(body, key)
    facts: dict[str, str | float | None] = {"status": status, "upstream_code": code}
    if status >= 500:
        return OutcomeUnknown(
            f"remove.bg failed after the call was sent ({status}): {said} It may have been "
            "charged.",
            **facts,
        )
    if pricing.credits_charged(headers):
        # Never seen, but a refusal that says it was charged must not give the money back.
        return OutcomeUnknown(
            f"remove.bg refused the call ({status}) and says that it was charged all the same: "
            f"{said}",
            **facts,
        )
    if status in (401, 403):
        # What the server says here may hold a part of the key.
        return ProviderRefused(
            f"remove.bg refused the key {key_name} ({status}); nothing was charged. Check that the "
            "key is right and that its account may use the API.",
            **facts,
        )
    if status == 402:
        return ProviderRefused(
            f"The account behind {key_name} has no credits left (402), so nothing was charged: "
            f"{said} Add credits there, then `maquette resume`.",
            **facts,
        )
    if status == 429:
        return RateLimited(
            f"remove.bg asks for patience (429); nothing was charged: {said}",
            retry_after=net.retry_after(headers),
            **facts,
        )
    return ProviderRefused(
        f"remove.bg refused the request ({status}); nothing was charged: {said} Try another "
        "picture, or another backend.",
        **facts,
    )


def _said(body: bytes, key: str) -> tuple[str, str | None]:
    """Return what an error's body says, and the first code in it."""
    try:
        problems = _Problems.model_validate_json(body[:_LONGEST_PROBLEM_BYTES]).errors
    except ValidationError:
        problems = ()
    titles = "; ".join(one.title for one in problems if one.title)
    codes = [one.code.replace(key, "***")[:100] for one in problems if one.code]
    return net.cleaned(titles, key), codes[0] if codes else None
