"""Masks of what somebody points at by Segment Anything, from files that are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from maquette.core.errors import CapabilityMissing
from maquette.core.findings import Finding
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.pointing import Pointed
from maquette.core.raster import Raster
from maquette.ops.sam import session
from maquette.ops.sam.models import TOOL, chosen, missing
from maquette.pixels import hints, matte

DOUBTFUL = 0.7
"""Below this expected overlap the mask is reported as doubtful."""


class SamParams(Pointed, frozen=True, extra="forbid"):
    """What was pointed at, and which pair of files looks for it."""

    model: str = ""
    """Empty: the first that is there, by name."""


def resolve(params: SamParams, weights: Path) -> SamParams:
    """Name the model where none is named; raise where it is not there."""
    return params.model_copy(update={"model": chosen(weights, params.model).name})


def find(rasters: Mapping[str, Raster], params: SamParams, work: Work) -> Result:
    """Mark what is pointed at, as the network sees it.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3), uint8, sRGB

    Returns
    -------
    Result
        A mask of shape (H, W, 1), 255 = the thing. `data` has `model`, the `share` that is
        marked, and `confidence` in 0..1,
        the overlap that the network itself expects; a soft finding where it is low.

    Raises
    ------
    BadParameter
        Nothing, or something outside the picture, was pointed at; or no such model is there.
    CapabilityMissing
        The extra or the files are not there. Nothing is ever downloaded.
    OperationFailed
        A file is damaged, or is no export of Segment Anything.
    """
    lack = missing(work.weights)
    if lack is not None:
        raise CapabilityMissing(f"Nothing was computed: {lack}")
    model = chosen(work.weights, params.model)
    pixels = rasters["image"].pixels
    hints.of(params).check(*pixels.shape[:2])
    logits, overlap = session.network(model).find(pixels, params)
    work.progress(0.9)
    marked = np.where(logits > 0, 255, 0).astype(np.uint8)
    if marked.any() and not marked.all():
        # The network's own grid is a quarter of the square's; the picture's edges are finer.
        marked = matte.refine_alpha(pixels, marked, radius_px=max(2, max(marked.shape) // 128))
    findings: tuple[Finding, ...] = ()
    if overlap < DOUBTFUL:
        message = (
            f"{model.name!r} expects its mask to be right by {overlap:.2f} only. Look at it; point "
            "at more of the thing, at what is too much, or draw a box."
        )
        findings = (
            Finding(
                code="doubtful_mask",
                severity="soft",
                message=message,
                measured=overlap,
                limit=DOUBTFUL,
            ),
        )
    share = float(marked.mean()) / 255
    data = {"confidence": overlap, "share": share, "model": model.name}
    return Result(Raster(marked[..., None]), findings, data)


SAM = Operation(
    id="mask.sam",
    version=1,
    title="Segment Anything, a neural network",
    params=SamParams,
    apply=find,
    sources=("Kirillov et al.: Segment anything (2023), arXiv:2304.02643",),
    needs=Needs(alpha="drop"),
    preference=100,
    patience=4.0,
    tool=TOOL,
    missing=missing,
    resolve=resolve,
)
