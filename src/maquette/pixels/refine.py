"""Taking only the edges from a redrawn cutout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_BAND = 0.012
"""Width of the band around the old edge that the redrawn picture decides, per longer side."""
_REACH = 3
"""How many bands outside the old edge the new picture may still add to the subject."""


@dataclass(frozen=True)
class Merged:
    """A cutout with new edges, and how well the two pictures agreed."""

    pixels: NDArray[np.uint8]
    overlap: float
    """Intersection over union of the two subjects, 0 to 1."""
    drift: float
    """Mean colour difference inside the subject that was undone, 0 to 255."""


def merge(cutout: NDArray[Any], redrawn: NDArray[Any]) -> Merged:
    """Keep a cutout's inside, and take the edges from a redrawn version of it.

    An image model redraws the whole picture, so colours drift far from any edge. Here it decides
    the alpha, and the colours only in a band around the old edge; the inside keeps its pixels,
    and nothing appears far outside.

    Parameters
    ----------
    cutout : ndarray of shape (H, W, 4), uint8, sRGB, straight alpha
    redrawn : ndarray of shape (h, w, 3 | 4), uint8, sRGB, straight alpha
        Of any size; it is brought to H x W. Without transparency the cutout's alpha stays.

    Returns
    -------
    Merged
        `pixels` of shape (H, W, 4), uint8, straight alpha.
    """
    height, width = cutout.shape[:2]
    fitted = _fit(redrawn, height, width)
    old = cutout[..., 3]
    new = fitted[..., 3] if fitted.shape[2] == 4 and fitted[..., 3].min() < 255 else old
    band_px = max(2.0, _BAND * max(height, width))
    inside = _distance(old >= 128)
    outside = _distance(old < 128)
    # 1 at the old edge, 0 one band further in: the redrawn colours fade out there.
    near = np.clip(1 - inside / band_px, 0, 1)[..., None]
    colours = cutout[..., :3] * (1 - near) + fitted[..., :3] * near
    alpha = np.where(outside > _REACH * band_px, old, new)
    both = (old >= 128) & (new >= 128)
    either = (old >= 128) | (new >= 128)
    deep = (inside > band_px) & (new >= 128)
    apart = np.abs(cutout[..., :3].astype(np.int16) - fitted[..., :3])
    return Merged(
        pixels=np.dstack([np.rint(colours).astype(np.uint8), alpha.astype(np.uint8)]),
        overlap=float(both.sum() / either.sum()) if either.any() else 1.0,
        drift=float(apart[deep].mean()) if deep.any() else 0.0,
    )


def _fit(pixels: NDArray[Any], height: int, width: int) -> NDArray[np.uint8]:
    """Resize with premultiplied alpha, so that hidden colours do not bleed into the edge."""
    if pixels.shape[:2] == (height, width):
        return np.asarray(pixels, np.uint8)
    smaller = height * width < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    if pixels.shape[2] == 3:
        return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)
    alpha = pixels[..., 3:].astype(np.float32) / 255
    together = np.dstack([pixels[..., :3] * alpha, alpha]).astype(np.float32)
    resized = np.asarray(cv2.resize(together, (width, height), interpolation=method))
    shown = np.clip(resized[..., 3:], 0, 1)
    colours = np.divide(
        resized[..., :3], shown, out=np.zeros_like(resized[..., :3]), where=shown > 0
    )
    whole = np.dstack([np.clip(colours, 0, 255), shown * 255])
    return np.rint(whole).astype(np.uint8)


def _distance(where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each pixel's distance in pixels to the nearest one that is not `where`."""
    if where.all():
        return np.full(where.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(where.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
