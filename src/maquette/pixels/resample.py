"""Change how many pixels a picture has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, ImageTooLarge, UnsupportedImage

RESULT_PX_MAX = 2**28
"""Most pixels a result may have; RGBA of this size takes 1 GiB, and as much again twice over."""

_Planes: TypeAlias = NDArray[np.uint8 | np.uint16]

_HEADROOM = 0.75
"""Scale of colour times alpha in 16 bits.

Lanczos overshoots; cut off at 65535, an overshooting alpha would no longer match its colour.
"""

_BAND_PX = 2**21
_FLAT_LEVELS = 10.0  # contrast at which sharpening is at half its strength
_GAIN = 2.0  # of the detail at `sharpen` 1; the clamp, not the gain, bounds the result


def resize(pixels: NDArray[np.uint8], *, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Fit a picture to a size, axis by axis: area mean to shrink, Lanczos to enlarge.

    Parameters
    ----------
    pixels : ndarray, shape (H, W), (H, W, 3) or (H, W, 4), uint8
        Grey or mask, RGB, or RGBA with straight alpha, in any encoding. Never modified.
    width_px, height_px
        The size to reach; the proportions need not be kept.

    Returns
    -------
    ndarray, shape (height_px, width_px[, channels]), uint8
        A copy if the size is the same. Colours are weighted by their alpha, so that hidden ones do
        not bleed in; where the result is transparent its colour is black. Deterministic.

    Raises
    ------
    BadParameter
        If a side is less than 1.
    ImageTooLarge
        If the result would have more than `RESULT_PX_MAX` pixels.
    UnsupportedImage
        If `pixels` is empty or of another shape or type.

    References
    ----------
    Porter, T. and Duff, T. (1984), "Compositing digital images", SIGGRAPH '84,
    doi:10.1145/800031.808606, for filtering colour times alpha. Duchon, C. E. (1979), "Lanczos
    filtering in one and two dimensions", Journal of Applied Meteorology 18(8),
    doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2.

    Differs from the paper: eight taps (order 4), normalised per position.
    """
    _check(pixels, width_px, height_px)
    if (height_px, width_px) == pixels.shape[:2]:
        return pixels.copy()
    return _through_alpha(pixels, lambda planes: _fit(planes, width_px, height_px))


def upscale(pixels: NDArray[np.uint8], scale: float, *, sharpen: float = 0.35) -> NDArray[np.uint8]:
    """Enlarge a picture without ringing or halos, and sharpen its edges mildly.

    No value leaves the range of its neighbours, so an edge becomes steeper but never gains a rim.
    Flat, noisy parts are sharpened least.

    Parameters
    ----------
    pixels : ndarray, shape (H, W), (H, W, 3) or (H, W, 4), uint8
        Grey, RGB, or RGBA with straight alpha, display-encoded. Never modified.
    scale
        1 to 8; sides are rounded to whole pixels.
    sharpen
        0 (none) to 1. Only the luma of opaque parts is sharpened, never alpha.

    Returns
    -------
    ndarray, uint8, as many channels as `pixels`
        Equal to the input at `scale` 1 and `sharpen` 0. Deterministic.

    Raises
    ------
    BadParameter
        If `scale` or `sharpen` is out of range.
    ImageTooLarge
        If the result would have more than `RESULT_PX_MAX` pixels.
    UnsupportedImage
        If `pixels` is empty or of another shape or type.
    """
    if not 1.0 <= scale <= 8.0:
        raise BadParameter(f"scale {scale!r} is out of range; give a number from 1 to 8.")
    if not 0.0 <= sharpen <= 1.0:
        raise BadParameter(f"sharpen {sharpen!r} is out of range; give a number from 0 to 1.")
    height_px, width_px = (round(side * scale) for side in pixels.shape[:2])
    _check(pixels, width_px, height_px)
    if (height_px, width_px) == pixels.shape[:2]:
        enlarged = pixels.copy()
    else:
        enlarged = _through_alpha(pixels, lambda planes: _enlarge(planes, width_px, height_px))
    return _sharpen(enlarged, sharpen, edge_px=scale) if sharpen > 0 else enlarged


def _check(pixels: NDArray[np.uint8], width_px: int, height_px: int) -> None:
    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or pixels.size == 0 or not shaped:
        raise UnsupportedImage(
            f"Pixels of shape {pixels.shape!r} and type {pixels.dtype.name!r} cannot be resampled; "
            "convert them to grey, RGB or RGBA, 8 bits, and not empty."
        )
    if min(width_px, height_px) < 1:
        raise BadParameter(
            f"A picture cannot be {width_px!r} by {height_px!r} pixels; give sides of at least 1."
        )
    if width_px * height_px > RESULT_PX_MAX:
        raise ImageTooLarge(
            f"{width_px!r} by {height_px!r} pixels is over the limit of {RESULT_PX_MAX!r}; "
            "choose a smaller size."
        )


def _through_alpha(
    pixels: NDArray[np.uint8], filtered: Callable[[_Planes], _Planes]
) -> NDArray[np.uint8]:
    """Filter colour times alpha, if there is alpha, and divide it out again."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return filtered(pixels).astype(np.uint8, copy=False)
    if pixels[..., 3].min() == 255:
        colours = filtered(np.ascontiguousarray(pixels[..., :3])).astype(np.uint8, copy=False)
        return np.dstack([colours, np.full(colours.shape[:2], 255, np.uint8)])
    weight = pixels[..., 3:] * np.float32(_HEADROOM)
    premultiplied = np.concatenate([pixels[..., :3] * weight, 255 * weight], axis=2)
    premultiplied = np.rint(premultiplied).astype(np.uint16)
    planes = filtered(premultiplied)
    result = np.empty(planes.shape, np.uint8)
    alpha = np.ascontiguousarray(planes[..., 3])
    for channel in range(3):
        light = np.ascontiguousarray(planes[..., channel])
        result[..., channel] = cv2.divide(light, alpha, scale=255, dtype=cv2.CV_8U)
    result[..., 3] = cv2.convertScaleAbs(alpha, alpha=1 / (255 * _HEADROOM))
    return result


def _fit(planes: _Planes, width_px: int, height_px: int) -> _Planes:
    height, width = planes.shape[:2]
    smaller = (min(width, width_px), min(height, height_px))
    if smaller != (width, height):
        planes = _resized(planes, smaller, cv2.INTER_AREA)
    if smaller != (width_px, height_px):
        planes = _resized(planes, (width_px, height_px), cv2.INTER_LANCZOS4)
    return planes


def _enlarge(planes: _Planes, width_px: int, height_px: int) -> _Planes:
    """Enlarge by Lanczos, held between the least and greatest source pixel nearby."""
    size = (width_px, height_px)
    nearby = np.ones((3, 3), np.uint8)
    result = _resized(planes, size, cv2.INTER_LANCZOS4)
    low = _resized(_like(planes, cv2.erode(planes, nearby)), size, cv2.INTER_LINEAR)
    high = _resized(_like(planes, cv2.dilate(planes, nearby)), size, cv2.INTER_LINEAR)
    return np.clip(result, low, high, out=result)


def _resized(planes: _Planes, size: tuple[int, int], method: int) -> _Planes:
    return _like(planes, cv2.resize(planes, size, interpolation=method))


def _like(planes: _Planes, result: cv2.typing.MatLike) -> _Planes:
    """Give OpenCV's result its type back."""
    return result.astype(planes.dtype, copy=False)


def _sharpen(pixels: NDArray[np.uint8], amount: float, *, edge_px: float) -> NDArray[np.uint8]:
    """Sharpen edges about `edge_px` wide, in bands of rows to bound the memory."""
    height, width = pixels.shape[:2]
    margin = _blur_radius_px(edge_px)
    rows = max(1, _BAND_PX // width)
    result = np.empty_like(pixels)
    for top in range(0, height, rows):
        start, stop = max(0, top - margin), min(height, top + rows + margin)
        band = _sharpen_band(np.ascontiguousarray(pixels[start:stop]), amount, edge_px)
        result[top : top + rows] = band[top - start : top - start + rows]
    return result


def _blur_radius_px(edge_px: float) -> int:
    return math.ceil(2 * edge_px)


def _sharpen_band(pixels: NDArray[np.uint8], amount: float, edge_px: float) -> NDArray[np.uint8]:
    grey = pixels.ndim == 2
    colours = pixels if grey else np.ascontiguousarray(pixels[..., :3])
    luma = colours if grey else cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)

    blur_side = 2 * _blur_radius_px(edge_px) + 1
    soft = cv2.GaussianBlur(luma.astype(np.float32), (blur_side, blur_side), 0.7 * edge_px)
    nearby = np.ones((2 * math.ceil(edge_px / 2) + 1,) * 2, np.uint8)
    low, high = cv2.erode(colours, nearby), cv2.dilate(colours, nearby)

    contrast = cv2.dilate(luma, nearby).astype(np.float32) - cv2.erode(luma, nearby)
    gain = np.float32(_GAIN * amount) * contrast / (contrast + np.float32(_FLAT_LEVELS))
    if not grey and pixels.shape[2] == 4:
        # Beside hidden pixels the luma jumps to black, which is no edge to sharpen.
        opaque = cv2.erode(pixels[..., 3], np.ones((blur_side, blur_side), np.uint8))
        gain *= opaque.astype(np.float32) / 255
    detail = np.rint(gain * (luma - soft)).astype(np.int16)

    result = pixels.copy()
    detailed = cv2.add(colours, detail if grey else cv2.merge([detail] * 3), dtype=cv2.CV_8U)
    bounded = np.clip(detailed, low, high)
    if grey:
        return bounded.astype(np.uint8, copy=False)
    result[..., :3] = bounded
    return result
