"""OpenAI's Images API: any of its clients works here by changing its base address."""

from __future__ import annotations

import base64
import time
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, Field

from maquette.api.contract import raises
from maquette.api.door import SpendingOwn
from maquette.api.house import TheHouse
from maquette.core import errors as e
from maquette.core.requests import Size
from maquette.core.wanted import Wanted
from maquette.services import asking, results
from maquette.services.asking import Wish
from maquette.services.starting import Spending

router = APIRouter(prefix="/v1/images", tags=["openai"])


def _size(value: object) -> object:
    if isinstance(value, str) and value != "auto":
        width, cross, height = value.partition("x")
        if not (cross and width.isdecimal() and height.isdecimal()):
            raise ValueError("write a size as 'auto' or as WIDTHxHEIGHT, such as 1024x1024")
        return int(width), int(height)
    return value


class NewImages(Wanted):
    """What OpenAI's clients send to make pictures."""

    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: Annotated[Size | None, BeforeValidator(_size)] = None


class ImageMade(BaseModel):
    """One picture."""

    b64_json: str


class ImagesMade(BaseModel):
    """The pictures of a request."""

    created: int
    data: list[ImageMade]
    output_format: Literal["png", "jpeg", "webp"] | None = None


@router.post(
    "/generations",
    summary="Make pictures, as OpenAI's API does",
    responses=raises(e.CapabilityMissing, e.SpendRefused, e.StorageUnavailable, e.ProviderError),
)
async def generate_images(entry: SpendingOwn, house: TheHouse, wanted: NewImages) -> ImagesMade:
    """Make pictures and wait for them."""
    wish = Wish(
        prompt=wanted.prompt, model=wanted.model, count=wanted.n or 1, size=wanted.size or "auto"
    )
    studio, since = house.studio, house.feed.last
    asked = await asking.ask(studio, entry.project, wish)
    spending = Spending(confirmed=True, by=entry.caller.user_id)
    job_id = await asking.begin(studio, entry.project, asked, spending)
    await results.wait(house.feed, entry.project.id, job_id, since)
    result = await results.of(studio, entry.project.id, job_id)
    data = [
        ImageMade(b64_json=base64.b64encode(await results.read(studio, result, one)).decode())
        for one in result.final
    ]
    return ImagesMade(created=int(time.time()), data=data)
