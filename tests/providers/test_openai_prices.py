"""WEB-8: prices: the table that ships, the upper bound of a call, and what a reply was charged."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

import pytest
from pydantic import ValidationError

from maquette.core.errors import PriceUnknown
from maquette.core.requests import ImageRequest, Input, Option, Size, digest_of
from maquette.providers.openai import pricing, wire
from maquette.providers.openai.pricing import CachedTokens, InputDetails, OutputDetails, Usage
from maquette.providers.openai.profiles import ModelEntry, Price, Rates, catalogue
from maquette.providers.openai.sizes import Wide, allowed

SHIPPED = {entry.id: entry for entry in catalogue().models}
SQUARE, TALL, CINEMA = (1024, 1024), (1024, 1536), (3840, 2160)
PUBLISHED = {
    ("gpt-image-2.5-flare", SQUARE): ".0059 .0132 .0527 .0937 .2107",
    ("gpt-image-2.5-flare", TALL): ".0047 .0103 .0412 .0738 .1646",
    ("gpt-image-2.5-flare", CINEMA): ".0111 .0260 .1001 .1779 .4003",
}
PUBLISHED_ROUNDED_UP = {
    ("gpt-image-2", SQUARE): ".006 .053 .211",
    ("gpt-image-2", CINEMA): ".012 .101 .401",
}


def picture(model: str, quality: str, size: Wide) -> Decimal:
    """Return the dollars of one output picture."""
    price = SHIPPED[model].price
    assert price is not None and price.output is not None and price.rates is not None
    return pricing.tokens_of(price.output, quality, size) * price.rates.image_out / 1_000_000


def request(
    model: str = "gpt-image-2", size: Size = SQUARE, inputs: int = 0, **options: Option
) -> ImageRequest:
    given = Input(
        role="init",
        digest=digest_of(b""),
        media_type="image/png",
        width_px=64,
        height_px=64,
        size_bytes=1,
    )
    return ImageRequest(
        provider="openai",
        model=model,
        prompt="x" * 100,
        size=size,
        inputs=(given,) * inputs,
        options=options,
    )


def bound(wanted: ImageRequest) -> Decimal:
    size = wanted.size
    return pricing.upper_bound(SHIPPED[wanted.model], wanted, size=size)


@pytest.mark.parametrize(("model", "size"), PUBLISHED)
def test_the_table_gives_every_published_price_of_a_picture(model: str, size: Wide) -> None:
    published = PUBLISHED[model, size].split()
    for quality, price in zip(("low", "medium", "high", "xhigh", "max"), published, strict=True):
        counted = picture(model, quality, size)
        assert counted.quantize(Decimal("0.0001"), ROUND_HALF_UP) == Decimal(price)


@pytest.mark.parametrize(("model", "size"), PUBLISHED_ROUNDED_UP)
def test_the_table_gives_the_prices_that_are_published_rounded_up(model: str, size: Wide) -> None:
    published = PUBLISHED_ROUNDED_UP[model, size].split()
    for quality, price in zip(("low", "medium", "high"), published, strict=True):
        counted = picture(model, quality, size)
        assert counted.quantize(Decimal("0.001"), ROUND_CEILING) == Decimal(price)


@pytest.mark.parametrize(
    ("quality", "times"), [("low", 4), ("medium", 4), ("high", 1), ("xhigh", 1), ("max", 1)]
)
def test_the_newest_family_is_reserved_at_the_upper_end_of_its_range(
    quality: str, times: int
) -> None:
    newest = picture("gpt-image-2.6-flare", quality, SQUARE)
    assert newest == times * picture("gpt-image-2.5-flare", quality, SQUARE)


def test_the_bound_is_words_and_pictures_and_output() -> None:
    """100 bytes and the wrapping at $5, two pictures at $8, outputs and 2 partials at $30."""
    wanted = request(inputs=2, quality="low", partial_images=2)
    known = (100 + 256) * 5 + 2 * 10_000 * 8
    assert bound(wanted) == Decimal(known + (196 + 2 * 100) * 30) / 1_000_000
    several = wanted.model_copy(update={"count": 3})
    assert bound(several) == Decimal(known + 3 * 196 * 30) / 1_000_000


@pytest.mark.parametrize("count", [1, 3])
def test_the_bound_has_as_many_partials_as_are_sent(count: int) -> None:
    wanted = request(quality="low", partial_images=2).model_copy(update={"count": count})
    sent = wire.ask(SHIPPED[wanted.model], wanted).params.get("partial_images", 0)
    plain = request(quality="low").model_copy(update={"count": count})
    assert bound(wanted) - bound(plain) == Decimal(sent * 100 * 30) / 1_000_000


def test_where_the_model_chooses_the_quality_the_dearest_is_reserved() -> None:
    assert bound(request(quality="auto")) == bound(request(quality="high"))
    assert bound(request()) == bound(request(quality="high"))


def test_where_the_model_chooses_the_size_no_size_is_dearer() -> None:
    chosen = bound(request(size="auto", quality="high"))
    rule = SHIPPED["gpt-image-2"].sizes
    sizes = [
        (width_px, height_px)
        for width_px in range(16, 3841, 160)
        for height_px in range(16, 3841, 160)
        if allowed(rule, (width_px, height_px))
    ]
    assert sizes
    assert all(bound(request(size=size, quality="high")) <= chosen for size in (*sizes, CINEMA))


@pytest.mark.parametrize("model", ["gpt-image-1.5", "gpt-image-1-mini", "chatgpt-image-latest"])
def test_a_gap_in_the_table_is_refused_and_never_guessed(model: str) -> None:
    with pytest.raises(PriceUnknown, match="no published number of tokens"):
        bound(request(model))


def test_a_model_without_any_price_is_refused() -> None:
    with pytest.raises(PriceUnknown, match="has no price"):
        pricing.upper_bound(ModelEntry(id="mine"), request("mine"), size="auto")


def test_a_quality_without_a_price_is_refused() -> None:
    with pytest.raises(PriceUnknown, match="'max'"):
        bound(request(quality="max"))


def test_a_price_by_tokens_without_limits_of_size_is_refused_where_the_server_chooses() -> None:
    """No upper bound exists."""
    entry = SHIPPED["gpt-image-2"].model_copy(update={"sizes": "any"})
    with pytest.raises(PriceUnknown, match="'auto'"):
        pricing.upper_bound(entry, request(size="auto"), size="auto")


def test_a_price_by_the_picture_counts_pictures() -> None:
    entry = ModelEntry(id="mine", price=Price(per_image=Decimal("0.02")))
    wanted = request("mine").model_copy(update={"count": 3})
    assert pricing.upper_bound(entry, wanted, size="auto") == Decimal("0.06")
    assert pricing.charge(entry, None, 3) == Decimal("0.06")


def test_a_free_model_costs_nothing() -> None:
    entry = ModelEntry(id="mine", free=True)
    assert pricing.upper_bound(entry, request("mine"), size="auto") == 0
    assert pricing.charge(entry, Usage(output_tokens=9), 1) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"free": True, "price": {"per_image": "0.1"}},
        {"price": {}},
        {"price": {"per_image": "0"}},
        {"price": {"per_image": "0.1", "rates": {"text_in": 1, "image_in": 1, "image_out": 1}}},
    ],
)
def test_a_contradictory_price_is_refused(fields: dict[str, object]) -> None:
    """Free is said, never meant by a price of zero."""
    with pytest.raises(ValidationError):
        ModelEntry.model_validate({"id": "mine", **fields})


def charged(usage: Usage, model: str = "gpt-image-2") -> Decimal | None:
    return pricing.charge(SHIPPED[model], usage, 1)


def test_a_charge_is_usage_times_rates() -> None:
    details = InputDetails(text_tokens=10, image_tokens=20)
    usage = Usage(input_tokens=30, output_tokens=40, input_tokens_details=details)
    assert charged(usage) == Decimal(10 * 5 + 20 * 8 + 40 * 30) / 1_000_000


def test_cached_input_has_rates_of_its_own() -> None:
    cached = CachedTokens(text_tokens=4, image_tokens=16)
    details = InputDetails(text_tokens=10, image_tokens=20, cached_tokens_details=cached)
    usage = Usage(input_tokens=30, input_tokens_details=details)
    expected = 6 * 5 + 4 * Decimal("1.25") + 4 * 8 + 16 * 2
    assert charged(usage) == expected / 1_000_000


def test_more_cached_than_given_is_never_a_refund() -> None:
    cached = CachedTokens(text_tokens=1000)
    details = InputDetails(text_tokens=10, cached_tokens_details=cached)
    assert charged(Usage(input_tokens_details=details)) == 10 * Decimal("1.25") / 1_000_000


def test_words_in_the_output_have_a_rate_of_their_own() -> None:
    details = OutputDetails(text_tokens=5, image_tokens=7)
    usage = Usage(output_tokens=12, output_tokens_details=details)
    assert charged(usage, "gpt-image-1.5") == Decimal(5 * 10 + 7 * 32) / 1_000_000


def test_without_details_the_dearer_rate_is_taken() -> None:
    assert charged(Usage(input_tokens=10, output_tokens=1)) == Decimal(10 * 8 + 30) / 1_000_000


def test_cached_input_without_a_rate_costs_the_full_one() -> None:
    rates = Rates(text_in=Decimal(5), image_in=Decimal(8), image_out=Decimal(30))
    entry = ModelEntry(id="mine", price=Price(rates=rates))
    cached = CachedTokens(text_tokens=10)
    details = InputDetails(text_tokens=10, cached_tokens_details=cached)
    usage = Usage(input_tokens_details=details)
    assert pricing.charge(entry, usage, 1) == Decimal(50) / 1_000_000


def test_without_usage_the_provider_does_not_say_what_it_charged() -> None:
    assert pricing.charge(SHIPPED["gpt-image-2"], None, 1) is None
    assert pricing.charge(ModelEntry(id="mine"), Usage(), 1) is None


def test_the_table_says_where_and_when_it_comes_from() -> None:
    assert catalogue().source
    assert catalogue().as_of.year >= 2026
