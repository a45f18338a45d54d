"""The colour and the finish that a prompt asks for, applied to pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.pixels import looks, lut
from maquette.pixels.lut import Colours
from maquette.pixels.matte import guided_filter
from maquette.providers.proof.words import COLOURS, MONOCHROME, Intent

Pixels = NDArray[np.uint8]

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_SHIFT_RADIUS_SHARE = 0.02


def coloured(pixels: Pixels, intent: Intent, *, warmth: float = 0.0) -> Pixels:
    """Apply the looks, tints, brightness, contrast and saturation of an intent.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8, sRGB. Never modified.
    intent
        What to apply. Several looks share the work, so that they do not pile up; a monochrome
        one comes last.
    warmth
        -1 (cooler) to 1 (warmer), a small shift that tells candidates apart.

    Returns
    -------
    (H, W, 3) uint8, sRGB. Deterministic.
    """

    def grade(colours: Colours) -> Colours:
        chosen = sorted(intent.looks, key=lambda look: look[0] in MONOCHROME)
        sharers = max(1.0, sum(amount for name, amount in chosen if name not in MONOCHROME))
        for name, amount in chosen:
            share = amount if name in MONOCHROME else amount / sharers**0.5
            colours = _towards(colours, looks.look(name).function(colours), min(share, 1.0))
        for name, amount in intent.tints:
            colours = _tinted(colours, name, amount / len(intent.tints) ** 0.5)
        if not intent.monochrome:
            colours = _lifted(colours, np.array([0.06, 0.008, -0.06], np.float32) * warmth)
        return _adjusted(colours, intent)

    return lut.apply(pixels, lut.from_function(grade))


def finished(
    pixels: Pixels, intent: Intent, *, seed: int, light: tuple[float, float] = (0.0, 0.0)
) -> Pixels:
    """Apply the detail, the vignette and the grain of an intent.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8, sRGB. Never modified.
    intent
        What to apply; lengths scale with the picture.
    seed
        Of the grain, non-negative.
    light
        Where light falls in from, (down, right) of the middle, each -1..1: that side becomes a
        little lighter and the other darker.

    Returns
    -------
    (H, W, 3) uint8, sRGB. The same seed gives the same bytes.
    """
    side_px = float(np.sqrt(pixels.shape[0] * pixels.shape[1]))
    result = pixels.astype(np.float32)
    if intent.detail > 0:
        soft = cv2.GaussianBlur(result, (0, 0), max(0.6, side_px / 700))
        result = result + (result - soft) * np.float32(0.7 * intent.detail)
    elif intent.detail < 0:
        # A veil of blurred light over a sharp picture, like a diffusion filter.
        soft = np.asarray(cv2.GaussianBlur(result, (0, 0), max(0.8, side_px / 110)), np.float32)
        veil = 255 - (255 - result) * (255 - soft) / 255
        share = np.float32(min(0.3 * -intent.detail, 0.6))
        result = result + (0.55 * soft + 0.45 * veil - result) * share
    if light != (0.0, 0.0):
        ramp = _ramp(pixels.shape[0], pixels.shape[1], light)
        result = result + result * (255 - result) / 255 * ramp
    if intent.vignette > 0:
        result = result * _vignette(pixels.shape[0], pixels.shape[1], intent.vignette)
    if intent.grain > 0:
        grain = np.random.default_rng(seed).standard_normal(pixels.shape[:2], np.float32)
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), max(0.5, side_px / 1500)))
        level = result @ _LUMA / 255
        room = (0.35 + 2.2 * level * (1 - level)) * (9 * intent.grain / max(grain.std(), 1e-3))
        result = result + (grain * room)[..., None]
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def eased(original: Pixels, changed: Pixels, *, warm_kept: float) -> Pixels:
    """Smooth a change of colour within surfaces, and spare skin and other warm colours.

    A colour map that pulls hard may part one surface into two hues; its shift, smoothed under
    the guidance of the original's edges, does not.

    Parameters
    ----------
    original, changed
        (H, W, 3) uint8, sRGB, of one shape. Never modified.
    warm_kept
        Share of the original's colour, not lightness, that warm colours keep, 0..1.

    Returns
    -------
    (H, W, 3) uint8, sRGB. Deterministic.
    """
    radius_px = max(2, round(_SHIFT_RADIUS_SHARE * float(np.sqrt(original.size / 3))))
    own = original.astype(np.float32)
    shift = changed - own
    red, green, blue = cv2.split(own)
    lead = np.clip((red - 0.5 * (green + blue)) / 60, 0, 1)
    # Where everything is warm there is nothing to spare it from.
    lead = lead * (warm_kept * (1 - 0.75 * float(lead.mean())))
    luma = (shift @ _LUMA)[..., None]
    shift = luma + (shift - luma) * (1 - lead[..., None])
    packed = np.clip(np.rint(shift * 0.5 + 128), 0, 255).astype(np.uint8)
    smooth = [
        guided_filter(
            original, np.ascontiguousarray(packed[..., channel]), radius_px=radius_px, epsilon=0.002
        )
        for channel in range(3)
    ]
    back = (np.stack(smooth, axis=-1).astype(np.float32) - 128) * 2
    return np.clip(np.rint(own + back), 0, 255).astype(np.uint8)


def _towards(colours: Colours, changed: Colours, share: float) -> Colours:
    return (colours + (changed - colours) * np.float32(share)).astype(np.float32)


def _lifted(colours: Colours, tint: Colours) -> Colours:
    """Move the middle of each channel; black and white stay."""
    return (colours + 4 * colours * (1 - colours) * tint).astype(np.float32)


def _tinted(colours: Colours, name: str, amount: float) -> Colours:
    towards = np.array(COLOURS[name], np.float32) / 255
    tint = (towards - towards @ _LUMA) * (0.2 * amount)
    return _lifted(colours, tint.astype(np.float32))


def _adjusted(colours: Colours, intent: Intent) -> Colours:
    if intent.brightness:
        gamma = 2 ** (-0.45 * intent.brightness)
        colours = (np.clip(colours, 0, 1) ** gamma).astype(np.float32)
    if intent.contrast:
        colours = _lifted(
            colours, ((2 * colours - 1) * (0.16 * intent.contrast)).astype(np.float32)
        )
    if intent.saturation:
        luma = (colours @ _LUMA)[..., None]
        saturated = luma + (colours - luma) * (1 + 0.35 * intent.saturation)
        colours = saturated.astype(np.float32)
    return colours


def _ramp(height_px: int, width_px: int, light: tuple[float, float]) -> Colours:
    rows = np.linspace(-1, 1, height_px, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width_px, dtype=np.float32)[None, :]
    return (0.32 * (rows * light[0] + columns * light[1]))[..., None].astype(np.float32)


def _vignette(height_px: int, width_px: int, amount: float) -> Colours:
    rows = np.linspace(-1, 1, height_px, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width_px, dtype=np.float32)[None, :]
    way = np.clip((np.hypot(rows, columns) - 0.45) / 0.97, 0, 1)
    fall = way * way * (3 - 2 * way)
    return (1 - min(0.5 * amount, 0.9) * fall)[..., None].astype(np.float32)
