"""Colour cube of 33 points per axis against Pillow's.

Run: python -m benchmarks.lut
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.timing import Bound, interleaved, report
from maquette.pixels import lut
from maquette.pixels.looks import look, lut_of

_PHOTOGRAPH = Path(__file__).parents[1] / "examples/scenes/astronaut.png"
_LOOK = "cinematic_warm"


def main() -> None:
    with Image.open(_PHOTOGRAPH) as photograph:
        picture = photograph.convert("RGB").resize((1024, 1024))
    noise = np.random.default_rng(1).normal(0, 3, (1024, 1024, 3))
    pixels = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
    cube = lut_of(_LOOK)
    theirs = ImageFilter.Color3DLUT(cube.size, cube.table.reshape(-1).tolist())
    picture = Image.fromarray(pixels)

    exact = 255 * look(_LOOK).function((pixels / 255).astype(np.float32))
    error = float(np.abs(lut.apply(pixels, cube) - exact).max())
    times = interleaved(
        {
            "Pillow, one thread": lambda: np.asarray(picture.filter(theirs)),
            "maquette": lambda: lut.apply(pixels, cube),
        },
        repeats=50,
    )
    pillow, ours = times.values()
    report(
        "Colour cube, 1 Mpx",
        times,
        [
            Bound("time of Pillow, times", ours / pillow, at_most=0.5),
            Bound("greatest error, levels", error, at_most=2),
        ],
    )


if __name__ == "__main__":
    main()
