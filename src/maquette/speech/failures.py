"""What an answer other than 200 means: whether it was charged, and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from maquette import net
from maquette.core.errors import (
    BadProviderReply,
    OutcomeUnknown,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from maquette.speech.config import SpeechConfig

_EMPTY_PURSE = ("insufficient_quota", "billing_hard_limit_reached")


def translate(
    config: SpeechConfig,
    model: str,
    status: int,
    headers: Mapping[str, str],
    reply: bytes,
    key: str | None,
) -> ProviderError:
    """Return our error; no message ever holds the key."""
    message, code = _complaint(reply)
    said = net.cleaned(message, key)
    where = repr(config.base_url)
    if status in (401, 403):
        # What the server says here often holds a part of the key.
        named = f"the key {config.key_name}" if config.sends_key else "a call without a key"
        return ProviderRefused(
            f"{where} refused {named} ({status}); nothing was charged. Check that key_name names "
            "the right key, and that it may use this model.",
            status=status,
        )
    if status == 429:
        return _too_many(config, code, said, headers)
    if status >= 500 and not config.free:
        return OutcomeUnknown(
            f"{where} failed after the call was sent ({status}): {said} It may have been charged.",
            status=status,
        )
    if status >= 500:
        return ProviderUnavailable(f"{where} failed ({status}): {said}", status=status)
    if 200 < status < 300:
        return BadProviderReply(
            f"{where} answered with {status} and no result; the call may have been charged. Check "
            "MAQUETTE_SPEECH__BASE_URL.",
            status=status,
        )
    return ProviderRefused(_refused(where, model, status, said), status=status)


def _too_many(
    config: SpeechConfig, code: object, said: str, headers: Mapping[str, str]
) -> ProviderError:
    where = repr(config.base_url)
    if code in _EMPTY_PURSE:
        return ProviderRefused(
            f"The account behind {config.key_name} has no credit left, so {where} refused: {said} "
            "Add credit or raise its limit there.",
            status=429,
        )
    return RateLimited(
        f"{where} asks for patience (429): {said}",
        retry_after=net.retry_after(headers),
        status=429,
    )


def _refused(where: str, model: str, status: int, said: str) -> str:
    if 300 <= status < 400:
        return (
            f"{where} points to another address ({status}), which is never followed; nothing was "
            "charged. Set MAQUETTE_SPEECH__BASE_URL to the final address."
        )
    if status == 404:
        return (
            f"{where} does not know the model {model!r} or the address (404): {said} Nothing was "
            "charged. Check MAQUETTE_SPEECH__BASE_URL, which usually ends with /v1, and the model."
        )
    if status == 413:
        return (
            f"{where} finds the recording too large (413): {said} Nothing was charged. Cut it into "
            "shorter ones."
        )
    return f"{where} refused the request ({status}): {said} Nothing was charged."


def _complaint(reply: bytes) -> tuple[object, object]:
    """Return (message, code) of the error that a reply describes, in whatever form it does."""
    try:
        found: Any = json.loads(reply)
    except (ValueError, RecursionError):
        return reply[:2000].decode(errors="replace"), None
    if isinstance(found, dict):
        outer = cast("dict[str, Any]", found)
        inner = outer.get("error")
        if isinstance(inner, dict):
            error = cast("dict[str, Any]", inner)
            return error.get("message"), error.get("code")
        return inner or outer.get("message") or outer.get("detail"), outer.get("code")
    return found, None
