"""Embedded colour profiles: into sRGB on the way in, sRGB named on the way out.

References
----------
ICC.1:2022, "Image technology colour management — Architecture, profile format, and data
structure", International Color Consortium.
IEC 61966-2-1:1999, "Default RGB colour space — sRGB".
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias, cast

import numpy as np
from PIL import Image, ImageCms

_UNSEEN_LEVELS = 2
_DATE_IN_HEADER = slice(24, 36)
_FIXED_DATE = bytes.fromhex("07d0 0001 0001 0000 0000 0000")
_MODE_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK", "LAB": "Lab "}

_Primary: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]


class _Facts(Protocol):
    """The part of Pillow's untyped profile object that is read here."""

    @property
    def xcolor_space(self) -> str: ...
    @property
    def profile_description(self) -> str | None: ...
    @property
    def red_primary(self) -> _Primary | None: ...
    @property
    def green_primary(self) -> _Primary | None: ...
    @property
    def blue_primary(self) -> _Primary | None: ...


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return a small sRGB ICC profile whose bytes are always the same.

    LittleCMS stamps the present time into each profile it creates; a fixed date keeps encoded
    pictures reproducible.
    """
    profile = bytearray(_built_in("sRGB").tobytes())
    profile[_DATE_IN_HEADER] = _FIXED_DATE
    return bytes(profile)


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert a picture without alpha to 8-bit sRGB.

    Parameters
    ----------
    image : Image of mode 'L', 'RGB', 'CMYK' or 'LAB'
    icc : bytes or None
        The profile the file carried. One that describes sRGB already, one that cannot be read and
        one made for another colour model leave the numbers alone.

    Returns
    -------
    image : Image of mode 'RGB'
    losses : tuple of str
        What was changed or ignored, in words.

    Notes
    -----
    The intent is perceptual; a plain matrix profile has no perceptual table and is clipped to the
    sRGB gamut. Deterministic.
    """
    if image.mode == "LAB":
        return _convert(image, _built_in("LAB")), ("CIELAB converted to sRGB",)
    if not icc:
        return _without_profile(image)
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        label = _label(profile)
        return _with_profile(image, profile, label)
    except (OSError, ValueError, ImageCms.PyCMSError):  # ValueError: names that are not ASCII
        plain, losses = _without_profile(image)
        return plain, ("colour profile that cannot be read ignored", *losses)


def _with_profile(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, label: str
) -> tuple[Image.Image, tuple[str, ...]]:
    space = _core(profile).xcolor_space
    if image.mode == "L" and space == "RGB ":
        image = image.convert("RGB")
    if _MODE_SPACES[image.mode].strip() != space.strip():
        plain, losses = _without_profile(image)
        return plain, (f"profile {label} is not for {image.mode} pixels and was ignored", *losses)
    if image.mode in ("L", "RGB") and _is_srgb_already(image.mode, profile):
        return image.convert("RGB"), ()
    wide = "wide-gamut " if _is_wide(profile) else ""
    return _convert(image, profile), (f"{wide}profile {label} converted to sRGB",)


def _without_profile(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    losses = ("CMYK without a usable profile converted to sRGB by the plain formula",)
    return image.convert("RGB"), losses if image.mode == "CMYK" else ()


def _convert(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    transform = ImageCms.buildTransform(
        profile,
        _built_in("sRGB"),
        image.mode,
        "RGB",
        ImageCms.Intent.PERCEPTUAL,
    )
    return transform.apply(image)


def _is_srgb_already(mode: str, profile: ImageCms.ImageCmsProfile) -> bool:
    """Judge a profile by what it does to a lattice of colours: names cannot be trusted."""
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(36, 6, 3)
    probe = lattice if mode == "RGB" else np.arange(256, dtype=np.uint8)[None, :]
    before = Image.fromarray(probe)
    after = np.asarray(_convert(before, profile)).astype(np.int16)
    change = np.abs(after - np.asarray(before.convert("RGB")))
    return int(change.max()) <= _UNSEEN_LEVELS


def _is_wide(profile: ImageCms.ImageCmsProfile) -> bool:
    """Compare the triangle of the primaries with that of sRGB."""
    area = _triangle_area(profile)
    srgb_area = _triangle_area(_built_in("sRGB"))
    return area is not None and srgb_area is not None and area > 1.05 * srgb_area


def _triangle_area(profile: ImageCms.ImageCmsProfile) -> float | None:
    core = _core(profile)
    primaries = (core.red_primary, core.green_primary, core.blue_primary)
    corners = [primary[1][:2] for primary in primaries if primary is not None]
    if len(corners) != 3:
        return None
    (x0, y0), (x1, y1), (x2, y2) = corners
    return abs((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)) / 2


def _label(profile: ImageCms.ImageCmsProfile) -> str:
    described = (_core(profile).profile_description or "").strip()
    return repr(described or "without a name")


def _core(profile: ImageCms.ImageCmsProfile) -> _Facts:
    return cast("_Facts", cast("Any", profile).profile)


def _built_in(space: Literal["sRGB", "LAB"]) -> ImageCms.ImageCmsProfile:
    # Pillow leaves the result of `createProfile` without a type.
    return ImageCms.ImageCmsProfile(cast("Any", ImageCms).createProfile(space))
