"""Pixels to the bytes of a picture file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import BadParameter
from maquette.imaging import png
from maquette.imaging.arrays import checked
from maquette.imaging.colour_profile import srgb_profile

EncodeFormat: TypeAlias = Literal["png", "jpeg", "webp", "avif"]

_NO_TEXT: Mapping[str, str] = MappingProxyType({})
_MAX_SIDE_PX: Mapping[EncodeFormat, int] = {"jpeg": 65_500, "webp": 16_383, "avif": 65_536}
_DEFAULT_QUALITY: Mapping[EncodeFormat, int] = {"jpeg": 92, "webp": 88, "avif": 75}
_OPTIONS: Mapping[EncodeFormat, Mapping[str, Any]] = {
    "jpeg": {"subsampling": "4:4:4"},
    "webp": {"method": 4, "exact": True},
    "avif": {"speed": 8, "subsampling": "4:4:4"},
}


def encode(
    pixels: NDArray[np.uint8],
    *,
    format: EncodeFormat = "png",  # noqa: A002 - the word every caller knows
    quality: int | None = None,
    text: Mapping[str, str] = _NO_TEXT,
) -> bytes:
    """Encode sRGB pixels as a picture file that says it is sRGB.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W), (H, W, 3) or (H, W, 4)
        Grey, RGB, or RGB with straight alpha. Never modified.
    format : {'png', 'jpeg', 'webp', 'avif'}
    quality : int, 1 to 100, optional
        For the lossy formats; 92 (JPEG), 88 (WebP) or 75 (AVIF) when left out.
    text : mapping of str to str
        Stored in PNG as iTXt, in the mapping's order.

    Returns
    -------
    bytes
        The same pixels and parameters give the same bytes.

    Raises
    ------
    BadParameter
        JPEG with alpha, a quality for PNG or out of range, text outside PNG, a side over what the
        format can hold, or an array that is not a picture.
    """
    if format not in get_args(EncodeFormat):
        raise BadParameter(f"Format {format!r} cannot be written; use png, jpeg, webp or avif.")
    pixels = checked(pixels)
    if format == "png":
        if quality is not None:
            raise BadParameter(f"PNG is lossless and takes no quality ({quality!r}); leave it out.")
        return png.write(pixels, text=text)
    if text:
        raise BadParameter(f"Text cannot be stored in {format!r}; choose png.")
    quality = _DEFAULT_QUALITY[format] if quality is None else quality
    options = {**_OPTIONS[format], "icc_profile": srgb_profile()}
    return save(pixels, format=format, quality=quality, options=options)


def save(
    pixels: NDArray[np.uint8],
    *,
    format: EncodeFormat,  # noqa: A002 - as in `encode`
    quality: int,
    options: Mapping[str, Any],
) -> bytes:
    """Write a lossy format with Pillow after the checks that all of them share."""
    if not 1 <= quality <= 100:
        raise BadParameter(f"Quality {quality!r} is out of range; use 1 to 100.")
    if format == "jpeg" and pixels.shape[2:] == (4,):
        raise BadParameter("'jpeg' has no alpha; choose png or webp, or flatten the picture first.")
    longer_px = max(pixels.shape[:2])
    if longer_px > _MAX_SIDE_PX[format]:
        raise BadParameter(
            f"{format!r} holds at most {_MAX_SIDE_PX[format]} px a side, not {longer_px!r}; "
            "choose png or scale the picture down."
        )
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=format, quality=quality, **options)
    return buffer.getvalue()
