"""The PNG writer against Pillow at level 1, on a photograph with sensor noise.

Run as `python -m benchmarks.png`.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.timing import Bound, interleaved, report
from maquette.imaging import png

_PHOTO = Path(__file__).parents[1] / "examples/scenes/astronaut.png"
_SIDE_PX = 1024


def noisy_photo(side_px: int) -> NDArray[np.uint8]:
    """Enlarge the photograph and add the noise that enlarging took away."""
    photo = Image.open(_PHOTO).convert("RGB").resize((side_px, side_px), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(7).normal(0, 2, (side_px, side_px, 3))
    return np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8)


def main() -> None:
    pixels = noisy_photo(_SIDE_PX)
    image = Image.fromarray(pixels)
    bgr = pixels[..., ::-1].copy()

    def pillow(level: int) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=level)
        return buffer.getvalue()

    written = png.write(pixels)
    times = interleaved(
        {
            "maquette": lambda: png.write(pixels),
            "Pillow, level 1": lambda: pillow(1),
            "Pillow, default": lambda: pillow(6),
            "OpenCV, default": lambda: cv2.imencode(".png", bgr),
        },
        repeats=5,
    )
    exact = np.array_equal(np.asarray(Image.open(io.BytesIO(written))), pixels)
    report(
        f"PNG of {_SIDE_PX} x {_SIDE_PX} px",
        times,
        [
            Bound(
                "speed over Pillow level 1",
                times["Pillow, level 1"] / times["maquette"],
                at_least=6,
            ),
            Bound("bytes over Pillow level 1", len(written) / len(pillow(1)), at_most=1.05),
            Bound("exact round trip", float(exact), at_least=1),
        ],
    )


if __name__ == "__main__":
    main()
