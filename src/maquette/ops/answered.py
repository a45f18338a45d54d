"""Masks out of what an edit model made when it was asked where something is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel

from maquette.core.errors import BadParameter
from maquette.core.findings import Finding
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.pixels import painted

DOUBTFUL = 0.6
_SAME_SHAPE = 0.02
"""How far two proportions may differ and still be those of one picture."""


class PaintedParams(BaseModel, frozen=True, extra="forbid"):
    """What the model was asked to do."""

    way: painted.Way = "paint"


def read(rasters: Mapping[str, Raster], params: PaintedParams, _work: Work) -> Result:
    """Turn a model's answer into a mask of the picture that it was asked about.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3) and `answer` of shape (H, W, 3 or 4), uint8, sRGB

    Returns
    -------
    Result
        A mask of shape (H, W, 1), 255 = the thing; `data` has `confidence` in 0..1 and `share`,
        how much of the picture is marked, and soft
        findings where it is low and where the answer has other proportions.

    Raises
    ------
    BadParameter
        There is no `answer`.
    """
    image = rasters["image"].pixels
    if "answer" not in rasters:
        raise BadParameter("A mask is read from a model's answer; hand that in as well.")
    answer = rasters["answer"].pixels
    found = painted.mask_of(image, np.ascontiguousarray(answer[..., :3]), params.way)
    findings = _findings(found.confidence, image.shape, answer.shape)
    data = {"confidence": found.confidence, "share": float(found.alpha.mean()) / 255}
    return Result(Raster(found.alpha[..., None]), findings, data)


def _findings(
    confidence: float, source: tuple[int, ...], answer: tuple[int, ...]
) -> tuple[Finding, ...]:
    found: list[Finding] = []
    stretch = abs(source[0] * answer[1] / (source[1] * answer[0]) - 1)
    if stretch > _SAME_SHAPE:
        message = (
            f"The model answered with {answer[1]}x{answer[0]} px for a picture of "
            f"{source[1]}x{source[0]} px; its answer was stretched. Look whether the mask fits."
        )
        found.append(_soft("stretched_answer", message, stretch, _SAME_SHAPE))
    if confidence < DOUBTFUL:
        message = (
            f"The model's answer is no clear mask, confidence {confidence:.2f}. Look at it; name "
            "the thing in other words, or try another model."
        )
        found.append(_soft("doubtful_mask", message, confidence, DOUBTFUL))
    return tuple(found)


def _soft(code: str, message: str, measured: float, limit: float) -> Finding:
    return Finding(code=code, severity="soft", message=message, measured=measured, limit=limit)


ANSWER = Operation(
    id="mask.answer",
    version=1,
    title="Reading a model's answer",
    params=PaintedParams,
    apply=read,
    sources=(
        "Otsu: A threshold from gray-level histograms (1979), doi:10.1109/TSMC.1979.4310076",
        "He, Sun, Tang: Guided image filtering (2013), doi:10.1109/TPAMI.2012.213",
    ),
    needs=Needs(alpha="drop"),
    preference=100,
)
