"""What an answer other than 200 means: whether it was charged, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from urllib.parse import urlsplit

from maquette import net
from maquette.core.errors import (
    OutcomeUnknown,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from maquette.language import wire
from maquette.language.config import LanguageConfig

_EMPTY_PURSE = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context (?:length|size|window)"
    r"|maximum context|context the overflow|maximum prompt length",
    re.IGNORECASE,
)
_NO_SCHEMAS = re.compile(
    r"response_format|json_schema|structured output|grammar|guided", re.IGNORECASE
)
_HINTS: Mapping[int, str] = {
    1234: "Is LM Studio running? Its server listens on 1234 and is started in its Developer tab.",
    11434: "Is Ollama running? It listens on 11434; `ollama serve` starts it.",
}
_MOST_NAMED = 10


def not_reached(config: LanguageConfig, error: Exception) -> ProviderUnavailable:
    """Return the error for a connection that never opened."""
    port = urlsplit(config.base_url).port
    hint = _HINTS.get(port or 0, "Check base_url, and that the server is running.")
    return ProviderUnavailable(
        f"No connection to {config.base_url!r}, so nothing was sent: {net.cleaned(error)} {hint}"
    )


def knows_no_schemas(status: int, reply: bytes) -> bool:
    """Tell whether the server refused the form of the answer, rather than the question."""
    if status not in (400, 422):
        return False
    said = wire.read_complaint(reply)
    return _TOO_LONG.search(said.message) is None and bool(_NO_SCHEMAS.search(said.message))


def translate(
    config: LanguageConfig,
    status: int,
    headers: Mapping[str, str],
    reply: bytes,
    key: str | None,
) -> ProviderError:
    """Return our error; no message ever holds the key."""
    complaint = wire.read_complaint(reply)
    said = net.cleaned(complaint.message, key)
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
        return _too_often(config, headers, complaint, said)
    if status >= 500:
        return _broken(config, status, said)
    if status == 413 or _TOO_LONG.search(f"{complaint.code} {complaint.message}"):
        return ProviderRefused(
            f"The conversation is longer than {config.model!r} can take ({status}): {said} Nothing "
            "was charged. Shorten it, lower max_output_tokens, or load the model with a longer "
            "context: in LM Studio beside the model, in Ollama in its own settings.",
            status=status,
        )
    if 300 <= status < 400:
        return ProviderRefused(
            f"{where} points to another address ({status}), which is never followed; nothing was "
            "charged. Set base_url to the final address.",
            status=status,
        )
    return ProviderRefused(f"{where} refused the request ({status}): {said}", status=status)


def _too_often(
    config: LanguageConfig, headers: Mapping[str, str], complaint: wire.Complaint, said: str
) -> ProviderError:
    if complaint.code in _EMPTY_PURSE:
        return ProviderRefused(
            f"The account at {config.base_url!r} has no credit left, so it refused: {said} Add "
            "credit or raise its limit there.",
            status=429,
        )
    return RateLimited(
        f"{config.base_url!r} asks for patience (429): {said}",
        retry_after=net.retry_after(headers),
        status=429,
    )


def _broken(config: LanguageConfig, status: int, said: str) -> ProviderError:
    if config.free:
        return ProviderUnavailable(f"{config.base_url!r} failed ({status}): {said}", status=status)
    return OutcomeUnknown(
        f"{config.base_url!r} failed after the call was sent ({status}): {said} It may have been "
        "charged.",
        status=status,
    )


def no_such_model(
    config: LanguageConfig, reply: bytes, key: str | None, models: Sequence[str]
) -> ProviderRefused:
    """Return the error for a 404, with the models that the server has, as far as it told."""
    said = net.cleaned(wire.read_complaint(reply).message, key)
    near = get_close_matches(config.model, models, n=1)
    if near:
        hint = f"Did you mean {near[0]!r}?"
    elif models:
        more = ", …" if len(models) > _MOST_NAMED else ""
        hint = f"It has: {', '.join(models[:_MOST_NAMED])}{more}. Set MAQUETTE_LANGUAGE__MODEL."
    else:
        hint = "Check base_url, which usually ends with /v1, and that the model is installed."
    return ProviderRefused(
        f"{config.base_url!r} does not know the model {config.model!r} or the address (404): "
        f"{said} Nothing was charged. {hint}",
        status=404,
    )
