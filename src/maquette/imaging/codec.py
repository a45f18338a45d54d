"""Bytes of a picture file to pixels and back; limits come before allocation."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maquette.imaging.colour_profile import to_srgb
from maquette.imaging.encode import encode
from maquette.imaging.files import read_file
from maquette.imaging.header import Header, open_picture, orientation_of, sniff
from maquette.imaging.limits import DEFAULT_LIMITS, DecodeLimits
from maquette.imaging.modes import split_alpha
from maquette.imaging.quiet import pillow_reading

__all__ = ["Header", "Picture", "decode", "encode", "read_file", "sniff"]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (H, W, 3) or (H, W, 4), C-contiguous
        sRGB; alpha, when the file has transparency, is straight.
    header : Header
        What the file declared.
    icc : bytes or None
        The profile the file carried, for the record: the pixels are in sRGB already.
    losses : tuple of str
        What decoding changed or left behind, in words.
    """

    pixels: NDArray[np.uint8]
    header: Header
    icc: bytes | None
    losses: tuple[str, ...]


def decode(
    data: bytes, *, name: str = "the picture", limits: DecodeLimits = DEFAULT_LIMITS
) -> Picture:
    """Decode the first frame of a picture file to upright 8-bit sRGB.

    Parameters
    ----------
    data : bytes
        A whole PNG, JPEG, WebP, AVIF, TIFF, GIF or BMP file.
    name : str
        What messages call the file.
    limits : DecodeLimits
        Checked on the header before pixels are allocated.

    Returns
    -------
    Picture
        EXIF orientation and colour profile are applied; 16-bit samples keep their high byte.

    Raises
    ------
    UnsupportedImage
        Empty, damaged, cut short, or of another format.
    ImageTooLarge
        Over one of the limits.

    Notes
    -----
    Deterministic. Colour declared without an ICC profile (gAMA, cICP or nclx boxes) is taken as
    sRGB.
    """
    limits.check_bytes(len(data), name)
    with pillow_reading(name):
        image, header = open_picture(io.BytesIO(data), name=name, limits=limits)
        image.load()
        orientation = orientation_of(image)
        icc: bytes | None = image.info.get("icc_profile") or None
        colours, alpha = split_alpha(image, name)
        shown, colour_losses = to_srgb(colours, icc)
        if alpha is not None:
            shown.putalpha(alpha)
        if orientation in _UPRIGHT:
            shown = shown.transpose(_UPRIGHT[orientation])
        pixels = np.array(shown)
    height_px, width_px = pixels.shape[:2]
    header = replace(
        header,
        width_px=width_px,
        height_px=height_px,
        has_alpha=alpha is not None,
        has_icc=bool(icc),
    )
    return Picture(pixels, header, icc, (*_header_losses(header), *colour_losses))


def _header_losses(header: Header) -> list[str]:
    losses: list[str] = []
    if header.bit_depth > 8:
        losses.append(f"{header.bit_depth}-bit reduced to 8-bit")
    if header.frames > 1:
        further = header.frames - 1
        losses.append(f"{further} further {'frame' if further == 1 else 'frames'} ignored")
    return losses
