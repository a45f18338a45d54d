"""Enlarging without weights."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field

from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.pixels import resample


class ResampleParams(BaseModel, frozen=True, extra="forbid"):
    """How much larger, how crisp."""

    scale: float = Field(default=2.0, ge=1, le=8, description="Factor for both sides.")
    sharpen: float = Field(default=0.35, ge=0, le=1, description="0 is plain Lanczos.")


def enlarge(rasters: Mapping[str, Raster], params: ResampleParams, _work: Work) -> Result:
    """Resample by Lanczos with a mild sharpening that makes no halos.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3 | 4), uint8, sRGB, straight alpha
    params : ResampleParams

    Returns
    -------
    Result
        A picture of round(H * scale) x round(W * scale) pixels.
    """
    pixels = rasters["image"].pixels
    return Result(Raster(resample.upscale(pixels, params.scale, sharpen=params.sharpen)))


RESAMPLE = Operation(
    id="upscale.resample",
    version=1,
    title="Lanczos resampling",
    params=ResampleParams,
    apply=enlarge,
    sources=("Duchon: Lanczos filtering in one and two dimensions (1979)",),
    needs=Needs(alpha="keep"),
    scale=lambda params: params.scale,
    preference=900,
)
