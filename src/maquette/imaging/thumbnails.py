"""Small pictures for lists: from pixels still in memory, or streamed from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import BadParameter
from maquette.imaging import vips
from maquette.imaging.arrays import checked
from maquette.imaging.codec import decode
from maquette.imaging.colour_profile import to_srgb
from maquette.imaging.encode import save
from maquette.imaging.files import opened, read_file
from maquette.imaging.header import open_picture
from maquette.imaging.limits import DEFAULT_LIMITS, DecodeLimits
from maquette.imaging.quiet import pillow_reading

ThumbnailFormat: TypeAlias = Literal["webp", "jpeg", "avif"]

_Sample = TypeVar("_Sample", np.uint8, np.uint16)

_QUALITY: Mapping[ThumbnailFormat, int] = {"webp": 80, "jpeg": 80, "avif": 60}
_OPTIONS: Mapping[ThumbnailFormat, Mapping[str, Any]] = {
    "webp": {"method": 2},
    "jpeg": {},
    "avif": {"speed": 8},
}
_MAX_SIDE_PX = 4096
_MID_GREY = 128
_STREAMED_FORMATS = ("png", "jpeg", "webp", "tiff", "gif")
_GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
_STREAMED_MODES = ("RGB", "RGBA", "RGBX", "P", "PA", *_GREY_MODES)


def from_pixels(
    pixels: NDArray[np.uint8],
    *,
    side_px: int,
    format: ThumbnailFormat = "webp",  # noqa: A002 - the word every caller knows
) -> bytes:
    """Make a thumbnail of pixels that are in memory.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W), (H, W, 3) or (H, W, 4)
        Grey, RGB, or RGB with straight alpha, sRGB. Never modified.
    side_px : int, 1 to 4096
        The longer side of the result; a smaller picture is never enlarged.
    format : {'webp', 'jpeg', 'avif'}
        Alpha is kept in WebP and AVIF, and laid over mid-grey in JPEG.

    Returns
    -------
    bytes
        The same input gives the same bytes.

    Raises
    ------
    BadParameter
        The array is not a picture, or a parameter is out of range.

    Notes
    -----
    Each pixel is the mean of the area it covers, of encoded values as is usual for thumbnails;
    colours are weighted by alpha, so hidden ones do not bleed out.
    """
    _check_parameters(side_px, format)
    return _encoded(_shrunk(checked(pixels), side_px), format)


def from_file(
    path: Path,
    *,
    side_px: int,
    format: ThumbnailFormat = "webp",  # noqa: A002 - as in `from_pixels`
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> bytes:
    """Make a thumbnail of a file, streaming it so that memory stays small.

    Takes the parameters of `from_pixels`; orientation and colour profile are applied. AVIF, BMP and
    pictures in CMYK or CIELAB are decoded whole: libvips is slower with the first, cannot read the
    second, and would choose other colours for the rest.

    Raises
    ------
    FileMissing
        Nothing is at `path`.
    UnsupportedImage, ImageTooLarge, StorageUnavailable
        As `read_file` and `decode`.
    BadParameter
        A parameter is out of range.
    """
    _check_parameters(side_px, format)
    small = _shrunk_stream(path, side_px, limits)
    if small is None:
        small = _shrunk(
            decode(read_file(path, limits), name=path.name, limits=limits).pixels, side_px
        )
    return _encoded(small, format)


def from_bytes(
    data: bytes,
    name: str,
    *,
    side_px: int,
    format: ThumbnailFormat = "webp",  # noqa: A002 - as in `from_pixels`
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> bytes:
    """Make a thumbnail of a picture whose bytes are in memory, for stores that keep no files.

    Takes the parameters of `from_pixels`, raises what `decode` raises; `name` is for its words.
    """
    _check_parameters(side_px, format)
    return _encoded(_shrunk(decode(data, name=name, limits=limits).pixels, side_px), format)


def _check_parameters(side_px: int, kind: ThumbnailFormat) -> None:
    if not 1 <= side_px <= _MAX_SIDE_PX:
        raise BadParameter(f"side_px {side_px!r} is out of range; use 1 to {_MAX_SIDE_PX}.")
    if kind not in get_args(ThumbnailFormat):
        raise BadParameter(f"Thumbnails are not made as {kind!r}; use webp, jpeg or avif.")


def _shrunk_stream(path: Path, side_px: int, limits: DecodeLimits) -> NDArray[np.uint8] | None:
    """Shrink a file while it streams, or return None where only the full decoder will do."""
    with opened(path, limits) as file, pillow_reading(path.name):
        image, header = open_picture(file, name=path.name, limits=limits)
        icc: bytes | None = image.info.get("icc_profile")
    if header.format not in _STREAMED_FORMATS or header.mode not in _STREAMED_MODES:
        return None
    try:
        small = vips.shrink_file(path, side_px)
    except vips.Error:
        # The full decoder has the last word, and words the refusal.
        return None
    if not icc:
        return small
    with pillow_reading(path.name):
        return _in_srgb(small, icc, is_grey=header.mode in _GREY_MODES)


def _in_srgb(pixels: NDArray[np.uint8], icc: bytes, *, is_grey: bool) -> NDArray[np.uint8]:
    colours = pixels[..., 0] if is_grey else pixels[..., :3]
    shown, _ = to_srgb(Image.fromarray(np.ascontiguousarray(colours)), icc)
    return np.dstack([np.asarray(shown), pixels[..., 3:]])


def _shrunk(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    height_px, width_px = pixels.shape[:2]
    scale = side_px / max(height_px, width_px)
    if scale >= 1:
        return pixels
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return _area_mean(pixels, size)
    alpha = pixels[..., 3]
    weighted = _area_mean(pixels[..., :3] * alpha[..., None].astype(np.uint16), size)
    coverage = _area_mean(alpha.astype(np.uint16) * 255, size)
    straight = weighted.astype(np.float32) / np.maximum(coverage, 1)[..., None] * 255
    colours = np.minimum(np.rint(straight), 255)
    return np.dstack([colours, np.rint(coverage / 255)]).astype(np.uint8)


def _area_mean(samples: NDArray[_Sample], size: tuple[int, int]) -> NDArray[_Sample]:
    """Average over areas down to `size` (width_px, height_px), halving first while that is exact.

    OpenCV halves at memory speed and takes ten times as long for other ratios.
    """
    import cv2  # noqa: PLC0415 - its 34 MB are not needed to stream a file

    width_px, height_px = size
    while (
        samples.shape[0] >= 2 * height_px
        and samples.shape[1] >= 2 * width_px
        and samples.shape[0] % 2 == samples.shape[1] % 2 == 0
    ):
        half = samples.shape[1] // 2, samples.shape[0] // 2
        samples = cast("NDArray[_Sample]", cv2.resize(samples, half, interpolation=cv2.INTER_AREA))
    return cast("NDArray[_Sample]", cv2.resize(samples, size, interpolation=cv2.INTER_AREA))


def _encoded(pixels: NDArray[np.uint8], kind: ThumbnailFormat) -> bytes:
    if kind == "jpeg" and pixels.shape[2:] == (4,):
        pixels = _over_mid_grey(pixels)
    return save(pixels, format=kind, quality=_QUALITY[kind], options=_OPTIONS[kind])


def _over_mid_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = pixels[..., 3:].astype(np.uint16)
    mixed = pixels[..., :3] * alpha + np.uint16(_MID_GREY) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)
