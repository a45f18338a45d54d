"""Soft edges: refining an alpha, cleaning its colours, compositing."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.pixels.mask import feather

_WORK_PX: Final = 4
"""Box windows are computed on a grid so coarse that their radius is this many cells."""
_FUSION_RADII_PX: Final = (90, 6)
"""Far first, to reach across wide soft edges; then near, for local colour."""


_LEAST_WEIGHT: Final = np.float32(1e-4)


class Restored(NamedTuple):
    """An edit whose outside is the original again, and how much was undone there."""

    pixels: NDArray[np.uint8]
    drift: float


def guided_filter(
    guide: NDArray[np.uint8], values: NDArray[np.uint8], *, radius_px: int, epsilon: float
) -> NDArray[np.uint8]:
    """Smooth `values` while keeping the edges that `guide` has.

    Parameters
    ----------
    guide : (H, W, 3) or (H, W) uint8
        RGB or grey, sRGB-encoded. Not modified.
    values : (H, W) uint8
        What to filter, usually a mask or an alpha. Not modified.
    radius_px : int
        Half the side of the window, 1 or more.
    epsilon : float
        Guide variance, on a 0..1 scale, below which a window counts as flat; above 0.
        1e-6 follows faint edges, 1e-2 only strong ones.

    Returns
    -------
    (H, W) uint8, deterministic

    Raises
    ------
    BadParameter
        A shape, a dtype or a range is not as above.

    References
    ----------
    He, Sun, Tang (2013), "Guided image filtering", doi:10.1109/TPAMI.2012.213.
    He, Sun (2015), "Fast guided filter", arXiv:1505.00996.

    Differs from the paper: the window is shrunk to a fixed radius of 4 cells, so that the time
    hardly depends on `radius_px`.
    """
    if guide.ndim == 2:
        _check_plane("guide", guide, guide.shape)
    else:
        _check_rgb("guide", guide)
    _check_plane("values", values, guide.shape[:2])
    if radius_px < 1:
        raise BadParameter(f"radius_px is {radius_px!r}: choose 1 or more")
    if not epsilon > 0:
        raise BadParameter(f"epsilon is {epsilon!r}: choose a number above 0")
    rows, columns = values.shape
    cell_px = max(1, radius_px // _WORK_PX)
    small = (max(1, columns // cell_px), max(1, rows // cell_px))
    area = cv2.INTER_AREA
    full_guide = np.atleast_3d(guide).astype(np.float32) / 255
    coarse_guide = np.asarray(
        np.atleast_3d(cv2.resize(full_guide, small, interpolation=area)), np.float32
    )
    coarse_values = np.asarray(
        cv2.resize(values.astype(np.float32) / 255, small, interpolation=area), np.float32
    )
    radius_cells = max(1, round(radius_px / cell_px))
    lines = _local_lines(coarse_guide, coarse_values, radius_cells, epsilon)
    full = cv2.resize(lines, (columns, rows), interpolation=cv2.INTER_LINEAR)
    result = np.einsum("rcg,rcg->rc", full[..., :-1], full_guide) + full[..., -1]
    return _to_uint8(result * 255)


def refine_alpha(
    pixels: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    *,
    radius_px: int = 8,
    epsilon: float = 1e-4,
) -> NDArray[np.uint8]:
    """Turn a rough mask into an alpha that follows the edges of the picture.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, sRGB-encoded. Not modified.
    mask : (H, W) uint8
        255 = foreground; above 127 counts as inside. Not modified.
    radius_px : int
        The edge may move this far either way, 1 or more; beyond, alpha is 0 or 255 as the mask
        says.
    epsilon : float
        See `guided_filter`.

    Returns
    -------
    (H, W) uint8, straight alpha, deterministic

    Raises
    ------
    BadParameter
        A shape, a dtype or a range is not as above.

    References
    ----------
    He, Sun, Tang (2013), "Guided image filtering", doi:10.1109/TPAMI.2012.213.

    Differs from the paper: a first pass moves the edge and a second softens it; the result is
    stretched so that a faint halo becomes 0 and an almost opaque inside 255.
    """
    _check_rgb("pixels", pixels)
    _check_plane("mask", mask, pixels.shape[:2])
    inside = (mask > 127).astype(np.uint8)
    soft = inside * np.uint8(255)
    for _ in range(2):
        rough = np.where(soft > 127, 255, 0).astype(np.uint8)
        soft = guided_filter(pixels, rough, radius_px=radius_px, epsilon=epsilon)
    alpha = _to_uint8((soft.astype(np.float32) - 25) * (255 / 205))
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1,) * 2)
    alpha[cv2.erode(inside, window) == 1] = 255
    alpha[cv2.dilate(inside, window) == 0] = 0
    return alpha


def decontaminate(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Estimate the foreground's own colour, so that soft edges carry no fringe of the background.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, sRGB-encoded: the photograph that `alpha` was made for. Not modified.
    alpha : (H, W) uint8
        Straight alpha. Not modified.

    Returns
    -------
    (H, W, 3) uint8
        Equal to `pixels` where alpha is 255; at soft edges the estimated foreground colour, which
        is carried outwards about 90 px to keep later resizing clean. With no alpha above 0 a copy
        of `pixels`. Deterministic.

    Raises
    ------
    BadParameter
        A shape or a dtype is not as above.

    References
    ----------
    Forte (2021), "Approximate fast foreground colour estimation",
    doi:10.1109/ICIP42928.2021.9506164.

    Differs from the paper: fully opaque pixels are copied rather than computed.
    """
    _check_rgb("pixels", pixels)
    _check_plane("alpha", alpha, pixels.shape[:2])
    if not alpha.any():
        return pixels.copy()
    picture = pixels.astype(np.float32)
    opacity = (alpha.astype(np.float32) / np.float32(255))[..., None]
    foreground = background = picture
    for radius_px in _FUSION_RADII_PX:
        foreground, background = _fuse(picture, opacity, foreground, background, radius_px)
    result = _to_uint8(foreground)
    opaque = alpha == 255
    result[opaque] = pixels[opaque]
    return result


def composite(
    foreground: NDArray[np.uint8], background: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Lay `foreground` over `background`.

    Parameters
    ----------
    foreground, background : (H, W, 3) uint8
        RGB, sRGB-encoded and blended as encoded, as browsers do. Not modified.
    alpha : (H, W) uint8
        Straight alpha of the foreground. Not modified.

    Returns
    -------
    (H, W, 3) uint8
        The nearest integer to the exact blend: alpha 255 gives `foreground` and 0 gives
        `background` byte for byte. Deterministic.

    Raises
    ------
    BadParameter
        A shape or a dtype is not as above.

    References
    ----------
    Porter, Duff (1984), "Compositing digital images", doi:10.1145/800031.808606.

    Differs from the paper: the background is opaque, and colours are not premultiplied.
    """
    _check_rgb("foreground", foreground)
    _check_rgb("background", background, foreground.shape)
    _check_plane("alpha", alpha, foreground.shape[:2])
    over = alpha.astype(np.uint16)[..., None]
    # 255 * 255 + 127 fits 16 bits.
    return ((foreground * over + background * (255 - over) + 127) // 255).astype(np.uint8)


def composite_outside(
    original: NDArray[np.uint8],
    edited: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    *,
    feather_px: float = 0.0,
) -> Restored:
    """Put the original back everywhere outside the mask.

    Parameters
    ----------
    original, edited : (H, W, 3) uint8
        RGB, sRGB-encoded, of one size. Not modified.
    mask : (H, W) uint8
        255 = edit, 0 = keep the original, between = blend. Not modified.
    feather_px : float
        Width of the soft edge, 0 or more; it lies inside the mask. See `mask.feather`.

    Returns
    -------
    Restored
        `pixels`: (H, W, 3) uint8, equal to `original` byte for byte where the mask is 0.
        `drift`: mean absolute difference, 0..255, between `edited` and `original` where the mask
        is 0, that is, what was undone; 0.0 when the mask covers everything. Deterministic.

    Raises
    ------
    BadParameter
        A shape, a dtype or a range is not as above.
    """
    _check_rgb("original", original)
    _check_rgb("edited", edited, original.shape)
    _check_plane("mask", mask, original.shape[:2])
    outside = mask == 0
    undone = np.abs(original[outside].astype(np.int16) - edited[outside])
    drift = float(undone.mean()) if outside.any() else 0.0
    return Restored(composite(edited, original, feather(mask, feather_px)), drift)


def _local_lines(
    guide: NDArray[np.float32], values: NDArray[np.float32], radius_cells: int, epsilon: float
) -> NDArray[np.float32]:
    """Fit values = slopes . guide + offset in every window; stack both, averaged."""
    mean = partial(_window_mean, radius=radius_cells)
    planes = np.ascontiguousarray(np.moveaxis(guide, -1, 0))
    size = len(planes)
    means = np.stack([mean(plane) for plane in planes])
    values_mean = mean(values)
    slopes = np.stack([mean(plane * values) for plane in planes]) - means * values_mean
    matrix = np.empty((size, *planes.shape), np.float32)
    for i, j in np.ndindex(size, size):
        matrix[i, j] = mean(planes[i] * planes[j]) - means[i] * means[j]
    matrix[range(size), range(size)] += np.float32(epsilon)
    # Elimination in every pixel at once: a covariance with a raised diagonal needs no pivots.
    for i, j in combinations(range(size), 2):
        factor = matrix[j, i] / matrix[i, i]
        matrix[j] -= factor * matrix[i]
        slopes[j] -= factor * slopes[i]
    for i in reversed(range(size)):
        slopes[i] -= (matrix[i, i + 1 :] * slopes[i + 1 :]).sum(axis=0)
        slopes[i] /= matrix[i, i]
    offset = values_mean - (slopes * means).sum(axis=0)
    return mean(np.dstack([*slopes, offset]).astype(np.float32))


def _fuse(
    picture: NDArray[np.float32],
    opacity: NDArray[np.float32],
    foreground: NDArray[np.float32],
    background: NDArray[np.float32],
    radius_px: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average each side over its own pixels, then share out what the blend does not explain."""
    smooth = partial(_window_mean, radius=radius_px)
    weight = smooth(opacity)[..., None] + _LEAST_WEIGHT
    back_weight = smooth(1 - opacity)[..., None] + _LEAST_WEIGHT
    # Where a side has no pixels in reach, its last estimate stays.
    front = (smooth(foreground * opacity) + _LEAST_WEIGHT * foreground) / weight
    back = (smooth(background * (1 - opacity)) + _LEAST_WEIGHT * background) / back_weight
    unexplained = picture - opacity * front - (1 - opacity) * back
    front = np.clip(front + opacity * unexplained, 0, 255)
    return front.astype(np.float32, copy=False), back.astype(np.float32, copy=False)


def _window_mean(plane: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    window = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.blur(plane, window, borderType=cv2.BORDER_REFLECT), np.float32)


def _to_uint8(values: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _check_rgb(name: str, pixels: NDArray[np.uint8], shape: tuple[int, ...] | None = None) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadParameter(
            f"{name} is {pixels.shape!r} {pixels.dtype!r}: hand in (H, W, 3) uint8 RGB"
        )
    if shape is not None and pixels.shape != shape:
        raise BadParameter(f"{name} is {pixels.shape!r}: resize it to {shape!r}")


def _check_plane(name: str, plane: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if plane.shape != shape or plane.dtype != np.uint8 or not plane.size:
        raise BadParameter(
            f"{name} is {plane.shape!r} {plane.dtype!r}: hand in uint8 of shape {shape!r}"
        )
