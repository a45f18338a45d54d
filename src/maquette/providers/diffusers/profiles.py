"""A local model in the form that every provider's models have."""

from __future__ import annotations

from pydantic import BaseModel, Field

from maquette.core.requests import ModelProfile
from maquette.providers.diffusers.folder import LocalModel
from maquette.providers.diffusers.sizes import MOST_PIXELS


class StepOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of a model that generates from words."""

    steps: int | None = Field(default=None, ge=1, le=150)
    """Unset: as the settings say."""
    guidance: float | None = Field(default=None, ge=0, le=50)
    """How closely the words are followed; unset: the family's own default."""


class StrengthOptions(StepOptions, frozen=True):
    """Options of a model that also edits."""

    strength: float | None = Field(default=None, ge=0, le=1)
    """How much of the picture is made anew; unset: 0.75 for an edit, 1 inside a mask."""


DEFAULT_STRENGTH = {"edit": 0.75, "inpaint": 1.0}


def profile(model: LocalModel, *, deterministic: bool) -> ModelProfile:
    edits = model.modes & {"edit", "inpaint"}
    return ModelProfile(
        id=model.id,
        title=f"{model.id} ({model.pipeline}, {model.native_px} px)",
        modes=model.modes,
        options=StrengthOptions if edits else StepOptions,
        max_pixels=MOST_PIXELS,
        # One picture a call: each is stored before the next begins, and a crash loses only one.
        max_count=1,
        supports_seed=True,
        supports_negative_prompt=model.family.negative_prompt,
        deterministic=deterministic,
        paid=False,
    )
