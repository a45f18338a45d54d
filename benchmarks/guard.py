"""Chroma guard against a copy of the picture and two NumPy versions.

The luma of pictures this large is sampled in the same pass; NumPy's split counts all of it.

Run: python -m benchmarks.guard
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Bound, interleaved, report
from maquette.pixels.guard import measure

_THRESHOLD = 12
_SIZES = {"1 Mpx": (1024, 1024), "12 Mpx": (3000, 4000)}


def _axis_reduce(pixels: NDArray[np.uint8]) -> tuple[int, float, int, float]:
    chroma = pixels.max(axis=-1) - pixels.min(axis=-1)
    excess = np.maximum(chroma.astype(np.int16) - _THRESHOLD, 0)
    over = int(np.count_nonzero(excess))
    return int(chroma.max()), float(chroma.mean()), over, float(excess.mean())


def _split(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count every level of chroma and luma, from which all figures follow."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    high = np.maximum(np.maximum(red, green), blue)
    chroma = high - np.minimum(np.minimum(red, green), blue)
    luma = np.uint16(77) * red + np.uint16(150) * green + np.uint16(29) * blue >> 8
    return (
        np.bincount(chroma.ravel(), minlength=256),
        np.bincount(luma.ravel(), minlength=256),
    )


def main() -> None:
    times: dict[str, float] = {}
    bounds: list[Bound] = []
    for label, size in _SIZES.items():
        measured = _measured(size)
        copying, ours, reduce, split = measured.values()
        times |= {f"{name}, {label}": seconds for name, seconds in measured.items()}
        bounds += [
            Bound(f"time of a copy, times, {label}", ours / copying, at_most=4),
            Bound(f"speed over NumPy axis reduce, {label}", reduce / ours, at_least=50),
            Bound(f"speed over NumPy split, {label}", split / ours, at_least=4),
        ]
    report("Output guard: chroma and luma", times, bounds)


def _measured(size: tuple[int, int]) -> dict[str, float]:
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 200, size[1], dtype=np.uint8)[None, :, None]
    pixels = ramp + rng.integers(0, 56, (*size, 3), dtype=np.uint8)
    copy = np.empty_like(pixels)
    return interleaved(
        {
            "copy of the picture": lambda: np.copyto(copy, pixels),
            "maquette": lambda: measure(pixels, chroma_threshold=_THRESHOLD),
            "NumPy axis reduce, chroma alone": lambda: _axis_reduce(pixels),
            "NumPy split": lambda: _split(pixels),
        },
        repeats=15,
    )


if __name__ == "__main__":
    main()
