"""What the SDK raises, in our words: what may have been charged, what may be sent again.

Nobody is sure after a timeout, a cut connection or a 5xx: the picture may have been made and
billed. Only a connection that never opened, and an answer that refuses, cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from maquette import net
from maquette.core.errors import (
    CreditGone,
    KeyRefused,
    Moderated,
    OutcomeUnknown,
    ProviderError,
    ProviderRefused,
    RateLimited,
)

if TYPE_CHECKING:
    import openai

_EMPTY_PURSE = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


def translate(error: openai.APIError, *, key_name: str, key: str | None) -> ProviderError:
    """Return our error for one of the SDK's; no message ever holds the key."""
    import openai  # noqa: PLC0415 - 0.4 s that only calls need

    if isinstance(error, openai.APIStatusError):
        return _by_status(error, key_name=key_name, key=key)
    if isinstance(error, openai.APIConnectionError):
        return net.failure(error.request.url.host, error.__cause__, paid=True)
    return _in_stream(error, key)


def _by_status(error: openai.APIStatusError, *, key_name: str, key: str | None) -> ProviderError:
    status = error.status_code
    facts = {"status": status, "request_id": error.request_id, "upstream_code": error.code}
    said = quoted(error, key)
    if status in (401, 403):
        # What the server says here often holds a part of the key.
        return KeyRefused(
            f"The server refused the key {key_name} ({status}); nothing was charged. Check that "
            "the key is right, belongs to this address and may use this model.",
            **facts,
        )
    if error.code == "moderation_blocked":
        return _moderated(said, **facts)
    if status == 429 and error.code in _EMPTY_PURSE:
        return CreditGone(
            f"The account behind {key_name} has no credit left, so the server refused: {said} "
            "Add credit or raise its limit there, then `maquette resume`.",
            **facts,
        )
    if status == 429:
        return RateLimited(
            f"The server asks for patience (429): {said}",
            retry_after=net.retry_after(error.response.headers),
            **facts,
        )
    if status >= 500:
        return OutcomeUnknown(
            f"The server failed after the call was sent ({status}): {said} It may have been "
            "charged.",
            **facts,
        )
    return ProviderRefused(f"The server refused the request ({status}): {said}", **facts)


def _in_stream(error: openai.APIError, key: str | None) -> ProviderError:
    said = quoted(error, key)
    if error.code == "moderation_blocked":
        return _moderated(said, upstream_code=error.code)
    return OutcomeUnknown(
        f"The answer broke off with an error: {said} It may have been charged.",
        upstream_code=error.code,
    )


def _moderated(said: str, **facts: str | float | None) -> ProviderRefused:
    return Moderated(
        f"Moderation refused the request: {said} Sending it again will not help; change the "
        "prompt or the pictures.",
        **facts,
    )


def quoted(error: openai.APIError, key: str | None) -> str:
    """Return the server's own message, cut to a sane length and without the key."""
    body: object = error.body
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    return net.cleaned(fields.get("message"), key)
