"""Which sizes a model makes, and what `auto` and `source` come to; purely."""

from __future__ import annotations

from math import sqrt

MOST_PIXELS = 2048 * 2048
SMALLEST_PX = 64


def allowed(size: tuple[int, int], multiple_px: int) -> bool:
    """Tell whether a model makes exactly this size."""
    fits = all(side >= SMALLEST_PX and side % multiple_px == 0 for side in size)
    return fits and size[0] * size[1] <= MOST_PIXELS


def nearest(size: tuple[int, int], multiple_px: int) -> tuple[int, int]:
    """Return the nearest size that a model makes, in about the same shape."""
    width_px, height_px = size
    scale = max(1.0, SMALLEST_PX / min(size))
    if width_px * height_px * scale * scale > MOST_PIXELS:
        scale = sqrt(MOST_PIXELS / (width_px * height_px))
    made = [_rounded(side * scale, multiple_px) for side in size]
    while made[0] * made[1] > MOST_PIXELS:
        longer = made.index(max(made))
        made[longer] -= multiple_px
    return made[0], made[1]


def of_area(size: tuple[int, int], native_px: int, multiple_px: int) -> tuple[int, int]:
    """Return the shape of `size` with about the area that the model was trained on."""
    scale = native_px / sqrt(size[0] * size[1])
    width_px, height_px = (max(1, round(side * scale)) for side in size)
    return nearest((width_px, height_px), multiple_px)


def _rounded(side_px: float, multiple_px: int) -> int:
    smallest = -(-SMALLEST_PX // multiple_px) * multiple_px
    return max(smallest, round(side_px / multiple_px) * multiple_px)
