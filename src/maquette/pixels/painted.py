"""Reading a mask out of what a model made when it was asked to show where something is."""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.pixels.matte import refine_alpha
from maquette.pixels.segment import Segmentation

Way = Literal["paint", "erase"]
"""`paint`: the thing is white on black; `erase`: it is gone from the picture."""

_WORK_PX: Final = 512
_DARK, _LIGHT = 64, 191
"""Levels that a model which painted in black and white stays outside of."""
_GREY: Final = 24
"""Largest `max(R, G, B) - min(R, G, B)` of paint."""
_LEAST_LAB: Final = 8.0
"""A smaller change is the model's own noise."""

_Plane = NDArray[np.float32]
_Mask = NDArray[np.uint8]


def mask_of(pixels: NDArray[np.uint8], answer: NDArray[np.uint8], way: Way) -> Segmentation:
    """Find what a model marked in its answer to a picture.

    Parameters
    ----------
    pixels, answer : (H, W, 3) uint8
        The picture and the model's, RGB, sRGB-encoded; the answer may have another size and is
        stretched to the picture's. Not modified.
    way : {'paint', 'erase'}
        What the model was asked to do.

    Returns
    -------
    Segmentation
        `alpha`: (H, W) uint8, 255 = the thing; all 0 where nothing is marked. `confidence`, 0..1:
        of paint, the share of the answer that is black or white and without colour; of erasing,
        how far the change stands out from what else the model changed. 0 where nothing or
        everything is marked. Deterministic.

    Raises
    ------
    BadParameter
        A shape, a dtype or the way is not as above.

    References
    ----------
    Otsu (1979), "A threshold selection method from gray-level histograms",
    doi:10.1109/TSMC.1979.4310076.

    Differs from the paper: the threshold is never below a change of 8 in Lab.
    """
    for one in (pixels, answer):
        if one.ndim != 3 or one.shape[2] != 3 or one.dtype != np.uint8 or not one.size:
            raise BadParameter(
                f"a picture is {one.shape!r} {one.dtype!r}: hand in (H, W, 3) uint8 RGB"
            )
    if way not in ("paint", "erase"):
        raise BadParameter(f"way is {way!r}: choose paint or erase")
    rows, columns = pixels.shape[:2]
    scale = min(1.0, _WORK_PX / max(rows, columns))
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    small, told = (_resized(one, size) for one in (pixels, answer))
    found, confidence = _painted(told) if way == "paint" else _erased(small, told)
    marked = _tidied(found)
    if not marked.any():
        return Segmentation(np.zeros((rows, columns), np.uint8), 0.0)
    enlarged = _resized(marked * np.uint8(255), (columns, rows))
    alpha = refine_alpha(pixels, enlarged, radius_px=max(2, max(rows, columns) // 100))
    return Segmentation(alpha, 0.0 if marked.all() else confidence)


def _painted(answer: NDArray[np.uint8]) -> tuple[_Mask, float]:
    grey = np.asarray(cv2.cvtColor(answer, cv2.COLOR_RGB2GRAY), np.uint8)
    chroma = answer.max(axis=2) - answer.min(axis=2)
    clear = ((grey < _DARK) | (grey > _LIGHT)) & (chroma <= _GREY)
    share = float(clear.mean())
    return (grey > 127).astype(np.uint8), max(0.0, (share - 0.5) / 0.5)


def _erased(pixels: NDArray[np.uint8], answer: NDArray[np.uint8]) -> tuple[_Mask, float]:
    change = np.linalg.norm(_lab(pixels) - _lab(answer), axis=-1).astype(np.float32)
    calm = np.asarray(cv2.GaussianBlur(change, (0, 0), 1.5), np.float32)
    levels = np.clip(calm * 2, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    marked = calm > max(_LEAST_LAB, threshold / 2)
    if not marked.any() or marked.all():
        return marked.astype(np.uint8), 0.0
    inside, outside = float(calm[marked].mean()), float(calm[~marked].mean())
    return marked.astype(np.uint8), min(1.0, max(0.0, 1 - 2 * outside / inside))


def _lab(pixels: NDArray[np.uint8]) -> _Plane:
    values = pixels.astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_RGB2LAB), np.float32)


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    smaller = pixels.shape[1] > size[0] or pixels.shape[0] > size[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def _tidied(mask: _Mask) -> _Mask:
    """Drop specks, close cracks and fill small holes."""
    grain = max(1, round(0.004 * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grain + 1, 2 * grain + 1))
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    closed = np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, disc), np.uint8)
    least = 0.02 * float(closed.sum())
    kept = _without_small_parts(closed, least)
    return 1 - _without_small_parts(1 - kept, least)


def _without_small_parts(mask: _Mask, least_px: float) -> _Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_px
    keep[0] = False
    return keep[np.asarray(labels, np.int32)].astype(np.uint8)
