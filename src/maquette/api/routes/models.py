"""The models that can be asked for, as OpenAI's clients read them, and more about each."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path
from pydantic import BaseModel

from maquette.api.contract import raises
from maquette.api.door import SignedIn
from maquette.api.house import TheStudio
from maquette.core import errors as e
from maquette.services import catalogue
from maquette.services.catalogue import Model, Price

router = APIRouter(prefix="/v1/models", tags=["pictures"])

_SINCE = int(datetime.combine(date(2026, 1, 1), time(), UTC).timestamp())
"""`created`, which no provider tells: the same for all."""


class PriceDocument(BaseModel):
    """The most that one picture costs, without what pictures that are sent add."""

    size: str
    quality: str | None
    usd: str

    @classmethod
    def of(cls, price: Price) -> Self:
        """Write it down."""
        size = price.size if isinstance(price.size, str) else f"{price.size[0]}x{price.size[1]}"
        return cls(size=size, quality=price.quality, usd=str(price.usd))


class ModelDocument(BaseModel):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    shutdown_date: date | None
    """From that day on it is refused."""
    successor: str | None
    title: str
    provider: str
    name: str
    """`provider:model`, which no other model has."""
    modes: list[str]
    options: dict[str, Any]
    """A JSON schema of what it takes besides prompt and size."""
    sizes: list[str]
    """Of the usual ones, those that it makes."""
    max_count: int
    """Pictures of one call; more of them are asked for in several."""
    max_references: int
    max_pixels: int
    supports_seed: bool
    supports_negative_prompt: bool
    deterministic: bool
    proof: bool
    """Its pictures are drafts by classical means: it is not a model."""
    paid: bool
    prices: list[PriceDocument]
    """Upper bounds; empty where it is free or its price is not known."""
    prices_as_of: date | None
    prices_source: str | None
    ready: bool
    """By the installation's own keys; a project may have others."""
    missing: str | None
    """What has to be configured first."""

    @classmethod
    def of(cls, model: Model) -> Self:
        """Describe a model."""
        profile = model.profile
        return cls(
            id=model.id,
            created=_SINCE,
            owned_by=model.provider.id,
            shutdown_date=profile.shutdown,
            successor=profile.successor,
            title=profile.title,
            provider=model.provider.id,
            name=f"{model.provider.id}:{profile.id}",
            modes=sorted(profile.modes),
            options=dict(model.options),
            sizes=[f"{width}x{height}" for width, height in model.sizes],
            max_count=profile.max_count,
            max_references=profile.max_references,
            max_pixels=profile.max_pixels,
            supports_seed=profile.supports_seed,
            supports_negative_prompt=profile.supports_negative_prompt,
            deterministic=profile.deterministic,
            proof=profile.proof,
            paid=profile.paid,
            prices=[PriceDocument.of(one) for one in model.prices],
            prices_as_of=profile.price_as_of if model.prices else None,
            prices_source=profile.price_source if model.prices else None,
            ready=model.missing is None,
            missing=model.missing,
        )


class ModelList(BaseModel):
    """All models that are offered."""

    object: Literal["list"] = "list"
    data: list[ModelDocument]


@router.get("", summary="List the models")
async def list_models(_caller: SignedIn, studio: TheStudio) -> ModelList:
    """Return every model of every provider; nobody is called for it."""
    return ModelList(data=[ModelDocument.of(one) for one in catalogue.models(studio)])


@router.get("/{model:path}", summary="Show a model", responses=raises(e.ModelNotFound))
async def show_model(
    _caller: SignedIn,
    studio: TheStudio,
    model: Annotated[str, Path(min_length=1, max_length=200)],
) -> ModelDocument:
    """Return one, by its own name or by `provider:model`."""
    return ModelDocument.of(catalogue.model(studio, model))
