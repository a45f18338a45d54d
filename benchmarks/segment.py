"""The automatic cut-out against GrabCut at full size, and its overlap with a known outline.

Run as `python -m benchmarks.segment`. GrabCut takes some 20 seconds on a photograph, so each side
runs once, in turns, and processor time counts, which neighbours disturb less. Before a plain
backdrop GrabCut is ten times faster than on a photograph and the ratio accordingly smaller: it is
printed, not bounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.timing import Bound, report
from maquette.pixels import segment

_EXAMPLES = Path(__file__).parents[1] / "examples"
_PHOTOS = ("scenes/astronaut.png", "scenes/coffee.png", "scenes/chelsea.png")
_RECTANGLE = (60, 140, 900, 740)
_SIDE_PX = 1024
_BACKDROPS = {"grey": (128, 134, 140), "blue": (40, 60, 130), "white": (244, 244, 240)}


def _subject() -> NDArray[np.uint8]:
    """Draw a body with a head, so that the outline has bays and a neck."""
    mask = np.zeros((_SIDE_PX, _SIDE_PX), np.uint8)
    cv2.ellipse(mask, (512, 640), (260, 210), 0, 0, 360, 255, -1)
    cv2.ellipse(mask, (620, 330), (120, 150), 20, 0, 360, 255, -1)
    cv2.rectangle(mask, (330, 760), (400, 950), 255, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2), np.uint8)


def _composite(colour: tuple[int, int, int], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    over = alpha[..., None].astype(np.float32) / 255
    noise = np.random.default_rng(8).normal(0, 3, (*alpha.shape, 3))
    backdrop = np.array(colour, np.float32) + noise
    blend = _photo("scenes/chelsea.png") * over + backdrop * (1 - over)
    return np.clip(blend, 0, 255).astype(np.uint8)


def _overlap(alpha: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    ours, theirs = alpha > 127, truth > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


def _photo(name: str) -> NDArray[np.uint8]:
    size = (_SIDE_PX, _SIDE_PX)
    photo = Image.open(_EXAMPLES / name).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(7).normal(0, 2, (*size, 3))
    return np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8)


def _grabcut(pixels: NDArray[np.uint8]) -> None:
    mask = np.zeros(pixels.shape[:2], np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels, mask, _RECTANGLE, *models, 5, cv2.GC_INIT_WITH_RECT)


def _processor_s(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _least_overlap() -> float:
    truth = _subject()
    overlaps: list[float] = []
    for name, colour in _BACKDROPS.items():
        pixels = _composite(colour, truth)
        found = segment.foreground(pixels)
        overlaps.append(_overlap(found.alpha, truth))
        ours = _processor_s(partial(segment.foreground, pixels))
        theirs = _processor_s(partial(_grabcut, pixels))
        print(
            f"   before {name:<6s} overlap {overlaps[-1]:.3f}, confidence {found.confidence:.2f},"
            f" {theirs / ours:.0f} times as fast as GrabCut"
        )
    return min(overlaps)


def main() -> None:
    segment.warm()
    overlap = _least_overlap()
    times = {"maquette": 0.0, "GrabCut, 5 iterations, full size": 0.0}
    for name in _PHOTOS:
        pixels = _photo(name)
        ours = _processor_s(partial(segment.foreground, pixels))
        theirs = _processor_s(partial(_grabcut, pixels))
        print(f"   {name:<22s} {ours * 1000:8.0f} ms  GrabCut {theirs * 1000:8.0f} ms")
        times["maquette"] += ours
        times["GrabCut, 5 iterations, full size"] += theirs
    report(
        f"{len(_PHOTOS)} photographs cut out at {_SIDE_PX} x {_SIDE_PX} px, processor time",
        times,
        [
            Bound(
                "speed over GrabCut",
                times["GrabCut, 5 iterations, full size"] / times["maquette"],
                at_least=50,
            ),
            Bound("least overlap with the truth", overlap, at_least=0.95),
        ],
    )


if __name__ == "__main__":
    main()
