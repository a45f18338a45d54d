"""What a call can cost at most, and what it did cost.

The upper bound has three parts.

- Text: a token of a byte-level vocabulary stands for at least one byte, so a prompt has at most
  as many tokens as UTF-8 bytes; `_WRAPPING` is added for what the service puts around it.
- Input pictures: the table's bound for one picture, for each picture and for the mask.
- Output: cells and pixels as the table says, rounded up, at the dearest quality and size where
  the model chooses, and `_PARTIAL` tokens for each unfinished picture.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

from maquette.core.errors import PriceUnknown
from maquette.core.money import FREE, Usd
from maquette.core.requests import ImageRequest
from maquette.providers.openai.profiles import ModelEntry, OutputTokens, Price, Rates, catalogue
from maquette.providers.openai.sizes import Wide, largest

_WRAPPING = 256
_PARTIAL = 100
"""Output tokens of one unfinished picture, as OpenAI's streaming guide says; not confirmed."""
_MILLION = Decimal(1_000_000)

Count = Field(default=0, ge=0)


class CachedTokens(BaseModel, frozen=True):
    """The share of the input that was read from the cache."""

    text_tokens: int = Count
    image_tokens: int = Count


class InputDetails(BaseModel, frozen=True):
    """Input tokens by kind."""

    text_tokens: int = Count
    image_tokens: int = Count
    cached_tokens_details: CachedTokens | None = None


class OutputDetails(BaseModel, frozen=True):
    """Output tokens by kind."""

    text_tokens: int = Count
    image_tokens: int = Count


class Usage(BaseModel, frozen=True):
    """The usage that a reply reports."""

    input_tokens: int = Count
    output_tokens: int = Count
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None

    def counted(self) -> dict[str, int]:
        """Say it as the usage of an attempt: tokens by kind."""
        given = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        if self.input_tokens_details is not None:
            given["input_text_tokens"] = self.input_tokens_details.text_tokens
            given["input_image_tokens"] = self.input_tokens_details.image_tokens
            cached = self.input_tokens_details.cached_tokens_details
            if cached is not None:
                given["cached_text_tokens"] = cached.text_tokens
                given["cached_image_tokens"] = cached.image_tokens
        if self.output_tokens_details is not None:
            given["output_text_tokens"] = self.output_tokens_details.text_tokens
            given["output_image_tokens"] = self.output_tokens_details.image_tokens
        return given

    def told(self) -> dict[str, str]:
        """Say it as the details of an attempt."""
        return {name: str(value) for name, value in self.counted().items()}


def upper_bound(entry: ModelEntry, request: ImageRequest, *, size: str | Wide) -> Usd:
    """Return the most that the call can cost; raise `PriceUnknown` where the table has a gap."""
    if entry.free:
        return FREE
    price = entry.price
    if price is None:
        raise _unknown(entry, "has no price")
    if price.per_image is not None:
        return Usd(price.per_image * request.count)
    if price.rates is None or price.output is None:
        raise _unknown(entry, "has no published number of tokens for a picture")
    quality = str(request.options.get("quality", "auto"))
    picture = _dearest(entry, price.output, quality, size)
    output = picture * request.count + _PARTIAL * partials_of(request)
    return Usd(
        _input_bound(price, price.rates, request) + output * price.rates.image_out / _MILLION
    )


def partials_of(request: ImageRequest) -> int:
    """Return how many unfinished pictures are sent: only a call for one picture is streamed."""
    return int(request.options.get("partial_images", 0)) if request.count == 1 else 0


def _input_bound(price: Price, rates: Rates, request: ImageRequest) -> Decimal:
    text = len(request.prompt.encode()) + _WRAPPING
    images = price.input_image_tokens * len(request.inputs)
    return (text * rates.text_in + images * rates.image_in) / _MILLION


def _dearest(entry: ModelEntry, output: OutputTokens, quality: str, size: str | Wide) -> int:
    qualities = tuple(output.cells) if quality == "auto" else (quality,)
    sizes = (size,) if isinstance(size, tuple) else largest(entry.sizes)
    if not sizes or not set(qualities) <= set(output.cells):
        raise _unknown(entry, f"has no price for quality {quality!r} at size {size!r}")
    return max(tokens_of(output, quality, size) for quality in qualities for size in sizes)


def tokens_of(output: OutputTokens, quality: str, size: Wide) -> int:
    """Return the output tokens of one picture, rounded up."""
    cells = output.cells[quality]
    short_px, long_px = sorted(size)
    across = -(-cells * short_px // long_px)
    tokens = -(-cells * across * (2_000_000 + short_px * long_px) // 4_000_000)
    return tokens * output.times.get(quality, 1)


def charge(entry: ModelEntry, usage: Usage | None, count: int) -> Usd | None:
    """Return what the call cost; None where neither the reply nor the table says."""
    if entry.free:
        return FREE
    if entry.price is None:
        return None
    if entry.price.per_image is not None:
        return Usd(entry.price.per_image * count)
    if usage is None or entry.price.rates is None:
        return None
    rates = entry.price.rates
    return Usd((_input_charge(rates, usage) + _output_charge(rates, usage)) / _MILLION)


def _input_charge(rates: Rates, usage: Usage) -> Decimal:
    details = usage.input_tokens_details
    if details is None:
        return usage.input_tokens * max(rates.text_in, rates.image_in)
    cached = details.cached_tokens_details or CachedTokens()
    text_cached = rates.text_in if rates.text_in_cached is None else rates.text_in_cached
    image_cached = rates.image_in if rates.image_in_cached is None else rates.image_in_cached
    text = min(cached.text_tokens, details.text_tokens)
    image = min(cached.image_tokens, details.image_tokens)
    return (
        (details.text_tokens - text) * rates.text_in
        + text * text_cached
        + (details.image_tokens - image) * rates.image_in
        + image * image_cached
    )


def _output_charge(rates: Rates, usage: Usage) -> Decimal:
    details = usage.output_tokens_details
    if details is None:
        return usage.output_tokens * rates.image_out
    text_out = rates.image_out if rates.text_out is None else rates.text_out
    return details.image_tokens * rates.image_out + details.text_tokens * text_out


def told(entry: ModelEntry) -> dict[str, Any] | None:
    """Say what a model costs, and who says so: the table that ships, or the settings."""
    if entry.price is None:
        return None
    table = catalogue()
    shipped = any(entry.price == one.price for one in table.models)
    origin = (
        {"as_of": table.as_of.isoformat(), "source": table.source}
        if shipped
        else {"as_of": None, "source": "settings"}
    )
    return {**origin, **entry.price.model_dump(mode="json", exclude_none=True)}


def _unknown(entry: ModelEntry, why: str) -> PriceUnknown:
    return PriceUnknown(
        f"The model {entry.id!r} {why}, so it is refused; nothing was sent. Choose another model, "
        "or another quality or size, or give the model a price in the settings."
    )
