"""What a chat call can cost at most, and what it did cost.

A token of a byte-level vocabulary stands for at least one byte, so texts have at most as many
tokens as UTF-8 bytes. A schema counts twice, since the service may lay it out in its own way;
`_WRAPPING` and `_PER_MESSAGE` are for what it puts around them. Output, thinking included, ends at
the limit of tokens that is sent along.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from maquette.core.errors import PriceUnknown
from maquette.core.language import ChatMessage, ChatRequest, Usage
from maquette.core.money import FREE, Usd
from maquette.language.config import LanguageConfig

_WRAPPING = 512
_PER_MESSAGE = 64
_MILLION = Decimal(1_000_000)


def output_limit(config: LanguageConfig, request: ChatRequest) -> int:
    """Return the most tokens that the answer may have."""
    wanted = request.max_output_tokens
    return config.max_output_tokens if wanted is None else min(wanted, config.max_output_tokens)


def upper_bound(config: LanguageConfig, request: ChatRequest) -> Usd:
    """Return the most that the call can cost; raise `PriceUnknown` where there is no price."""
    if config.free:
        return FREE
    price = config.price
    if price is None:
        raise PriceUnknown(
            f"The language model {config.model!r} has no price, so it is refused; nothing was "
            "sent. Write its price per million tokens under MAQUETTE_LANGUAGE__PRICE, or set "
            "MAQUETTE_LANGUAGE__FREE=true where calls cost nothing."
        )
    texts = sum(_bytes_of(message) for message in request.messages)
    schemas = sum(2 * _size(one.parameters) + 2 * _size(one.description) for one in request.tools)
    if request.schema is not None:
        schemas += 2 * _size(request.schema)
    pictures = sum(len(message.images) for message in request.messages)
    tokens = texts + schemas + _WRAPPING + pictures * config.input_image_tokens
    return Usd((tokens * price.input + output_limit(config, request) * price.output) / _MILLION)


def _bytes_of(message: ChatMessage) -> int:
    asked = sum(_size([one.name, dict(one.arguments)]) for one in message.tool_calls)
    return len(message.text.encode("utf-8", "surrogatepass")) + asked + _PER_MESSAGE


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def told(config: LanguageConfig) -> dict[str, Any] | None:
    """Say what tokens cost, and who says so; None: they cost nothing, or nobody says."""
    if config.price is None:
        return None
    rates = config.price.model_dump(mode="json", exclude_none=True, exclude={"date", "source"})
    return {"as_of": config.price.date.isoformat(), "source": config.price.source, **rates}


def charge(config: LanguageConfig, usage: Usage | None) -> Usd | None:
    """Return what the call cost; None where neither the reply nor the settings say."""
    if config.free:
        return FREE
    price = config.price
    if price is None or usage is None:
        return None
    cached = price.input if price.input_cached is None else price.input_cached
    from_cache = min(usage.cached_tokens, usage.input_tokens)
    dollars = (
        (usage.input_tokens - from_cache) * price.input
        + from_cache * cached
        + usage.output_tokens * price.output
    )
    return Usd(dollars / _MILLION)
