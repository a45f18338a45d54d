"""The ground under words: shaded no more than it takes to read them."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Ink: TypeAlias = tuple[int, int, int]

CONTRAST = 5.5
"""Least contrast of ink and ground, by WCAG 2 (which asks for 4.5)."""

_LIGHT_INK: Ink = (250, 247, 240)
_DARK_INK: Ink = (24, 24, 30)
_DARKEST_PALE = 0.42
"""Median luminance from which ink is dark."""
_DETAIL_LEVELS = 10


def shaded(pixels: NDArray[np.uint8], reach_px: int) -> tuple[NDArray[np.float32], Ink]:
    """Shade a ground so that ink of the returned colour can be read on it.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8, sRGB. Never modified.
    reach_px
        Rows at the top over which the shade rises; the words stand below.

    Returns
    -------
    ground
        (H, W, 3) float32, sRGB, 0..255.
    ink
        Light on dark grounds, dark on pale ones; at least `CONTRAST` against the hundredth part
        of the ground that is nearest to it, as far as a shade of 0.96 can give that.

    References
    ----------
    W3C (2023). Web Content Accessibility Guidelines 2.2, contrast ratio.
    """
    words = pixels[reach_px:].reshape(-1, 3)[:: max(1, pixels.size // 60_000)]
    light = _luminance(words.astype(np.float32))
    dark_ground = float(np.median(light)) < _DARKEST_PALE
    ink = _LIGHT_INK if dark_ground else _DARK_INK
    # The shade keeps the hue of what it covers: a dark or a pale version of its mean.
    mean = words.mean(axis=0)
    veil = mean * 0.16 if dark_ground else 255 - (255 - mean) * 0.18
    near_ink = (
        light >= np.quantile(light, 0.99) if dark_ground else light <= np.quantile(light, 0.01)
    )
    worst = words[near_ink].mean(axis=0)
    shares = np.linspace(0, 0.96, 25)
    enough = [s for s in shares if _contrast(worst + (veil - worst) * s, ink) >= CONTRAST]
    least = float(enough[0]) if enough else 0.96
    rise = np.clip(np.arange(len(pixels), dtype=np.float32) / max(1, reach_px), 0, 1)
    rise = (rise * rise * (3 - 2 * rise))[:, None, None]
    # What is small and near the ink's colour, like a lit window, would read as part of a letter.
    calm = _calm(pixels)
    even = (
        np.minimum(pixels, calm + _DETAIL_LEVELS)
        if dark_ground
        else np.maximum(pixels, calm - _DETAIL_LEVELS)
    )
    ground = pixels + (even - pixels) * rise
    ground += (veil.astype(np.float32) - ground) * (np.float32(least) * rise)
    return ground, ink


def _calm(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blur widely, on a reduced copy."""
    height_px, width_px = pixels.shape[:2]
    small = (
        max(1, width_px * 48 // min(height_px, width_px)),
        max(1, height_px * 48 // min(height_px, width_px)),
    )
    reduced = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(reduced, (0, 0), 1.2)
    enlarged = cv2.resize(soft, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)


def _luminance(rgb: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    encoded = rgb / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def _contrast(ground: NDArray[np.floating[Any]], ink: Ink) -> float:
    """Return the contrast ratio of WCAG 2, 1 to 21."""
    pair = sorted(float(_luminance(np.asarray(colour, np.float64))) for colour in (ground, ink))
    return (pair[1] + 0.05) / (pair[0] + 0.05)
