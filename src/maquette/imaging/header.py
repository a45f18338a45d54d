"""Reading what a file says about itself, before its pixels are decoded."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from maquette.core.errors import UnsupportedImage
from maquette.imaging import peek
from maquette.imaging.limits import DEFAULT_LIMITS, DecodeLimits
from maquette.imaging.quiet import pillow_reading

# The readers are named one by one because `Image.open` applies a process-wide pixel limit with a
# warning; ours is per call and raises.
_READERS: Mapping[peek.Format, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.jpeg_factory,
    "webp": WebPImagePlugin.WebPImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file declares.

    Attributes
    ----------
    format : {'png', 'jpeg', 'webp', 'avif', 'tiff', 'gif', 'bmp'}
        Taken from the content; a file's name is never believed.
    media_type : str
    width_px, height_px : int
        As shown, with the EXIF orientation applied.
    frames : int
        Frames of an animation, pages of a TIFF, pictures of an MPO.
    has_alpha : bool
    mode : str
        The colour model in Pillow's words: 'RGB', 'P', 'CMYK', 'I;16' ...
    bit_depth : int
        Bits of one sample in the file.
    has_icc : bool
    """

    format: peek.Format
    media_type: str
    width_px: int
    height_px: int
    frames: int
    has_alpha: bool
    mode: str
    bit_depth: int
    has_icc: bool


def sniff(
    data: bytes, *, name: str = "the picture", limits: DecodeLimits = DEFAULT_LIMITS
) -> Header:
    """Read a picture's header without decoding its pixels.

    Parameters
    ----------
    data : bytes
        The whole file; only its headers are parsed.
    name : str
        What messages call the file.
    limits : DecodeLimits

    Raises
    ------
    UnsupportedImage
        Empty, cut short within the header, or not one of the seven formats.
    ImageTooLarge
        Over one of the limits.
    """
    limits.check_bytes(len(data), name)
    with pillow_reading(name):
        return open_picture(io.BytesIO(data), name=name, limits=limits)[1]


def open_picture(
    stream: IO[bytes], *, name: str, limits: DecodeLimits
) -> tuple[ImageFile.ImageFile, Header]:
    """Open `stream` lazily and check its header; call inside `pillow_reading`."""
    head = stream.read(peek.HEAD_BYTES)
    kind = _known_format(head, name)
    if kind == "webp" and (canvas := peek.webp_canvas(head)):
        limits.check_size(*canvas, name)
    stream.seek(0)
    image = _READERS[kind](stream)
    stored_width_px, stored_height_px = image.size
    limits.check_size(stored_width_px, stored_height_px, name)
    if stored_width_px < 1 or stored_height_px < 1:
        raise UnsupportedImage(f"{name!r} has no pixels; save it again from its editor.")
    bit_depth = _bit_depth(kind, head, image)
    frames = _count_frames(kind, image, stream, limits)
    limits.check_frames(frames, name)
    sideways = kind != "tiff" and _orientation_in_header(image) >= 5
    header = Header(
        format=kind,
        media_type=f"image/{kind}",
        width_px=stored_height_px if sideways else stored_width_px,
        height_px=stored_width_px if sideways else stored_height_px,
        frames=frames,
        has_alpha=image.has_transparency_data,
        mode=image.mode,
        bit_depth=bit_depth,
        has_icc=bool(image.info.get("icc_profile")),
    )
    return image, header


def orientation_of(image: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation 1 to 8; 1 when there is none or it cannot be read."""
    try:
        value: Any = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - damaged EXIF must not cost the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _orientation_in_header(image: ImageFile.ImageFile) -> int:
    # Asking a PNG without EXIF for it would decode the pixels in search of a late chunk.
    return orientation_of(image) if "exif" in image.info else 1


def _known_format(head: bytes, name: str) -> peek.Format:
    if not head:
        raise UnsupportedImage(f"{name!r} is empty; choose another file or save it again.")
    kind = peek.format_of(head)
    if kind is None:
        raise UnsupportedImage(
            f"{name!r} is {peek.describe_foreign(head)}, not a picture that can be read here; "
            "save it as PNG, JPEG, WebP, AVIF, TIFF, GIF or BMP."
        )
    return kind


def _bit_depth(kind: peek.Format, head: bytes, image: ImageFile.ImageFile) -> int:
    if kind == "png":
        return peek.png_bit_depth(head)
    if kind == "avif":
        return peek.avif_bit_depth(head)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        depths: Any = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
        return int(np.max(depths))
    return 1 if image.mode == "1" else 8


def _count_frames(
    kind: peek.Format, image: ImageFile.ImageFile, stream: IO[bytes], limits: DecodeLimits
) -> int:
    """Count frames, never more than one past the limit, and leave `image` at its first."""
    if kind == "gif":
        position = stream.tell()
        stream.seek(0)
        frames = peek.gif_frames(stream.read(), stop_after=limits.max_frames)
        stream.seek(position)
        return max(1, frames)
    if kind == "tiff":
        return _count_pages(image, stop_after=limits.max_frames)
    return int(getattr(image, "n_frames", 1))


def _count_pages(image: ImageFile.ImageFile, *, stop_after: int) -> int:
    # Pillow's own count walks all pages of a TIFF, however many a hostile file chains together.
    pages = 1
    try:
        while pages <= stop_after:
            image.seek(pages)
            pages += 1
    except EOFError:
        pass
    image.seek(0)
    return pages
