"""What each pipeline class can do: read before torch is there, so it is a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from maquette.core.requests import Mode


@dataclass(frozen=True)
class Family:
    """A kind of pipeline; figures hold where a model's own configuration does not say."""

    modes: frozenset[Mode]
    native_px: int
    """The side of the square that the family was trained on."""
    guidance: float
    """As the class's own default."""
    negative_prompt: bool = True
    patch: int = 1
    """Latent pixels that the model takes together."""
    half: Literal["float16", "bfloat16"] = "float16"


_ALL: frozenset[Mode] = frozenset({"generate", "edit", "inpaint"})
_EDIT: frozenset[Mode] = frozenset({"edit"})
_INPAINT: frozenset[Mode] = frozenset({"inpaint"})

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "StableDiffusionPipeline": Family(_ALL, 512, 7.5),
        "StableDiffusionImg2ImgPipeline": Family(_EDIT, 512, 7.5),
        "StableDiffusionInpaintPipeline": Family(_INPAINT, 512, 7.5),
        "StableDiffusionXLPipeline": Family(_ALL, 1024, 5.0),
        "StableDiffusionXLImg2ImgPipeline": Family(_EDIT, 1024, 5.0),
        "StableDiffusionXLInpaintPipeline": Family(_INPAINT, 1024, 7.5),
        "StableDiffusion3Pipeline": Family(_ALL, 1024, 7.0, patch=2, half="bfloat16"),
        "FluxPipeline": Family(_ALL, 1024, 3.5, negative_prompt=False, patch=2, half="bfloat16"),
    }
)
"""Each of these classes has been built small and run in every mode that it lists."""

INPAINT_CHANNELS = 9
"""A UNet that reads noise, mask and masked picture together can do nothing but inpaint."""
