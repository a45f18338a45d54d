"""Background removal without weights: a draft, with an honest confidence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel

from maquette.core.findings import Finding
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.pixels import matte, segment

DOUBTFUL = 0.5
"""Below this confidence the cutout is reported as doubtful."""


class ClassicalParams(BaseModel, frozen=True, extra="forbid"):
    """Nothing to set."""


def cut_out(rasters: Mapping[str, Raster], _params: ClassicalParams, work: Work) -> Result:
    """Separate subject and background by saliency and graph cut; make the rest transparent.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3), uint8, sRGB

    Returns
    -------
    Result
        A picture of shape (H, W, 4) with straight alpha and the fringe's colour cleaned;
        `data["confidence"]` in 0..1, and a soft finding where it is low.
    """
    pixels = rasters["image"].pixels
    found = segment.foreground(pixels, seed=work.seed % 2**31)
    colours = matte.decontaminate(pixels, found.alpha)
    cutout = np.dstack([colours, found.alpha])
    findings: tuple[Finding, ...] = ()
    if found.confidence < DOUBTFUL:
        findings = (
            Finding(
                code="doubtful_cutout",
                severity="soft",
                message=(
                    f"The embedded background removal is a draft, confidence "
                    f"{found.confidence:.2f}. Check the edges, or install a model backend."
                ),
                measured=found.confidence,
                limit=DOUBTFUL,
            ),
        )
    return Result(Raster(cutout), findings, {"confidence": found.confidence})


CLASSICAL = Operation(
    id="background.classical",
    version=1,
    title="Saliency and graph cut",
    params=ClassicalParams,
    apply=cut_out,
    sources=(
        "Zhang et al.: Minimum barrier salient object detection (2015), doi:10.1109/ICCV.2015.165",
        "Rother, Kolmogorov, Blake: GrabCut (2004), doi:10.1145/1015706.1015720",
        "He, Sun, Tang: Guided image filtering (2013), doi:10.1109/TPAMI.2012.213",
    ),
    needs=Needs(alpha="drop"),
    preference=900,
    gives_alpha=True,
    warm=segment.warm,
)
