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
    for label, (height, width) in _SIZES.items():
        rng = np.random.default_rng(1)
        ramp = np.linspace(0, 200, width, dtype=np.uint8)[None, :, None]
        pixels = ramp + rng.integers(0, 56, (height, width, 3), dtype=np.uint8)
        copy = np.empty_like(pixels)
        times = interleaved(
            {
                "copy of the picture": lambda: np.copyto(copy, pixels),  # noqa: B023 - run at once
                "maquette (chroma and luma)": lambda: measure(pixels, chroma_threshold=_THRESHOLD),  # noqa: B023
                "NumPy axis reduce (chroma alone)": lambda: _axis_reduce(pixels),  # noqa: B023
                "NumPy split (chroma and luma)": lambda: _split(pixels),  # noqa: B023 - run at once
            },
            repeats=15,
        )
        copying, ours, reduce, split = times.values()
        report(
            f"Chroma guard, {label}",
            times,
            [
                Bound("time of a copy, times", ours / copying, at_most=4),
                Bound("speed over NumPy axis reduce", reduce / ours, at_least=50),
                Bound("speed over NumPy split", split / ours, at_least=4),
            ],
        )


if __name__ == "__main__":
    main()
