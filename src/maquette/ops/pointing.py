"""Masks of what somebody points at, without weights: a draft, with an honest confidence."""

from __future__ import annotations

from collections.abc import Mapping

from maquette.core.findings import Finding
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.pointing import Pointed
from maquette.core.raster import Raster
from maquette.pixels import click, hints

DOUBTFUL = 0.5
"""Below this confidence the mask is reported as doubtful."""


class ClickParams(Pointed, frozen=True, extra="forbid"):
    """What was pointed at."""


def find(rasters: Mapping[str, Raster], params: ClickParams, work: Work) -> Result:
    """Mark what is pointed at by its colours and edges.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3), uint8, sRGB

    Returns
    -------
    Result
        A mask of shape (H, W, 1), 255 = the thing; `data` has `confidence` in 0..1 and `share`,
        how much of the picture is marked, and a soft
        finding where it is low.
    """
    shown = hints.of(params)
    found = click.thing(rasters["image"].pixels, shown, seed=work.seed % 2**31)
    data = {"confidence": found.confidence, "share": float(found.alpha.mean()) / 255}
    return Result(Raster(found.alpha[..., None]), _doubts(found.confidence), data)


def _doubts(confidence: float) -> tuple[Finding, ...]:
    if confidence >= DOUBTFUL:
        return ()
    message = (
        f"The embedded segmenter makes drafts, here with confidence {confidence:.2f}. Look at the "
        "mask; point at more parts, at what is too much, or draw a box."
    )
    return (
        Finding(
            code="doubtful_mask",
            severity="soft",
            message=message,
            measured=confidence,
            limit=DOUBTFUL,
        ),
    )


CLICK = Operation(
    id="mask.click",
    version=1,
    title="Barriers from clicks and graph cut",
    params=ClickParams,
    apply=find,
    sources=(
        "Zhang et al.: Minimum barrier salient object detection (2015), doi:10.1109/ICCV.2015.165",
        "Rother, Kolmogorov, Blake: GrabCut (2004), doi:10.1145/1015706.1015720",
        "He, Sun, Tang: Guided image filtering (2013), doi:10.1109/TPAMI.2012.213",
    ),
    needs=Needs(alpha="drop"),
    preference=900,
    warm=click.warm,
)
