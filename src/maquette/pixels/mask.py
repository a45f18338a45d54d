"""Masks: read from what people send, grown, shrunk, made soft, turned inside out.

A mask is (H, W) uint8: 255 = edit, 0 = keep, between = blend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.core.masks import MOST_GROWN_PX, Adjust, Polarity

Mask = NDArray[np.uint8]

_COLOURFUL: Final = 32
"""Largest `max(R, G, B) - min(R, G, B)` of a pixel that still counts as grey."""
_COLOURFUL_SHARE: Final = 0.01
"""Share of pixels that may have more: the fringes of smoothed strokes."""


def from_transparent(pixels: NDArray[np.uint8]) -> Mask:
    """Read a mask whose transparent parts are to be edited, as OpenAI has it.

    Parameters
    ----------
    pixels : (H, W, 4) uint8
        RGBA, straight alpha. Only the alpha is read. Not modified.

    Returns
    -------
    (H, W) uint8
        255 - alpha, so that soft edges stay soft.

    Raises
    ------
    BadParameter
        There is no alpha.
    """
    return np.uint8(255) - _alpha(pixels, "transparent")


def from_opaque(pixels: NDArray[np.uint8]) -> Mask:
    """Read a mask whose opaque parts are to be edited, as a canvas has it that was painted on.

    Parameters
    ----------
    pixels : (H, W, 4) uint8
        RGBA, straight alpha. Only the alpha is read: a browser's canvas loses the colour of what
        is transparent. Not modified.

    Returns
    -------
    (H, W) uint8
        The alpha.

    Raises
    ------
    BadParameter
        There is no alpha.
    """
    return _alpha(pixels, "opaque").copy()


def from_white(pixels: NDArray[np.uint8]) -> Mask:
    """Read a grey mask whose white parts are to be edited.

    Parameters
    ----------
    pixels : (H, W), (H, W, 3) or (H, W, 4) uint8
        Grey, or RGB that is grey, sRGB-encoded; with alpha it lies on black, so that what is
        transparent is kept, whatever colour hides there. Not modified.

    Returns
    -------
    (H, W) uint8
        The luma (Rec. 601), times alpha; grey values come out as they are.

    Raises
    ------
    BadParameter
        More than a hundredth of the visible pixels have a colour: that is a picture, not a mask.
    """
    if pixels.ndim == 2:
        _check(pixels)
        return pixels.copy()
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.dtype != np.uint8:
        raise BadParameter(f"A mask of shape {pixels.shape!r} cannot be read; send a picture.")
    colours = np.ascontiguousarray(pixels[..., :3])
    chroma = colours.max(axis=2) - colours.min(axis=2)
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    coloured = chroma > _COLOURFUL if alpha is None else (chroma > _COLOURFUL) & (alpha > 0)
    if float(coloured.mean()) > _COLOURFUL_SHARE:
        raise BadParameter(
            "The mask has colours, and here white is edited and black is kept. Send a mask in "
            "black, grey and white."
        )
    grey = np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.uint8)
    if alpha is None:
        return grey
    return ((grey.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


_READ: Mapping[Polarity, Callable[[NDArray[np.uint8]], Mask]] = MappingProxyType(
    {"transparent": from_transparent, "opaque": from_opaque, "white": from_white}
)


def read(pixels: NDArray[np.uint8], polarity: Polarity) -> Mask:
    """Read a mask that marks what to edit in one of the three ways; see the three functions."""
    return _READ[polarity](pixels)


def invert(mask: Mask) -> Mask:
    """Edit what was kept, and keep what was edited: 255 - mask, uint8 of the same shape."""
    _check(mask)
    return np.uint8(255) - mask


def grow(mask: Mask, radius_px: int) -> Mask:
    """Mark also what lies near to a mark.

    Parameters
    ----------
    mask : (H, W) uint8
        Soft edges stay soft and move outwards. Not modified.
    radius_px : int
        0 to 256: every pixel becomes the greatest of those at most so far away, as the crow flies.

    Returns
    -------
    (H, W) uint8
        Nowhere less than `mask`. Beyond the border nothing is marked. Deterministic.

    Raises
    ------
    BadParameter
        A shape, a dtype or a range is not as above.
    """
    _check(mask)
    if not 0 <= radius_px <= MOST_GROWN_PX:
        raise BadParameter(f"A radius of {radius_px!r} px is out of range; give 0 to 256.")
    grown, strip, half_px = mask.copy(), mask, 0
    # A disc is its rows: each is wider than the one farther out, so that all widen the same strip.
    for down_px in range(min(radius_px, mask.shape[0] - 1), -1, -1):
        wider_px = isqrt(radius_px * radius_px - down_px * down_px) - half_px
        if wider_px:
            row = np.ones((1, 2 * wider_px + 1), np.uint8)
            strip = np.asarray(cv2.dilate(strip, row), np.uint8)
            half_px += wider_px
        for there, here in ((grown[down_px:], strip[: len(strip) - down_px]),
                            (grown[: len(grown) - down_px], strip[down_px:])):  # fmt: skip
            np.maximum(there, here, out=there)
    return grown


def shrink(mask: Mask, radius_px: int) -> Mask:
    """Keep also what lies near to what is kept: `grow` of the inverted mask, inverted.

    Parameters
    ----------
    mask : (H, W) uint8
        Not modified.
    radius_px : int
        0 to 256: every pixel becomes the least of those at most so far away.

    Returns
    -------
    (H, W) uint8
        Nowhere more than `mask`. The picture's border is no edge: marks that touch it do not
        recede from it. Deterministic.

    Raises
    ------
    BadParameter
        A shape, a dtype or a range is not as above.
    """
    return invert(grow(invert(mask), radius_px))


def feather(mask: Mask, feather_px: float) -> Mask:
    """Fade a mask to 0 at its inner rim.

    Parameters
    ----------
    mask : (H, W) uint8
        Not modified.
    feather_px : float
        Width of the soft edge, 0 or more. It lies inside the marks and takes at most half the
        depth of each connected region, so that small regions keep a solid middle.

    Returns
    -------
    (H, W) uint8
        Nowhere more than `mask`, so that nothing is edited that was not marked. The picture's
        border is no rim: a mask of everything stays as it is. Deterministic.

    Raises
    ------
    BadParameter
        A shape, a dtype or a range is not as above.
    """
    _check(mask)
    if not feather_px >= 0:
        raise BadParameter(f"feather_px is {feather_px!r}: choose 0 or more")
    inside = (mask > 0).astype(np.uint8)
    if feather_px == 0 or inside.all() or not inside.any():
        return mask.copy()
    depth_px = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    count, found = cv2.connectedComponents(inside)
    labels = np.asarray(found, np.int32)
    deepest_px = np.zeros(count, np.float32)
    np.maximum.at(deepest_px, labels.ravel(), depth_px.ravel())
    rim = (inside > 0) & (depth_px < feather_px + 0.5)
    widths_px = np.maximum(np.minimum(feather_px, deepest_px / 2), 0.5)[labels[rim]]
    # A rim pixel lies at distance 1; the half step keeps the ramp symmetric.
    ramp = np.clip((depth_px[rim] - 0.5) / widths_px, 0, 1)
    faded = mask.copy()
    faded[rim] = np.rint(mask[rim] * (ramp * ramp * (3 - 2 * ramp)))
    return faded


def adjusted(mask: Mask, adjust: Adjust) -> Mask:
    """Invert, grow, shrink and feather a mask, in this order; neutral values give a copy."""
    changed = invert(mask) if adjust.invert else mask
    if adjust.grow_px:
        changed = grow(changed, adjust.grow_px)
    if adjust.shrink_px:
        changed = shrink(changed, adjust.shrink_px)
    return feather(changed, adjust.feather_px)


def resized(mask: Mask, *, width_px: int, height_px: int) -> Mask:
    """Fit a mask to a size: area mean to shrink, linear to enlarge.

    Linear does not overshoot: what is farther than a pixel from every mark stays 0. Returns
    (height_px, width_px) uint8, a copy where the size is the same.
    """
    _check(mask)
    rows, columns = mask.shape
    if (rows, columns) == (height_px, width_px):
        return mask.copy()
    smaller = (min(columns, width_px), min(rows, height_px))
    fitted = mask
    if smaller != (columns, rows):
        fitted = np.asarray(cv2.resize(fitted, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    size = (width_px, height_px)
    return np.asarray(cv2.resize(fitted, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def coverage(mask: Mask) -> float:
    """Return the share of the picture that is marked, 0 to 1; half-marked pixels count half."""
    _check(mask)
    return float(mask.mean(dtype=np.float64)) / 255


def _alpha(pixels: NDArray[np.uint8], polarity: Polarity) -> Mask:
    if pixels.ndim != 3 or pixels.shape[2] != 4 or pixels.dtype != np.uint8:
        raise BadParameter(
            f"The mask has no transparency, and here its {polarity} parts are edited. Save it as "
            "PNG with an alpha channel, or say that white is edited."
        )
    return pixels[..., 3]


def _check(mask: Mask) -> None:
    if mask.ndim != 2 or mask.dtype != np.uint8 or not mask.size:
        raise BadParameter(
            f"A mask is (H, W) uint8 and not empty, not {mask.shape!r} {mask.dtype!r}."
        )
