"""The models that can be asked for, with what each can do and costs; nobody is called for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, cast

from pydantic import BaseModel

from maquette.core.errors import InvalidInput, MaquetteError, ModelNotFound
from maquette.core.money import Usd
from maquette.core.provider import Provider, priced
from maquette.core.requests import ImageRequest, Input, Mode, ModelProfile, Size
from maquette.services.studio import Studio

_SIZES = ((1024, 1024), (1536, 1024), (1024, 1536), (2048, 2048), (3840, 2160))
_ORDER: tuple[Mode, ...] = ("generate", "edit", "inpaint", "cutout", "upscale")


@dataclass(frozen=True)
class Price:
    """The most that one picture costs."""

    size: Size
    quality: str | None
    usd: Usd


@dataclass(frozen=True)
class Model:
    """A model of one provider."""

    id: str
    """Its own name; with its provider's before it where several have one of that name."""
    provider: Provider
    profile: ModelProfile
    missing: str | None
    sizes: Sequence[tuple[int, int]]
    """Of the usual ones, those that it makes."""
    prices: Sequence[Price]

    @property
    def options(self) -> Mapping[str, Any]:
        """What it takes besides prompt and size, as a JSON schema."""
        return _schema(self.profile.options)


@cache
def _schema(options: type[BaseModel]) -> Mapping[str, Any]:
    return options.model_json_schema()


def models(studio: Studio) -> list[Model]:
    """List every model that is offered today."""
    return [_model(studio, *one) for one in _offered(studio)]


def model(studio: Studio, name: str) -> Model:
    """Find one by its own name or by `provider:name`; say what to use instead of one that ended."""
    found: list[Model] = []
    for one, provider, profile in _offered(studio, ended=True):
        if name in (one, f"{provider.id}:{profile.id}"):
            if _ended(studio, profile):
                raise ModelNotFound(
                    f"{profile.id!r} was shut down on {profile.shutdown:%Y-%m-%d}; use "
                    f"{profile.successor or 'another'}."
                )
            found.append(_model(studio, one, provider, profile))
    if not found:
        raise ModelNotFound(f"There is no model {name!r} here; GET /v1/models lists them.")
    return found[0]


def _offered(studio: Studio, *, ended: bool = False) -> list[tuple[str, Provider, ModelProfile]]:
    """Return the models with the names that they are asked for by."""
    providers = studio.shop.providers
    found = [
        (provider, profile)
        for name in providers
        if (provider := providers.get(name)) is not None
        for profile in provider.models()
        if ended or not _ended(studio, profile)
    ]
    often = Counter(profile.id for _, profile in found)
    return [
        (profile.id if often[profile.id] == 1 else f"{one.id}:{profile.id}", one, profile)
        for one, profile in found
    ]


def _ended(studio: Studio, profile: ModelProfile) -> bool:
    today = date.fromisoformat(studio.shop.clock.today())
    return profile.shutdown is not None and profile.shutdown <= today


def _model(studio: Studio, name: str, provider: Provider, profile: ModelProfile) -> Model:
    sizes = [one for one in _SIZES if _can(provider, profile, one)]
    return Model(
        name,
        provider,
        profile,
        studio.missing(provider),
        sizes,
        _prices(provider, profile, sizes) if profile.paid else [],
    )


def _prices(
    provider: Provider, profile: ModelProfile, sizes: Sequence[tuple[int, int]]
) -> list[Price]:
    """Price a picture of every usual size and quality; what has no price is left out."""
    found: list[Price] = []
    for size in sizes or ("auto",):
        for quality in _qualities(profile):
            request = _request(provider, profile, size, quality)
            try:
                found.append(Price(size, quality, priced(provider, request)))
            except MaquetteError:
                continue
    return found


def _qualities(profile: ModelProfile) -> Sequence[str | None]:
    members = _schema(profile.options).get("properties", {})
    said: Sequence[str] = members.get("quality", {}).get("enum", ())
    return [one for one in said if one != "auto"] or [None]


def _request(
    provider: Provider, profile: ModelProfile, size: Size, quality: str | None = None
) -> ImageRequest:
    mode: Mode = next(one for one in _ORDER if one in profile.modes)
    options = {} if quality is None else {"quality": quality}
    inputs = () if mode == "generate" else (_picture(size),)
    return ImageRequest(
        provider=provider.id,
        model=profile.id,
        mode=mode,
        prompt="a picture",
        size=size,
        inputs=inputs,
        options=cast("dict[str, Any]", options),
    )


def _picture(size: Size) -> Input:
    """Stand in for a picture to edit."""
    width_px, height_px = size if isinstance(size, tuple) else (1024, 1024)
    return Input.model_validate(
        {
            "role": "init",
            "digest": "0" * 64,
            "media_type": "image/png",
            "width_px": width_px,
            "height_px": height_px,
            "size_bytes": 0,
        }
    )


def _can(provider: Provider, profile: ModelProfile, size: tuple[int, int]) -> bool:
    if size[0] * size[1] > profile.max_pixels:
        return False
    try:
        provider.check(_request(provider, profile, size))
    except InvalidInput:
        return False
    return True
