"""A mask from a click against GrabCut at full size, and its overlap with a known outline.

Run as `python -m benchmarks.automask`. GrabCut takes some 20 seconds on a photograph, so it runs
once, in a rectangle around the thing; processor time counts, which neighbours disturb less.
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
from maquette.pixels import click
from maquette.pixels.hints import Hints

_EXAMPLES = Path(__file__).parents[1] / "examples"
_SIDE_PX = 1024
_CUP = (40, 100, 1000, 890)
"""(top, left, bottom, right) around the cup and its saucer."""


def _photo(name: str) -> NDArray[np.uint8]:
    size = (_SIDE_PX, _SIDE_PX)
    photo = Image.open(_EXAMPLES / name).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(7).normal(0, 2, (*size, 3))
    return np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8)


def _thing(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Lay a shaded ball over a photograph out of focus."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((_SIDE_PX, _SIDE_PX), np.uint8)
    centre = tuple(int(one) for one in rng.integers(400, 620, 2))
    axes = tuple(int(one) for one in rng.integers(120, 280, 2))
    cv2.ellipse(truth, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    over = truth[..., None] / 255
    light = 0.7 + 0.4 * np.linspace(0, 1, _SIDE_PX)[None, :, None]
    backdrop = cv2.GaussianBlur(_photo("scenes/coffee.png"), (0, 0), 10)
    blend = np.array((40, 90, 200)) * light * over + backdrop * (1 - over)
    noisy = blend + rng.normal(0, 3, blend.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), truth


def _middle(mask: NDArray[np.uint8]) -> tuple[int, int]:
    rows, columns = np.nonzero(mask > 127)
    return int(rows.mean()), int(columns.mean())


def _overlap(alpha: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    ours, theirs = alpha > 127, truth > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


def _grabcut(pixels: NDArray[np.uint8]) -> None:
    top, left, bottom, right = _CUP
    mask = np.zeros(pixels.shape[:2], np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    box = (left, top, right - left, bottom - top)
    cv2.grabCut(pixels, mask, box, *models, 5, cv2.GC_INIT_WITH_RECT)


def _processor_s(run: Callable[[], object], repeats: int = 1) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    click.warm()
    overlaps: list[float] = []
    for seed in range(5):
        pixels, truth = _thing(seed)
        found = click.thing(pixels, Hints([_middle(truth)]))
        overlaps.append(_overlap(found.alpha, truth))
        print(f"   ball {seed}  overlap {overlaps[-1]:.3f}, confidence {found.confidence:.2f}")
    cup = _photo("scenes/coffee.png")
    cases = {
        "one click": Hints([(380, 420)]),
        "three clicks, one outside": Hints([(380, 420), (560, 200), (800, 500)], [(60, 60)]),
        "a box": Hints((), box=_CUP),
    }
    times = {name: _processor_s(partial(click.thing, cup, one), 3) for name, one in cases.items()}
    times["GrabCut in the box, 5 iterations, full size"] = theirs = _processor_s(
        partial(_grabcut, cup)
    )
    report(
        f"a mask found at {_SIDE_PX} x {_SIDE_PX} px, processor time",
        times,
        [
            Bound("speed of one click over GrabCut", theirs / times["one click"], at_least=15),
            Bound("speed of a box over GrabCut", theirs / times["a box"], at_least=8),
            Bound("least overlap with the truth", min(overlaps), at_least=0.95),
        ],
    )


if __name__ == "__main__":
    main()
