"""What the models can do, as data: all of a server's checkpoints can do the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from maquette.core.provider import Listed
from maquette.core.requests import Mode, ModelProfile
from maquette.providers.a1111.config import CURRENT, A1111Config
from maquette.providers.a1111.sizes import MOST_PX

MODES: frozenset[Mode] = frozenset({"generate", "edit", "inpaint"})

Name = Annotated[str, Field(min_length=1, max_length=100)]


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What can be set for one call; what is left out where there is no default, the server chooses.

    The names and meanings of the mask's options are those of the web UI. That other servers of the
    dialect heed them is not confirmed.
    """

    steps: int = Field(default=20, ge=1, le=150)
    cfg_scale: float | None = Field(default=None, ge=0, le=30)
    sampler_name: Name | None = None
    scheduler: Name | None = None
    denoising_strength: float | None = Field(default=None, ge=0, le=1)
    """Editing only: 0 returns the source, 1 forgets it; 0.75 where nobody says."""
    mask_blur: int | None = Field(default=None, ge=0, le=64)
    """With a mask only: the radius in pixels that its edge is softened by; 4."""
    inpainting_fill: int | None = Field(default=None, ge=0, le=3)
    """With a mask only: begin from its surroundings (0), the source (1), noise (2), nothing (3)."""
    inpaint_full_res: bool | None = None
    """With a mask only: work on an enlarged cutting around it, instead of the whole; no."""
    inpaint_full_res_padding: int | None = Field(default=None, ge=0, le=512)
    """With `inpaint_full_res` only: how far the cutting reaches beyond the mask; 32."""


EDIT_DEFAULTS = {"denoising_strength": 0.75}
MASK_DEFAULTS = {"mask_blur": 4, "inpainting_fill": 1, "inpaint_full_res": False}
CUTTING_DEFAULTS = {"inpaint_full_res_padding": 32}


def profiles(config: A1111Config, listed: Sequence[Listed]) -> dict[str, ModelProfile]:
    """Return the loaded checkpoint first, then those of the settings and the learned ones."""
    rows = [
        Listed(id=CURRENT, title="the checkpoint that the server has loaded"),
        *(Listed(id=name) for name in config.models),
        *listed,
    ]
    found: dict[str, ModelProfile] = {}
    for row in rows:
        found.setdefault(row.id, _profile(row, config.max_count))
    return found


def _profile(row: Listed, max_count: int) -> ModelProfile:
    return ModelProfile(
        id=row.id,
        title=row.title.strip() or row.id,
        modes=MODES,
        options=Options,
        max_pixels=MOST_PX * MOST_PX,
        max_count=max_count,
        supports_seed=True,
        supports_negative_prompt=True,
        paid=False,
        shutdown=row.shutdown,
    )
