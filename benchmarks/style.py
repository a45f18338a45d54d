"""Colour transfer against Reinhard's: distance to the style and time.

The bound is on the mean of all pairs: one of the twelve, the two most unlike, stays over it. The
worst is printed too.

Run: python -m benchmarks.style
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.timing import Bound, interleaved, report
from maquette.pixels import style

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("scenes/astronaut.png", "scenes/coffee.png", "scenes/chelsea.png", "styles/rocket.jpg")


def picture(name: str) -> NDArray[np.uint8]:
    return np.array(Image.open(EXAMPLES / name).convert("RGB"))


def main() -> None:
    """Print the distance of every pair, then the table."""
    pictures = {Path(name).stem: picture(name) for name in NAMES}
    ratios: list[float] = []
    for name, source in pictures.items():
        for reference_name, reference in pictures.items():
            if name == reference_name:
                continue
            ours = style.transfer(source, [reference], keep_luma=0)
            theirs = style.reinhard(source, reference)
            own = style.sliced_distance(ours, reference)
            baseline = style.sliced_distance(theirs, reference)
            ratios.append(own / baseline)
            print(f"   {name:>9s} -> {reference_name:<9s} {own:5.2f} / {baseline:5.2f}")
    source, reference = (
        np.array(Image.fromarray(pictures[name]).resize((1024, 1024)))
        for name in ("astronaut", "coffee")
    )
    times = interleaved(
        {
            "Reinhard": lambda: style.reinhard(source, reference),
            "sliced transport": lambda: style.transfer(source, [reference]),
        }
    )
    bounds = [Bound("mean sliced-W1 over Reinhard's, 12 pairs", float(np.mean(ratios)), 0.3)]
    report("Style colours, 1024 x 1024", times, bounds)
    print(f"   worst pair: {max(ratios):.2f}; over 0.3: {sum(r > 0.3 for r in ratios)} of 12")


if __name__ == "__main__":
    main()
