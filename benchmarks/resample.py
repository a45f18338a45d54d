"""Resampling against Pillow's Lanczos.

Run: python -m benchmarks.resample
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmarks.timing import Bound, interleaved, report
from maquette.pixels.resample import resize, upscale

_LANCZOS = Image.Resampling.LANCZOS


def main() -> None:
    rng = np.random.default_rng(1)
    large = rng.integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    small = large[:1024, :1024].copy()
    large_picture, small_picture = Image.fromarray(large), Image.fromarray(small)
    times = interleaved(
        {
            "Pillow, 12 Mpx to 1333 px": lambda: np.asarray(
                large_picture.resize((1333, 1000), _LANCZOS)
            ),
            "resize, 12 Mpx to 1333 px": lambda: resize(large, width_px=1333, height_px=1000),
            "Pillow, 1 Mpx twice": lambda: np.asarray(small_picture.resize((2048, 2048), _LANCZOS)),
            "resize, 1 Mpx twice": lambda: resize(small, width_px=2048, height_px=2048),
            "upscale, 1 Mpx twice, sharpen 0": lambda: upscale(small, 2, sharpen=0),
            "upscale, 1 Mpx twice": lambda: upscale(small, 2),
        },
        repeats=5,
    )
    pillow_down, down, pillow_up, up, clamped, sharpened = times.values()
    report(
        "Resampling",
        times,
        [
            Bound("speed over Pillow, shrinking", pillow_down / down, at_least=3),
            Bound("time of Pillow, enlarging, times", up / pillow_up, at_most=1),
            Bound("time of Pillow without ringing, times", clamped / pillow_up, at_most=2),
            Bound("time of Pillow sharpened, times", sharpened / pillow_up, at_most=3),
        ],
    )


if __name__ == "__main__":
    main()
