"""Pictures in the format that somebody asked for; what is stored stays as it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from maquette.core.errors import BadParameter
from maquette.core.requests import Encoded, ModelProfile, Option
from maquette.jobs.pixelwork import convert
from maquette.services import results
from maquette.services.results import Picture, Result
from maquette.services.studio import Studio

Format: TypeAlias = Literal["png", "jpeg", "webp"]
_AUTO = ("quality", "background", "moderation")
"""Options whose value `auto` asks for nothing."""
_NOTHING_LOST = ("partial_images", "safety_identifier")
"""Options that change no picture: a model without them needs not be told."""


@dataclass(frozen=True)
class Delivery:
    """How the pictures of a job are handed out."""

    format: Format | None = None
    """None: as they were made."""
    compression: int | None = None
    """0 to 100, for JPEG and WebP: how good they are to be."""

    def document(self) -> dict[str, object]:
        """Write it into a run's settings."""
        return {name: value for name, value in vars(self).items() if value is not None}


def fitted(
    profile: ModelProfile, options: Mapping[str, Option], *, remade: bool = False
) -> tuple[dict[str, Option], Delivery]:
    """Part what the model is asked for from what we do ourselves.

    A format that the model cannot write is ours to convert, and so is that of a picture which is
    `remade` from the model's, for a composite or in the post chain; `auto` asks for nothing; of
    unfinished pictures there may always be fewer than asked for. The rest the model has to know,
    or its check refuses it. Raise `BadParameter` for a format or compression that there is not.
    """
    knows = profile.options.model_fields
    left = {
        name: value
        for name, value in options.items()
        if name in knows or not (name in _NOTHING_LOST or (name in _AUTO and value == "auto"))
    }
    if "output_format" in knows and not remade:
        return left, Delivery()
    form = left.pop("output_format", None)
    compression = left.pop("output_compression", None)
    if form is not None and form not in get_args(Format):
        raise BadParameter(
            f"output_format is {form!r}; choose png, jpeg or webp.", param="output_format"
        )
    if compression is not None and not (isinstance(compression, int) and 0 <= compression <= 100):
        raise BadParameter(
            f"output_compression is {compression!r}; choose 0 to 100.", param="output_compression"
        )
    if compression is not None and form not in ("jpeg", "webp"):
        raise BadParameter(
            "output_compression needs output_format jpeg or webp; add it.",
            param="output_compression",
        )
    return left, Delivery(cast("Format | None", form), compression)


def of_run(settings: Mapping[str, object]) -> Delivery:
    """Return what was asked for when the run was begun."""
    said = settings.get("deliver")
    return Delivery(**cast("dict[str, None]", said)) if isinstance(said, dict) else Delivery()


def media_type(one: Picture, delivery: Delivery) -> str | None:
    """Say what a picture is converted to before it is handed out; None: it goes as it was made."""
    if delivery.format is None:
        return None
    kind = f"image/{delivery.format}"
    same = kind == one.blob.media_type and delivery.compression is None
    return None if same else kind


async def picture(
    studio: Studio, result: Result, one: Picture, delivery: Delivery | None = None
) -> Encoded:
    """Return a picture as its job promised it, or as `delivery` says."""
    delivery = delivery or of_run(result.run.settings)
    data = await results.read(studio, result, one)
    kind = media_type(one, delivery)
    if kind is None or delivery.format is None:
        return Encoded(data, one.blob.media_type)
    name, compression = one.asset.name, delivery.compression
    made = await studio.shop.pool.run(convert, data, delivery.format, compression, name)
    return Encoded(made, kind)
