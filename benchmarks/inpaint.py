"""Filling a 200 px hole against PyPatchMatch and OpenCV's Telea.

Run as `python -m benchmarks.inpaint`. PyPatchMatch is no dependency: `pip install PyPatchMatch`
adds it to the comparison.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.timing import Bound, interleaved, report
from maquette.pixels import inpaint

_EXAMPLES = Path(__file__).parents[1] / "examples"
_SIDE_PX = 1024
_HOLE_PX = 200
_SURROUNDINGS_PX = 256
_HOLES = {
    "scenes/coffee.png": (30, 620),
    "scenes/chelsea.png": (560, 560),
    "scenes/astronaut.png": (430, 60),
    "styles/rocket.jpg": (300, 700),
}


def _scene(name: str) -> NDArray[np.uint8]:
    size = (_SIDE_PX, _SIDE_PX)
    photo = Image.open(_EXAMPLES / name).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(7).normal(0, 2, (*size, 3))
    return np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8)


def _hole(top: int, left: int) -> NDArray[np.uint8]:
    mask = np.zeros((_SIDE_PX, _SIDE_PX), np.uint8)
    mask[top : top + _HOLE_PX, left : left + _HOLE_PX] = 255
    return mask


def _pypatchmatch() -> Any | None:
    try:
        return importlib.import_module("patchmatch")
    except ImportError:
        print("PyPatchMatch is missing: compared with Telea only (pip install PyPatchMatch)")
        return None


def _cropped(library: Any, pixels: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give PyPatchMatch the same advantage: only the surroundings of the hole."""
    rows, columns = np.nonzero(mask)
    box = (
        slice(max(0, int(rows.min()) - _SURROUNDINGS_PX), int(rows.max()) + _SURROUNDINGS_PX),
        slice(max(0, int(columns.min()) - _SURROUNDINGS_PX), int(columns.max()) + _SURROUNDINGS_PX),
    )
    library.set_random_seed(1)
    result = pixels.copy()
    crop = np.ascontiguousarray(pixels[box])
    result[box] = library.inpaint(crop, np.ascontiguousarray(mask[box]), patch_size=7)
    return result


def _error(result: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    hole = mask > 0
    return float(np.abs(result[hole].astype(np.int16) - truth[hole]).mean())


def main() -> None:
    library = _pypatchmatch()
    errors: dict[str, list[float]] = {"maquette": [], "Telea": [], "PyPatchMatch": []}
    for name, corner in _HOLES.items():
        pixels, mask = _scene(name), _hole(*corner)
        errors["maquette"].append(_error(inpaint.fill(pixels, mask), pixels, mask))
        telea = np.asarray(cv2.inpaint(pixels, mask, 5, cv2.INPAINT_TELEA), np.uint8)
        errors["Telea"].append(_error(telea, pixels, mask))
        if library is not None:
            errors["PyPatchMatch"].append(_error(_cropped(library, pixels, mask), pixels, mask))
    for who, values in errors.items():
        print(f"   mean error in the hole, {who:<13s}", *(f"{value:6.1f}" for value in values))
    pixels, mask = _scene("scenes/coffee.png"), _hole(*_HOLES["scenes/coffee.png"])
    cases: dict[str, Any] = {
        "maquette": lambda: inpaint.fill(pixels, mask),
        "OpenCV Telea": lambda: cv2.inpaint(pixels, mask, 5, cv2.INPAINT_TELEA),
    }
    if library is not None:
        cases["PyPatchMatch, cropped"] = lambda: _cropped(library, pixels, mask)
    times = interleaved(cases, repeats=5)
    ours = float(np.mean(errors["maquette"]))
    bounds = [
        Bound("seconds", times["maquette"], at_most=0.4),
        Bound("error over Telea's", ours / float(np.mean(errors["Telea"])), at_most=1.1),
    ]
    if library is not None:
        speed = times["PyPatchMatch, cropped"] / times["maquette"]
        error = ours / float(np.mean(errors["PyPatchMatch"]))
        bounds += [
            Bound("speed over PyPatchMatch", speed, at_least=5),
            Bound("error over PyPatchMatch's", error, at_most=1.1),
        ]
    report(f"hole of {_HOLE_PX} x {_HOLE_PX} px in {_SIDE_PX} x {_SIDE_PX} px", times, bounds)


if __name__ == "__main__":
    main()
