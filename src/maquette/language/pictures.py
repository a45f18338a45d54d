"""Pictures as chat servers can read them: upright, opaque PNG or JPEG of a moderate size.

LM Studio refuses WebP; the decoders of local servers know neither EXIF orientation nor
transparency. Every picture is written anew, so that none carries EXIF or XMP, which may say where
and by whom a photograph was taken.
"""

from __future__ import annotations

import base64
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from maquette.core.requests import Encoded
from maquette.imaging import codec
from maquette.pixels.resample import resize

LONGEST_PX: Final = 2048


def data_uri(picture: Encoded) -> str:
    """Return the picture as a base64 data URI; raise `UnsupportedImage` or `ImageTooLarge`."""
    shown = ready(picture)
    return f"data:{shown.media_type};base64,{base64.b64encode(shown.data).decode()}"


def ready(picture: Encoded) -> Encoded:
    """Return the picture as it may be sent."""
    decoded = codec.decode(picture.data)
    pixels = _shrunk(flattened(decoded.pixels))
    # A photograph that was compressed before is not worth ten times the bytes.
    kind: Literal["jpeg", "png"] = "jpeg" if decoded.header.format == "jpeg" else "png"
    return Encoded(codec.encode(pixels, format=kind), f"image/{kind}")


def flattened(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay (H, W, 4) uint8 with straight alpha over white; (H, W, 3) stays as it is."""
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:].astype(np.uint16)
    over = pixels[..., :3] * alpha + 255 * (255 - alpha)
    return ((over + 127) // 255).astype(np.uint8)


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height_px, width_px = pixels.shape[:2]
    scale = LONGEST_PX / max(width_px, height_px)
    if scale >= 1:
        return pixels
    width_px, height_px = (max(1, round(side * scale)) for side in (width_px, height_px))
    return resize(pixels, width_px=width_px, height_px=height_px)
