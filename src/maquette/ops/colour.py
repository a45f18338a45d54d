"""Colour grading by a named look or a `.cube` file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, Field

from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.pixels import cube, lut
from maquette.pixels.looks import lut_of


class LutParams(BaseModel, frozen=True, extra="forbid"):
    """Which grade, and how much of it."""

    profile: str = Field(default="cinematic_warm", description="A look's name, or the file's.")
    strength: float = Field(default=1.0, ge=0, le=1, description="0 leaves the picture alone.")
    cube: str | None = Field(default=None, description="The text of a .cube file, instead.")


def grade(rasters: Mapping[str, Raster], params: LutParams, _work: Work) -> Result:
    """Map every colour through a 3D lookup table, interpolated over tetrahedra.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3), uint8, sRGB
    params : LutParams
        `strength` 0 is the identity.

    Returns
    -------
    Result
        A picture of the same shape.

    Raises
    ------
    BadParameter
        No look has that name, or the `.cube` text is malformed (with its line number).
    """
    table = table_of(params)
    if params.strength == 0:
        return Result(rasters["image"])
    graded = lut.apply(rasters["image"].pixels, lut.blend(table, params.strength))
    return Result(Raster(graded))


def table_of(params: LutParams) -> lut.Lut3D:
    """Return the table that the parameters name, or raise `BadParameter`."""
    text = params.cube
    return lut_of(params.profile) if text is None else cube.parse(text, params.profile)


def _resolve(params: LutParams, _weights: Path) -> LutParams:
    table_of(params)
    return params


LUT = Operation(
    id="colour.lut",
    version=1,
    title="3D lookup table",
    params=LutParams,
    apply=grade,
    sources=(
        "Adobe Systems, Cube LUT Specification 1.0 (2013)",
        "Kasson et al.: Performing color space conversions (1995), doi:10.1117/12.208656",
    ),
    needs=Needs(alpha="apart"),
    resolve=_resolve,
    warm=lut.warm,
)
