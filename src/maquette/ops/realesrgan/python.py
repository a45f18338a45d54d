"""Enlarging with a person's own Real-ESRGAN weights, by torch on whatever device there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from maquette.core.errors import OperationFailed
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster
from maquette.core.tools import Tool
from maquette.ops.realesrgan import checkpoint, packages
from maquette.ops.realesrgan.checkpoint import Loaded
from maquette.ops.realesrgan.picture import upscaled
from maquette.ops.realesrgan.tiles import Network, Tiling

TOOL = Tool(
    name="realesrgan-torch",
    purpose="enlarges pictures with detail by your own weights, on a GPU where there is one",
    licence="BSD-3-Clause (torch, and the published weights)",
    size="about 800 MB without a GPU, several GB with one; weights 5 to 67 MB",
    source="https://github.com/xinntao/Real-ESRGAN",
    extra="local",
    advice=f"Install `maquette[local]`. {checkpoint.ADVICE}",
)


class TorchParams(BaseModel, frozen=True, extra="forbid"):
    """How much larger, by which weights."""

    scale: float = Field(
        default=2.0,
        ge=1,
        le=8,
        description="Factor for both sides; 1 leaves the picture alone. The network enlarges by "
        "its own factor, and plain resampling does the rest, up or down.",
    )
    model: str = Field(default="", description="A file's name without its ending; empty: the best.")


@dataclass(frozen=True)
class Device:
    """Where to compute, in which precision, and how much at once."""

    name: str
    dtype: Any
    tiling: Tiling


def enlarge(rasters: Mapping[str, Raster], params: TorchParams, work: Work) -> Result:
    """Enlarge with a network that was trained to undo blur, noise and compression.

    Parameters
    ----------
    rasters : `image` of shape (H, W, 3 | 4), uint8, sRGB, straight alpha
    params : TorchParams
        `scale` 1 is the identity.

    Returns
    -------
    Result
        A picture of round(H * scale) x round(W * scale) pixels; `data` names the model, its
        architecture, the device and the precision.

    Raises
    ------
    BadParameter, CapabilityMissing
        See `checkpoint.chosen` and `checkpoint.load`.
    ImageTooLarge, OperationFailed
        See `picture.upscaled` and `tiles.enlarge`.
    """
    if params.scale == 1:
        return Result(rasters["image"])
    name, path = checkpoint.chosen(work.weights, params.model)
    torch = packages.imported("torch")
    loaded = checkpoint.load(torch, path)
    device = device_of(torch)
    made = upscaled(
        rasters["image"].pixels,
        params.scale,
        network(torch, loaded, device),
        loaded.architecture.factor,
        device.tiling,
        work.progress,
    )
    data: dict[str, float | str | None] = {
        "model": name,
        "architecture": loaded.architecture.words,
        "device": device.name,
        "precision": str(device.dtype).removeprefix("torch."),
    }
    return Result(Raster(made), data=data)


def device_of(torch: Any) -> Device:
    """Choose CUDA, then Apple's Metal, then the processor.

    16 bits where the hardware multiplies them: a processor that only imitates bfloat16 takes
    minutes for what 32 bits do in seconds. Metal stays at 32 bits (not measured).
    """
    if torch.cuda.is_available():
        return Device("cuda", torch.float16, Tiling(512, 12))
    if torch.backends.mps.is_available():
        return Device("mps", torch.float32, Tiling(256, 12))
    return Device("cpu", torch.bfloat16 if has_bfloat16(torch) else torch.float32, Tiling(192, 12))


def has_bfloat16(torch: Any) -> bool:
    """Say whether this processor multiplies bfloat16 itself."""
    cpu = torch.cpu  # torch asks this only of itself
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(cpu, name)()) for name in questions if hasattr(cpu, name))


def network(torch: Any, loaded: Loaded, device: Device) -> Network:
    """Return the network as a function on arrays, its weights on the device."""
    layout = torch.channels_last
    state = {name: one.to(device.name, device.dtype) for name, one in loaded.state.items()}
    state |= {name: one.to(memory_format=layout) for name, one in state.items() if one.dim() == 4}
    architecture = loaded.architecture

    def run(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = tile.shape[:2]
        short = [(-side % architecture.multiple_of) for side in (height, width)]
        whole = np.pad(tile, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
        batch = torch.from_numpy(np.ascontiguousarray(whole.transpose(2, 0, 1)))[None]
        batch = batch.to(device.name, device.dtype, memory_format=layout)
        try:
            with torch.inference_mode():
                made = architecture.forward(torch, state, batch)[0].to("cpu", torch.float32)
        except RuntimeError as error:
            said = str(error).partition("\n")[0][:200]
            raise OperationFailed(
                f"torch gave up on a tile of {width} by {height} pixels on {device.name!r}: "
                f"{said!r}. Free some of its memory, or choose the backend 'ncnn'."
            ) from None
        crop = made.numpy()[:, : height * architecture.factor, : width * architecture.factor]
        return np.ascontiguousarray(crop.transpose(1, 2, 0))

    return run


def _missing(weights: Path) -> str | None:
    if not packages.installed("torch"):
        return "the package 'torch' is not installed; run `pip install 'maquette[local]'`"
    if not checkpoint.present(weights):
        return f"no weights are in {str(weights / checkpoint.FOLDER)!r}. {checkpoint.ADVICE}"
    return None


def _resolve(params: TorchParams, weights: Path) -> TorchParams:
    name, _ = checkpoint.chosen(weights, params.model)
    return params.model_copy(update={"model": name})


PYTHON = Operation(
    id="upscale.python",
    version=1,
    title="Real-ESRGAN by torch; without a GPU about 5 min per input megapixel on two cores",
    params=TorchParams,
    apply=enlarge,
    sources=(
        "Wang et al.: Real-ESRGAN (2021), arXiv:2107.10833",
        "Wang et al.: ESRGAN (2018), arXiv:1809.00219, for RRDBNet",
        "weights: the user's own",
    ),
    needs=Needs(alpha="keep"),
    scale=lambda params: params.scale,
    deterministic=False,  # another device or another file of the same name makes other pixels
    preference=100,
    patience=48,
    tool=TOOL,
    missing=_missing,
    resolve=_resolve,
)
