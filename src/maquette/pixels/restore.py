"""Putting the original back outside a mask, with or without transparency."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.pixels import mask as masks
from maquette.pixels.matte import Restored

Pixels = NDArray[np.uint8]


def outside(
    original: Pixels, edited: Pixels, mask: NDArray[np.uint8], *, feather_px: float = 0.0
) -> Restored:
    """Put the original back everywhere outside the mask, its transparency too.

    Parameters
    ----------
    original, edited : (H, W, 3) or (H, W, 4) uint8
        RGB, or RGB with straight alpha, sRGB-encoded, of one size; the one may have alpha where
        the other has none. Not modified.
    mask : (H, W) uint8
        255 = edit, 0 = keep the original, between = blend. Not modified.
    feather_px : float
        Width of the soft edge, 0 or more; it lies inside the mask. See `mask.feather`.

    Returns
    -------
    Restored
        `pixels`: equal to `original` byte for byte where the mask is 0, also the colours that
        hide under alpha 0, and to `edited` where the feathered mask is 255; between, colours
        times alpha are blended. (H, W, 3) where the original has no alpha and nothing of the
        result is transparent or where neither has alpha, else (H, W, 4).
        `drift`: mean absolute difference, 0..255, between `edited` and `original` where the mask
        is 0, that is, what was undone; with alpha on either side, of colour times alpha and of
        alpha. 0.0 where the mask covers everything. Deterministic.

    Raises
    ------
    BadParameter
        A shape, a dtype or a range is not as above.

    References
    ----------
    Porter, Duff (1984), "Compositing digital images", doi:10.1145/800031.808606.
    """
    alpha = original.shape[2:] == (4,) or edited.shape[2:] == (4,)
    before, after = _checked(original, alpha=alpha), _checked(edited, alpha=alpha)
    if before.shape != after.shape or mask.shape != before.shape[:2]:
        raise BadParameter(
            f"The original is {original.shape!r}, the edit {edited.shape!r} and the mask "
            f"{mask.shape!r}: bring them to one size."
        )
    weight = masks.feather(mask, feather_px)
    whole = weight == 255
    soft = (weight > 0) & ~whole
    result = before.copy()
    np.copyto(result, after, where=whole[..., None])
    result[soft] = _blended(before[soft], after[soft], weight[soft])
    difference = cv2.absdiff(_seen(before), _seen(after))
    kept = (mask == 0).astype(np.uint8)
    drift = float(np.mean(cv2.mean(difference, kept)[: before.shape[2]]))
    if original.shape[2] == 3 and alpha and result[..., 3].min() == 255:
        result = np.ascontiguousarray(result[..., :3])
    return Restored(result, drift)


def _checked(pixels: Pixels, *, alpha: bool) -> Pixels:
    """Return RGB, or RGBA where either picture has alpha."""
    shaped = pixels.ndim == 3 and pixels.shape[2] in (3, 4)
    if not shaped or pixels.dtype != np.uint8 or not pixels.size:
        raise BadParameter(f"A picture is (H, W, 3|4) uint8, not {pixels.shape!r} {pixels.dtype!r}")
    if pixels.shape[2] == 4 or not alpha:
        return np.ascontiguousarray(pixels)
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def _blended(before: Pixels, after: Pixels, weight: NDArray[np.uint8]) -> Pixels:
    """Blend (N, 3) or (N, 4) pixels; the weight is 1..254."""
    over = weight.astype(np.uint32)[:, None]
    under = 255 - over
    if before.shape[1] == 3:
        return ((after * over + before * under + 127) // 255).astype(np.uint8)
    after_weight, before_weight = after[:, 3:] * over, before[:, 3:] * under
    total = after_weight + before_weight
    alpha = (total + 127) // 255
    # Where both are transparent nothing shows, and the original's hidden colour stays.
    divisor = np.maximum(total, 1)
    colours = (after[:, :3] * after_weight + before[:, :3] * before_weight + total // 2) // divisor
    colours = np.where(total > 0, colours, before[:, :3])
    return np.concatenate([colours, alpha], axis=1).astype(np.uint8)


def _seen(pixels: Pixels) -> Pixels:
    """Return colour times alpha, and alpha."""
    if pixels.shape[2] == 3:
        return pixels
    weight = pixels[..., [3, 3, 3]]
    weight = np.dstack([weight, np.full(pixels.shape[:2], 255, np.uint8)])
    return np.asarray(cv2.multiply(pixels, weight, scale=1 / 255), np.uint8)
