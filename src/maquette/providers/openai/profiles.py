"""The models as data: what they can do, what they cost, until when they live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from maquette.core.requests import Mode, ModelProfile, NoOptions, Side
from maquette.providers.openai.sizes import SizeRule

Rate = Annotated[Decimal, Field(ge=0)]
"""US dollars per million tokens."""


class Entry(BaseModel, frozen=True, extra="forbid"):
    """Base of the data rows: a misspelt field is an error."""


class Rates(Entry, frozen=True):
    """What tokens cost; cached input costs the full rate where no rate of its own is given."""

    text_in: Rate
    text_in_cached: Rate | None = None
    image_in: Rate
    image_in_cached: Rate | None = None
    image_out: Rate
    text_out: Rate | None = None


class OutputTokens(Entry, frozen=True):
    """How many tokens a picture has, by quality."""

    cells: dict[str, Annotated[int, Field(gt=0)]] = Field(min_length=1)
    """Cells along the longer side."""
    times: dict[str, Annotated[int, Field(gt=0)]] = {}
    """A factor on top, 1 where none is given."""


class Price(Entry, frozen=True):
    """Either a fixed amount a picture, or tokens."""

    per_image: Annotated[Decimal, Field(gt=0)] | None = None
    rates: Rates | None = None
    output: OutputTokens | None = None
    """Without it no upper bound is known, and the model is refused."""
    input_image_tokens: int = Field(default=10_000, ge=0)
    """The most that one input picture can have."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.per_image is None) == (self.rates is None):
            raise ValueError("a price has either per_image or rates")
        return self


OptionSet = Literal["wide", "plain", "fidelity", "low-fidelity", "bare"]


class ModelEntry(Entry, frozen=True):
    """One model, ours or one of a compatible server."""

    id: str = Field(min_length=1)
    title: str = ""
    modes: frozenset[Mode] = frozenset({"generate", "edit", "inpaint"})
    options: OptionSet = "plain"
    sizes: SizeRule = "any"
    max_images: int = Field(default=16, ge=1)
    """Input pictures of one call."""
    max_count: int = Field(default=10, ge=1)
    ask_b64: bool = False
    """Say `response_format=b64_json`: some compatible servers answer with addresses otherwise."""
    price: Price | None = None
    free: bool = False
    """A server of one's own; a model with neither `price` nor `free` is refused."""
    shutdown: date | None = None
    successor: str | None = None

    @model_validator(mode="after")
    def _priced_or_free(self) -> Self:
        if self.free and self.price is not None:
            raise ValueError("a model has a price or is free, not both")
        return self


class Catalogue(Entry, frozen=True):
    """The table that ships, with the day and the origin of its numbers."""

    as_of: date
    source: str
    notes: tuple[str, ...]
    models: tuple[ModelEntry, ...]


class BareOptions(NoOptions, frozen=True):
    """Nothing: a compatible server that knows no more than prompt, size and count."""


class PlainOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of every GPT image model."""

    quality: Literal["auto", "low", "medium", "high"] = "auto"
    """Always sent: the server's default has changed before, and the price depends on it."""
    background: Literal["auto", "opaque", "transparent"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: int | None = Field(default=None, ge=0, le=100)
    moderation: Literal["auto", "low"] | None = None
    """For generating only."""
    partial_images: int | None = Field(default=None, ge=0, le=3)
    """Unfinished pictures to show on the way; each costs tokens."""
    safety_identifier: str | None = Field(default=None, min_length=1, max_length=256)
    """A hash that stands for the end user; never a name or an address."""

    @model_validator(mode="after")
    def _fits_the_format(self) -> Self:
        if self.background == "transparent" and self.output_format == "jpeg":
            raise ValueError("a transparent background needs output_format png or webp")
        if self.output_compression is not None and self.output_format not in ("jpeg", "webp"):
            raise ValueError("output_compression needs output_format jpeg or webp")
        return self


class WideOptions(PlainOptions, frozen=True):
    """From 2.5 on there are two more qualities."""

    quality: Literal["auto", "low", "medium", "high", "xhigh", "max"] = "auto"  # pyright: ignore[reportIncompatibleVariableOverride] - frozen, so wider is safe


class FidelityOptions(PlainOptions, frozen=True):
    """The 1.5 generation can keep closer to its inputs."""

    input_fidelity: Literal["high", "low"] | None = None


class LowFidelityOptions(PlainOptions, frozen=True):
    """The small model knows the word, and one value of it."""

    input_fidelity: Literal["low"] | None = None


OPTIONS: dict[OptionSet, type[BaseModel]] = {
    "wide": WideOptions,
    "plain": PlainOptions,
    "fidelity": FidelityOptions,
    "low-fidelity": LowFidelityOptions,
    "bare": BareOptions,
}


@cache
def catalogue() -> Catalogue:
    """Read the table that ships."""
    text = files("maquette.providers.openai").joinpath("models.json").read_text(encoding="utf-8")
    return Catalogue.model_validate_json(text)


def entries(more: Sequence[ModelEntry], *, shipped: bool) -> dict[str, ModelEntry]:
    """Return the models by name; an entry of the settings replaces the shipped one."""
    found = {entry.id: entry for entry in catalogue().models} if shipped else {}
    return {**found, **{entry.id: entry for entry in more}}


def profile(entry: ModelEntry) -> ModelProfile:
    """Say it in the words of the core."""
    table = catalogue()
    shipped = entry.price is not None and any(
        one.id == entry.id and one.price == entry.price for one in table.models
    )
    return ModelProfile(
        id=entry.id,
        title=entry.title or entry.id,
        modes=entry.modes,
        options=OPTIONS[entry.options],
        max_pixels=_most_pixels(entry.sizes),
        max_count=entry.max_count,
        max_references=entry.max_images - 1,
        paid=not entry.free,
        shutdown=entry.shutdown,
        successor=entry.successor,
        price_as_of=table.as_of if shipped else None,
        price_source=table.source if shipped else None,
    )


def _most_pixels(rule: tuple[tuple[Side, Side], ...] | str) -> int:
    if rule == "multiples-of-16":
        return 3840 * 2160
    if isinstance(rule, str):
        return 64_000_000
    return max(width_px * height_px for width_px, height_px in rule)
