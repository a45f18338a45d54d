"""Our pictures in the form that every server of the dialect reads alike; runs in a worker process.

Servers decode differently: some know no WebP, some ignore a rotation in the file, one reads alpha
as a mask, and with a mask the web UI returns the size of the source instead of the one asked for.
A plain PNG of the very size that is asked for leaves nothing to differ about.
"""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import CapabilityMissing
from maquette.imaging import codec, png
from maquette.pixels import resample
from maquette.providers.a1111.sizes import Wide

_SEEN = 128


def source(data: bytes, size: Wide) -> str:
    """Write the source picture as base64 of a PNG.

    Parameters
    ----------
    data : bytes
        A picture file.
    size : (width_px, height_px)
        The size that is asked for.

    Returns
    -------
    str
        Base64 of a PNG, RGB, sRGB, upright, of that size; transparent parts lie on white, as the
        web UI has it by default. Deterministic.
    """
    pixels = _sized(codec.decode(data, name="the picture").pixels, size)
    return _text(_on_white(pixels))


def mask(data: bytes, of: Wide, size: Wide) -> str:
    """Write a mask as base64 of a PNG.

    Parameters
    ----------
    data : bytes
        A picture file of one channel, 0 to 255, linear; 255 = edit.
    of : (width_px, height_px)
        The size of the source picture, which the mask must have.
    size : (width_px, height_px)
        The size that is asked for.

    Returns
    -------
    str
        Base64 of a PNG of one channel, white = edit, of the size `size`. It never has alpha: a
        mask with any transparency is read the other way, opaque = edit. Deterministic.

    Raises
    ------
    CapabilityMissing
        The sizes differ, or nothing is marked that servers would see: they take 128 and above.
    """
    marks = codec.decode(data, name="the mask").pixels[..., 0]
    if marks.shape != (of[1], of[0]):
        raise CapabilityMissing(
            f"The mask has {marks.shape[1]}x{marks.shape[0]} px and the picture {of[0]}x{of[1]}; "
            "nothing was sent. Give a mask of the picture's size."
        )
    sent = _sized(np.ascontiguousarray(marks), size)
    if sent.max() < _SEEN:
        raise CapabilityMissing(
            f"The mask marks nothing that is seen at {size[0]}x{size[1]}, so nothing was sent; "
            "paint what to edit in white, and not too finely."
        )
    return _text(sent)


def _sized(pixels: NDArray[np.uint8], size: Wide) -> NDArray[np.uint8]:
    return resample.resize(pixels, width_px=size[0], height_px=size[1])


def _on_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:].astype(np.uint32)
    colours = pixels[..., :3].astype(np.uint32)
    return ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _text(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(png.write(pixels)).decode("ascii")
