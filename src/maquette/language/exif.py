"""What the camera wrote into a file, as far as it describes the picture.

Where it was taken, by whom and with which serial number stays unread.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any, Final

from PIL import ExifTags

from maquette.core.scene import clean
from maquette.imaging.header import open_picture
from maquette.imaging.limits import DEFAULT_LIMITS
from maquette.imaging.quiet import pillow_reading

_MOST: Final = 100
_WORDS: Final[Mapping[str, int]] = {
    "make": ExifTags.Base.Make,
    "model": ExifTags.Base.Model,
    "lens": ExifTags.Base.LensModel,
    "taken": ExifTags.Base.DateTimeOriginal,
    "software": ExifTags.Base.Software,
}


def read(data: bytes) -> dict[str, str]:
    """Return what is known by name; raise `UnsupportedImage` for what is no picture.

    Damaged EXIF is as good as none: it must not cost the picture.
    """
    with pillow_reading("the picture"):
        image, header = open_picture(io.BytesIO(data), name="the picture", limits=DEFAULT_LIMITS)
        # Asking a PNG without EXIF for it would decode the pixels in search of a late chunk.
        if "exif" not in image.info and header.format != "tiff":
            return {}
        try:
            exif = image.getexif()
            tags: dict[int, Any] = {**dict(exif), **exif.get_ifd(ExifTags.IFD.Exif)}
        except Exception:  # noqa: BLE001 - parsers of damaged EXIF raise anything
            return {}
    told = {name: _word(tags.get(tag)) for name, tag in _WORDS.items()}
    aperture = _number(tags.get(ExifTags.Base.FNumber))
    exposure = _number(tags.get(ExifTags.Base.ExposureTime))
    focal = _number(tags.get(ExifTags.Base.FocalLength))
    as_35mm = _number(tags.get(ExifTags.Base.FocalLengthIn35mmFilm))
    speed = _number(tags.get(ExifTags.Base.ISOSpeedRatings))
    told["aperture"] = f"f/{aperture:.3g}" if aperture else ""
    told["exposure"] = _exposure(exposure) if exposure else ""
    told["focal_length"] = f"{focal:.3g} mm" if focal else ""
    told["focal_length_35mm"] = f"{as_35mm:.3g} mm" if as_35mm else ""
    told["iso"] = f"{speed:.0f}" if speed else ""
    return {name: value for name, value in told.items() if value}


def _word(value: object) -> str:
    return clean(value)[:_MOST] if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    """Return a finite number above 0; a fraction by 0 is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 < number < 1e7 else None


def _exposure(seconds: float) -> str:
    return f"1/{1 / seconds:.0f} s" if seconds < 0.4 else f"{seconds:.3g} s"
