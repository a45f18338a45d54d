"""The given picture and mask in the form that a pipeline takes, and its result put back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import CapabilityMissing
from maquette.imaging import codec


@dataclass(frozen=True, eq=False)
class Given:
    """The picture to begin with.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        sRGB, in the size of the result.
    notes : tuple of str
        What was changed to make it so.
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...]


def init(data: bytes, width_px: int, height_px: int) -> Given:
    """Decode a picture, lay transparency on white, and scale it to the size of the result."""
    pixels = codec.decode(data, name="the picture").pixels
    notes: list[str] = []
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        laid = (pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        pixels = laid.astype(np.uint8)
        notes.append("the picture's transparency was laid on white")
    return Given(_scaled(pixels, width_px, height_px), tuple(notes))


def mask(data: bytes, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Decode a mask to the size of the result.

    Parameters
    ----------
    data : bytes
        A picture file; its first channel counts, 255 = edit.
    width_px, height_px : int

    Returns
    -------
    ndarray of uint8, shape (H, W)
        0 = keep, 255 = edit, linear between.

    Raises
    ------
    CapabilityMissing
        Nothing is marked.
    """
    marks = _scaled(codec.decode(data, name="the mask").pixels[..., 0], width_px, height_px)
    if not marks.any():
        raise CapabilityMissing("The mask marks nothing, so nothing was made; paint what to edit.")
    return marks


def whole(marks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mark fully what is marked at all: a feathered edge is blended from both pictures."""
    return np.where(marks > 0, 255, 0).astype(np.uint8)


def put_back(
    made: NDArray[np.uint8], given: NDArray[np.uint8], marks: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Keep what was not marked exactly as it was: a model's VAE alters every pixel a little."""
    weight = marks[..., None].astype(np.uint16)
    blended = (made * weight + given * (255 - weight) + 127) // 255
    return blended.astype(np.uint8)


def _scaled(pixels: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    if pixels.shape[:2] == (height_px, width_px):
        return np.ascontiguousarray(pixels)
    shrinks = pixels.shape[0] >= height_px and pixels.shape[1] >= width_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(pixels, (width_px, height_px), interpolation=how).astype(np.uint8)
