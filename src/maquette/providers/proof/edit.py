"""Edits without a model: a reference's colours, a grade, brush strokes, a filled hole.

Every function is pure, synchronous and can be sent to a worker process. The same arguments give
the same bytes on one machine and set of libraries.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.imaging.codec import decode
from maquette.pixels import inpaint as patchwork
from maquette.pixels import matte, painterly, resample, style
from maquette.providers.proof.grade import coloured, eased, finished
from maquette.providers.proof.proofs import Proof, proof_of, variation
from maquette.providers.proof.words import Intent, read

__all__ = ["Proof", "edit", "inpaint", "warm"]

Pixels = NDArray[np.uint8]

_BRUSH = 0.62
"""Strength of a painterly style that is named without a modifier."""
_REFERENCE_PX = 512
"""Longer side to which references are reduced: their colours are all that counts."""
_ACCENTS = ("cinematic_warm", "film_matte", "golden_hour", "cinematic_cool", "vivid", "teal_orange")
"""Looks of which a touch tells one candidate from the next."""


def edit(
    source: bytes,
    references: tuple[bytes, ...],
    *,
    prompt: str,
    seed: int,
    size: tuple[int, int] | None,
) -> Proof:
    """Edit a picture by colour transfer, grading and painting.

    Parameters
    ----------
    source
        A picture file.
    references
        Picture files whose colours pull the palette; there may be none.
    prompt
        Read by `maquette.providers.proof.words`. Where it names nothing known, a gentle default
        is applied.
    seed
        Non-negative; varies palette, grade, light and strokes a little.
    size
        (width_px, height_px) to scale and crop the middle of the source to, or None to keep its
        size.

    Raises
    ------
    UnsupportedImage, ImageTooLarge
        When a file cannot be read.
    BadParameter
        For a negative seed or a size below one pixel.
    """
    intent = read(prompt)
    pixels = _fitted(decode(source, name="the source picture").pixels, size)
    rgb = np.ascontiguousarray(pixels[..., :3])
    plan = _planned(intent, seed, referenced=bool(references))
    notes = {"understood": ", ".join(intent.understood), "ignored": ", ".join(intent.ignored)}
    if references:
        strength, keep_luma = _pull(intent, seed)
        palette = tuple(_reduced(decode(data, name="a reference").pixels) for data in references)
        pulled = style.transfer(rgb, palette, strength=strength, keep_luma=keep_luma, seed=seed)
        rgb = eased(rgb, pulled, warm_kept=0.6)
        notes["palette"] = f"{len(references)} reference(s), strength {strength:.2f}"
    graded = coloured(rgb, plan, warmth=2 * variation(seed, 2) - 1)
    rgb = graded if plan.monochrome else eased(rgb, graded, warm_kept=0.35)
    if plan.style is not None:
        strength = min(_BRUSH * plan.style_amount, 1.0)
        rgb = painterly.paint(rgb, style=plan.style, strength=strength, seed=seed)
        notes["painted"] = f"{plan.style}, strength {strength:.2f}"
    turn_rad = math.tau * variation(seed, 3)
    light = (-abs(math.sin(turn_rad)), math.cos(turn_rad))
    rgb = finished(rgb, plan, seed=seed, light=light)
    notes["looks"] = ", ".join(name for name, _ in plan.looks)
    return proof_of(
        np.dstack([rgb, pixels[..., 3:]]),
        prompt=prompt,
        seed=seed,
        understood=intent.understood,
        notes={name: text for name, text in notes.items() if text},
    )


def inpaint(source: bytes, mask: bytes, *, prompt: str, seed: int) -> Proof:
    """Fill part of a picture with texture from the rest of it.

    Parameters
    ----------
    source
        A picture file. Its alpha, if any, stays as it is everywhere.
    mask
        A grey picture file of the same size: 255 is filled, 0 keeps the source's pixels byte for
        byte, between blends.
    prompt
        Recorded only; every word of it is noted as ignored, since nothing is drawn from words.
    seed
        Non-negative; another seed finds other texture.

    Raises
    ------
    UnsupportedImage, ImageTooLarge
        When a file cannot be read.
    BadParameter
        When the sizes differ or the seed is negative.
    """
    pixels = decode(source, name="the source picture").pixels
    where = cv2.cvtColor(decode(mask, name="the mask").pixels[..., :3].copy(), cv2.COLOR_RGB2GRAY)
    if where.shape != pixels.shape[:2]:
        raise BadParameter(
            f"the mask is {where.shape[1]!r} x {where.shape[0]!r} px, but the picture is "
            f"{pixels.shape[1]!r} x {pixels.shape[0]!r} px; make the mask the picture's size"
        )
    rgb = np.ascontiguousarray(pixels[..., :3])
    selected = np.asarray(where, np.uint8)
    hole = np.where(selected > 0, 255, 0).astype(np.uint8)
    filled = patchwork.fill(rgb, hole, seed=seed)
    rgb = matte.composite_outside(rgb, filled, selected).pixels
    intent = read(prompt)
    words = ", ".join((*intent.understood, *intent.ignored))
    return proof_of(
        np.dstack([rgb, pixels[..., 3:]]),
        prompt=prompt,
        seed=seed,
        understood=(),
        notes={"filled": "texture from the rest of the picture"}
        | ({"ignored": words} if words else {}),
    )


def warm() -> None:
    """Compile the kernels behind edits, or load them from the cache on disk."""
    style.warm()
    painterly.warm()
    patchwork.warm()


def _planned(intent: Intent, seed: int, *, referenced: bool) -> Intent:
    """Vary an intent for one candidate; fill in a gentle default where nothing was understood."""
    accent = _ACCENTS[int(variation(seed, 1) * len(_ACCENTS))]
    looks = intent.looks
    if not intent.understood:
        looks = ((accent, 0.6 if referenced else 0.8),)
        intent = replace(intent, style="oil", style_amount=0.45)
    elif not intent.monochrome and accent not in dict(looks):
        looks = (*looks, (accent, 0.5))
    return replace(
        intent,
        looks=looks,
        brightness=intent.brightness + 0.9 * (variation(seed, 3) - 0.5),
        contrast=intent.contrast + 0.15 + 1.1 * (variation(seed, 0) - 0.5),
        vignette=intent.vignette + 0.1 + 0.7 * variation(seed, 1),
        style_amount=intent.style_amount * (0.8 + 0.4 * variation(seed, 2)),
    )


def _pull(intent: Intent, seed: int) -> tuple[float, float]:
    """Return how far the references pull, and how much of the own lightness stays."""
    strength = 0.28 + 0.5 * variation(seed, 2)
    # Looks that are asked for in words would drown in a full transfer, and the other way round.
    return strength * (0.75 if intent.looks else 1.0), 0.95 - 0.4 * variation(seed, 1)


def _reduced(pixels: Pixels) -> Pixels:
    rgb = np.ascontiguousarray(pixels[..., :3])
    scale = _REFERENCE_PX / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    height_px, width_px = (max(1, round(side * scale)) for side in rgb.shape[:2])
    return resample.resize(rgb, width_px=width_px, height_px=height_px)


def _fitted(pixels: Pixels, size: tuple[int, int] | None) -> Pixels:
    """Scale to cover a size and cut off, on both sides alike, what is too much."""
    if size is None:
        return pixels
    if min(size) < 1:
        raise BadParameter(f"size {size!r} has a side below 1 px; give (width, height) in pixels")
    height_px, width_px = pixels.shape[:2]
    scale = max(size[0] / width_px, size[1] / height_px)
    covering = [
        max(least, round(side * scale))
        for least, side in zip(size, (width_px, height_px), strict=True)
    ]
    scaled = resample.resize(pixels, width_px=covering[0], height_px=covering[1])
    top, left = (covering[1] - size[1]) // 2, (covering[0] - size[0]) // 2
    return np.ascontiguousarray(scaled[top : top + size[1], left : left + size[0]])
