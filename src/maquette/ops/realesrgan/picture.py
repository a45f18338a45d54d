"""What both backends do around their network: sizes, opacity, and the last step to the scale."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import ImageTooLarge
from maquette.ops.realesrgan.tiles import Network, Tiling, enlarge
from maquette.pixels import resample


def upscaled(
    pixels: NDArray[np.uint8],
    scale: float,
    network: Network,
    factor: int,
    tiling: Tiling,
    progress: Callable[[float], None],
) -> NDArray[np.uint8]:
    """Enlarge by a network's own factor, then resample to the scale that was asked for.

    Colours under alpha 0 are replaced by those nearby before the network sees them, so that no
    fringe of what was hidden appears; alpha itself is enlarged by Lanczos without ringing, for
    the network was trained on photographs and would redraw it.

    Parameters
    ----------
    pixels : (H, W, 3 | 4) uint8, sRGB, straight alpha; not modified

    Returns
    -------
    (round(H * scale), round(W * scale), 3 | 4) uint8
        Black where it is fully transparent.

    Raises
    ------
    ImageTooLarge
        The picture, or its enlargement by `factor` on the way, has too many pixels.
    """
    height, width = pixels.shape[:2]
    tall, wide = round(height * scale), round(width * scale)
    refuse_too_many(height, width, scale, factor)
    if pixels.shape[2] == 3:
        made = enlarge(pixels, network, factor, tiling, progress=progress)
        return resample.resize(made, width_px=wide, height_px=tall)
    alpha = np.ascontiguousarray(pixels[..., 3])
    made = enlarge(filled(pixels), network, factor, tiling, wanted=_near(alpha), progress=progress)
    colours = resample.resize(made, width_px=wide, height_px=tall)
    opacity = resample.upscale(alpha, scale, sharpen=0.0)
    colours[opacity == 0] = 0
    return np.dstack([colours, opacity])


def refuse_too_many(height_px: int, width_px: int, scale: float, factor: int) -> None:
    """Raise `ImageTooLarge` before any work if a picture on the way would be over the limit."""
    largest = max(scale, factor)
    if height_px * width_px * largest**2 > resample.RESULT_PX_MAX:
        raise ImageTooLarge(
            f"{width_px!r} by {height_px!r} pixels, enlarged {largest:g} times, is over the limit "
            f"of {resample.RESULT_PX_MAX!r} pixels. Choose a model with a smaller factor, a "
            "smaller scale, or the backend 'resample'."
        )


def filled(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give transparent pixels the colour of the visible ones nearby.

    Parameters
    ----------
    pixels : (H, W, 4) uint8, straight alpha; not modified

    Returns
    -------
    (H, W, 3) uint8
        Equal to `pixels` wherever alpha is above 0.

    References
    ----------
    Gortler et al. (1996), "The lumigraph", doi:10.1145/237170.237200, for pull-push filling.
    """
    colours = np.ascontiguousarray(pixels[..., :3])
    hidden = pixels[..., 3] == 0
    if not hidden.any() or hidden.all():
        return colours
    weight = pixels[..., 3].astype(np.float32) / np.float32(255)
    light = np.multiply(colours, weight[..., None], dtype=np.float32)
    spread = _pulled_and_pushed(light, weight)
    colours[hidden] = np.rint(spread[hidden]).astype(np.uint8)
    return colours


def _pulled_and_pushed(
    light: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Divide out the weight; where there is none, take what half the size says."""
    height, width = weight.shape
    known = weight > 0
    own = np.divide(light, np.maximum(weight, np.float32(1e-6))[..., None], dtype=np.float32)
    if known.all() or max(height, width) == 1:
        return own
    half = ((width + 1) // 2, (height + 1) // 2)
    fewer = [
        np.asarray(cv2.resize(one, half, interpolation=cv2.INTER_AREA), np.float32)
        for one in (light, weight)
    ]
    coarse = _pulled_and_pushed(fewer[0], fewer[1])
    grown = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(known[..., None], own, np.asarray(grown, np.float32))


def _near(alpha: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where the enlarged alpha may be above 0: Lanczos reaches four pixels."""
    reach = np.ones((9, 9), np.uint8)
    return np.asarray(cv2.dilate(alpha, reach)) > 0
