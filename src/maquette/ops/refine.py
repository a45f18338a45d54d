"""Merging a cutout with the version of it that an edit model redrew."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from maquette.core.errors import BadParameter
from maquette.core.findings import Finding
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.pixels import refine

MOVED = 0.85
"""Less overlap than this means that the model drew another subject, or moved it."""


class MergeParams(BaseModel, frozen=True, extra="forbid"):
    """Nothing to set."""


def merge(rasters: Mapping[str, Raster], _params: MergeParams, _work: Work) -> Result:
    """Take the edges, and only those, from the redrawn picture.

    Parameters
    ----------
    rasters : `image`, the cutout of shape (H, W, 4), uint8, sRGB, straight alpha; `refined`, what
        the model made of it, of any size

    Returns
    -------
    Result
        A picture of shape (H, W, 4); the cutout itself, with a soft finding, where the model
        moved the subject. `data` has `overlap` 0..1 and `drift` 0..255, which was undone.

    Raises
    ------
    BadParameter
        `image` has no alpha, or `refined` is missing.
    """
    cutout = rasters["image"]
    if not cutout.has_alpha or "refined" not in rasters:
        raise BadParameter("A refine pass takes a cutout with alpha and what a model made of it.")
    made = refine.merge(cutout.pixels, rasters["refined"].pixels)
    data = {"overlap": made.overlap, "drift": made.drift}
    if made.overlap >= MOVED:
        return Result(Raster(made.pixels), (), data)
    finding = Finding(
        code="refine_rejected",
        severity="soft",
        message=(
            f"The model moved or redrew the subject (overlap {made.overlap:.2f}), so the cutout "
            "stays as it was. Try another --bg-refine-model or --bg-refine-prompt."
        ),
        measured=made.overlap,
        limit=MOVED,
    )
    return Result(cutout, (finding,), data)


MERGE = Operation(
    id="refine.merge",
    version=1,
    title="Edges from an edit model",
    params=MergeParams,
    apply=merge,
    sources=(
        "Porter, Duff: Compositing digital images (1984), doi:10.1145/800031.808606",
        "Borgefors: Distance transformations in digital images, doi:10.1016/S0734-189X(86)80047-0",
    ),
    needs=Needs(alpha="keep"),
    gives_alpha=True,
)
