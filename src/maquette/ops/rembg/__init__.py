"""Background removal by rembg: a neural network on this machine, from files that are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from maquette.core.errors import CapabilityMissing
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.ops.rembg import doubt, edges, packages, session
from maquette.ops.rembg.models import TOOL, chosen, present
from maquette.ops.rembg.models import absent as _no_model
from maquette.pixels import matte

_GROUND = 128
"""The grey that shows a network what is transparent already."""


class RembgParams(BaseModel, frozen=True, extra="forbid"):
    """Which model, and what is done to the edge."""

    model: str = ""
    """Empty: the first that is there, in the order of `models.MODELS`."""
    alpha_matting: bool = True
    """Solve for the alpha of hair and other soft edges; a few seconds more."""
    decontaminate: bool = True
    """Take the old background's colour out of soft edges."""


def missing(weights: Path) -> str | None:
    """Say the first of: the extra, a model."""
    lacking = packages.lacking()
    if lacking:
        return (
            f"the extra 'rembg' is not installed ({', '.join(lacking)} not found). "
            f"Run `{TOOL.command}`."
        )
    return None if present(weights) else _no_model(weights)


def resolve(params: RembgParams, weights: Path) -> RembgParams:
    """Name the model where none is named; raise where it is unknown or not there."""
    return params.model_copy(update={"model": chosen(weights, params.model).name})


def cut_out(rasters: Mapping[str, Raster], params: RembgParams, work: Work) -> Result:
    """Separate subject and background by a neural network; make the rest transparent.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3) or (H, W, 4), uint8, sRGB, straight alpha; what is
        transparent stays transparent

    Returns
    -------
    Result
        A picture of shape (H, W, 4) with straight alpha. `data` has `model`, `edges`, how they
        were found, and `confidence` in 0..1; a soft finding where that is low.

    Raises
    ------
    BadParameter
        No such model runs here.
    CapabilityMissing
        The extra or the model's file is not there. Nothing is ever downloaded.
    OperationFailed
        The file is damaged, or no network that makes a mask.
    """
    lack = missing(work.weights)
    if lack is not None:
        raise CapabilityMissing(f"Nothing was computed: {lack}")
    model = chosen(work.weights, params.model)
    given = rasters["image"].pixels
    pixels, own = _shown(given)
    seen = session.network(model, model.path(work.weights)).look(pixels)
    work.progress(0.5)
    made = edges.fitted(pixels, seen.mask, matting=params.alpha_matting)
    alpha = made.alpha if own is None else _product(made.alpha, own)
    work.progress(0.9)
    colours = matte.decontaminate(pixels, alpha) if params.decontaminate else given[..., :3]
    sure = doubt.confidence(seen)
    data = {"confidence": sure, "model": model.name, "edges": made.way}
    return Result(Raster(np.dstack([colours, alpha])), doubt.findings(model.name, seen), data)


def _shown(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return what a viewer sees: what lies hidden below transparent pixels must not count."""
    colours = np.ascontiguousarray(pixels[..., :3])
    if pixels.shape[2] == 3:
        return colours, None
    own = np.ascontiguousarray(pixels[..., 3])
    return matte.composite(colours, np.full_like(colours, _GROUND), own), own


def _product(alpha: NDArray[np.uint8], own: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return ((alpha.astype(np.uint16) * own + 127) // 255).astype(np.uint8)


REMBG = Operation(
    id="background.rembg",
    version=1,
    title="rembg, a neural network",
    params=RembgParams,
    apply=cut_out,
    sources=(
        "Qin et al.: U²-Net (2020), doi:10.1016/j.patcog.2020.107404",
        "Qin et al.: Highly accurate dichotomous image segmentation (2022), arXiv:2203.03041",
        "Zheng et al.: Bilateral reference for dichotomous segmentation (2024), arXiv:2401.03407",
        "Levin, Lischinski, Weiss: Closed-form matting (2008), doi:10.1109/TPAMI.2007.1177",
        "Forte: Fast foreground colour estimation (2021), doi:10.1109/ICIP42928.2021.9506164",
    ),
    needs=Needs(alpha="keep"),
    preference=100,
    gives_alpha=True,
    patience=4.0,
    tool=TOOL,
    missing=missing,
    resolve=resolve,
    warm=packages.warm,
)
