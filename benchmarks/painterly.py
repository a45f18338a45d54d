"""The painter against the same strokes drawn with `cv2.polylines`.

Run: python -m benchmarks.painterly
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.timing import Bound, interleaved, report
from maquette.pixels import painterly
from maquette.pixels.kernels import painterly as kernels

SCENE = Path(__file__).parent.parent / "examples" / "scenes" / "coffee.png"
SUBPIXEL_BITS = 4


def photograph() -> NDArray[np.uint8]:
    """Return a 1024 x 1024 photograph with a sensor's noise."""
    enlarged = np.array(Image.open(SCENE).convert("RGB").resize((1024, 1024)))
    noise = np.random.default_rng(0).normal(0, 2, enlarged.shape)
    return np.clip(enlarged + noise, 0, 255).astype(np.uint8)


def draw_polylines(canvas: Any, _height: Any, points: Any, counts: Any, *rest: Any) -> None:
    """Stand in for the stroke kernel: flat strokes, drawn one by one by OpenCV."""
    colours, order, _, radius_px = rest[:4]
    board = np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)
    fixed = np.rint(points[..., ::-1] * (1 << SUBPIXEL_BITS)).astype(np.int32)
    inks = np.rint(colours * 255).tolist()
    breadth = max(1, round(2 * float(radius_px)))
    for index in order.tolist():
        stroke = fixed[index, : counts[index]]
        cv2.polylines(board, [stroke], False, inks[index], breadth, cv2.LINE_AA, SUBPIXEL_BITS)
    canvas[...] = board / np.float32(255)


def main() -> None:
    """Time every style, and the baseline on the oil strokes."""
    pixels = photograph()

    def baseline() -> None:
        with patch.object(kernels, "lay_strokes", draw_polylines):
            painterly.paint(pixels, style="oil")

    cases: dict[str, Callable[[], object]] = {"oil by cv2.polylines": baseline}
    for name in painterly.STYLES:
        cases[name] = partial(painterly.paint, pixels, style=name)
    times = interleaved(cases, repeats=4)
    hashes = {
        hashlib.sha256(painterly.paint(pixels, seed=9).tobytes()).hexdigest() for _ in range(3)
    }
    slowest = max(seconds for name, seconds in times.items() if name in painterly.STYLES)
    bounds = [
        Bound("oil over cv2.polylines", times["oil"] / times["oil by cv2.polylines"], 0.6),
        Bound("slowest style, seconds", slowest, 1.0),
        Bound("different hashes for one seed", len(hashes), 1),
    ]
    report("Painterly, 1024 x 1024", times, bounds)


if __name__ == "__main__":
    main()
