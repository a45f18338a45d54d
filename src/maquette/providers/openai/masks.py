"""Our masks in OpenAI's form; runs in a worker process."""

from __future__ import annotations

import numpy as np

from maquette.core.errors import CapabilityMissing
from maquette.imaging import codec, png

MOST_BYTES = 4_000_000


def to_alpha(mask: bytes, width_px: int, height_px: int) -> bytes:
    """Turn a mask inside out: what is to be edited becomes transparent.

    Parameters
    ----------
    mask : bytes
        A picture file of one channel, 0 to 255, linear; 255 = edit.
    width_px, height_px : int
        The size of the first input picture, which the mask must have.

    Returns
    -------
    bytes
        A PNG, RGBA with straight alpha, black; alpha 0 where the mask is above 0 (a feathered
        edge is blended from both pictures, so the model has to paint it), else alpha 255.

    Raises
    ------
    CapabilityMissing
        The sizes differ, nothing is marked, or the PNG is over OpenAI's 4 MB. Deterministic.
    """
    marked = codec.decode(mask, name="the mask").pixels[..., 0] > 0
    if marked.shape != (height_px, width_px):
        raise CapabilityMissing(
            f"The mask has {marked.shape[1]}x{marked.shape[0]} px and the picture "
            f"{width_px}x{height_px}; nothing was sent. Give a mask of the picture's size."
        )
    if not marked.any():
        raise CapabilityMissing("The mask marks nothing, so nothing was sent; paint what to edit.")
    pixels = np.zeros((height_px, width_px, 4), np.uint8)
    pixels[..., 3] = np.where(marked, 0, 255)
    data = png.write(pixels)
    if len(data) >= MOST_BYTES:
        raise CapabilityMissing(
            f"The mask has {len(data)} bytes as PNG and OpenAI takes less than {MOST_BYTES}; "
            "nothing was sent. Draw a simpler mask."
        )
    return data
