"""A person's own weights: which there are, and how to read them without running any code."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.ops.realesrgan import networks
from maquette.ops.realesrgan.models import FOLDER
from maquette.ops.realesrgan.networks import Architecture, State

ENDINGS: Final = (".safetensors", ".pth")
_PREFERRED: Final = (
    "RealESRGAN_x4plus",
    "RealESRGAN_x2plus",
    "realesr-general-x4v3",
    "RealESRGAN_x4plus_anime_6B",
    "realesr-animevideov3",
)
"""The published names, best first; any other comes after these, by name."""

ADVICE: Final = (
    "Put the weights of a Real-ESRGAN network, as `RealESRGAN_x4plus.pth`, into the folder "
    f"{FOLDER!r} of the weights folder; nothing fetches them unasked"
)


@dataclass(frozen=True)
class Loaded:
    """A network and its weights, in 32-bit floats on the processor."""

    architecture: Architecture
    state: State


def present(weights: Path) -> dict[str, Path]:
    """Return the files there are by model name, best first; `.safetensors` before `.pth`."""
    folder = weights / FOLDER
    found: dict[str, Path] = {}
    for ending in ENDINGS:
        for path in sorted(folder.glob(f"*{ending}")):
            if path.is_file():
                found.setdefault(path.stem, path)
    return dict(sorted(found.items(), key=lambda one: _rank(one[0])))


def chosen(weights: Path, name: str) -> tuple[str, Path]:
    """Return a model's name and file; where none is named, the best of those there are.

    Raises
    ------
    CapabilityMissing
        No file is there.
    BadParameter
        Others are, but not the one that is named.
    """
    ready = present(weights)
    if not ready:
        raise CapabilityMissing(
            f"No {' or '.join(ENDINGS)} file is in {str(weights / FOLDER)!r}; nothing was "
            f"computed. {ADVICE}."
        )
    taken = name or next(iter(ready))
    if taken not in ready:
        there = ", ".join(repr(one) for one in ready)
        raise BadParameter(
            f"model {name!r} is not there; nothing was computed. There are: {there}. Choose one of "
            "those, or put its file beside them."
        )
    return taken, ready[taken]


def load(torch: Any, path: Path) -> Loaded:
    """Read a file's tensors, and nothing else that it may hold, and recognise the network.

    Raises
    ------
    BadParameter
        The file is damaged, holds more than tensors, or is no network known here.
    """
    tensors = _tensors(_read(torch, path), torch)
    shapes = {name: tuple(int(side) for side in one.shape) for name, one in tensors.items()}
    try:
        architecture = networks.recognised(shapes)
    except BadParameter as error:
        raise BadParameter(f"{path.name!r}: {error}") from None
    return Loaded(architecture, {name: one.to(torch.float32) for name, one in tensors.items()})


def _read(torch: Any, path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return importlib.import_module("safetensors.torch").load_file(path)
        # A pickle runs code when it is read; with `weights_only` it can only hold tensors.
        return torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise CapabilityMissing(
            f"{path.name!r} needs the package 'safetensors' ({error}); nothing was computed. "
            "Install it, or use a .pth file."
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - both readers raise whatever the file provokes
        said = str(error).partition("\n")[0][:200]
        raise BadParameter(
            f"{path.name!r} cannot be read as weights ({type(error).__name__}: {said}); nothing in "
            "it was run. Get the file again, from its authors."
        ) from None


def _tensors(content: object, torch: Any) -> dict[str, Any]:
    """Return the named tensors; training files keep a smoothed copy, which is the better one."""
    for member in ("params_ema", "params"):
        if isinstance(content, Mapping) and member in content:
            content = cast("Mapping[str, object]", content)[member]
            break
    if not isinstance(content, Mapping):
        return {}
    named = cast("Mapping[object, object]", content)
    return {str(name): one for name, one in named.items() if isinstance(one, torch.Tensor)}


def _rank(name: str) -> tuple[int, list[str]]:
    order = _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED)
    return order, re.split(r"(\d+)", name)
