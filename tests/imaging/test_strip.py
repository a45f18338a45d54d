"""Metadata goes, pixels stay: the compressed data itself, the profile, the orientation."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from maquette.core.errors import CapabilityMissing, UnsupportedImage
from maquette.imaging import codec
from maquette.imaging.strip import strip

PLACE = b"57 deg 38 min 16 s"
AUTHOR = "Ada of the secret garden"
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf>Ada of the secret garden</rdf></x:xmpmeta>"
_srgb: Any = cast("Any", ImageCms).createProfile("sRGB")
PROFILE = ImageCms.ImageCmsProfile(_srgb).tobytes()


def picture(mode: str = "RGB", seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    channels = {"RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    return Image.fromarray(rng.integers(0, 256, (20, 30, channels), np.uint8), mode)


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x013B] = AUTHOR
    tags.get_ifd(0x8825).update({1: "N", 2: (57.0, 38.0, 16.0), 29: PLACE.decode()})
    return tags.tobytes()


def saved(kind: str, image: Image.Image, **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def jpeg(orientation: int = 1, **more: Any) -> bytes:
    marks = {"exif": exif(orientation), "comment": AUTHOR, "xmp": XMP, "icc_profile": PROFILE}
    return saved("JPEG", picture(), **(marks | more))


def png(orientation: int = 1) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", AUTHOR)
    text.add_text("Comment", AUTHOR, zip=True)
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    marks = {"exif": exif(orientation), "pnginfo": text, "icc_profile": PROFILE}
    return saved("PNG", picture("RGBA"), **marks)


def webp(orientation: int = 1, **more: Any) -> bytes:
    marks = {"exif": exif(orientation), "xmp": XMP, "icc_profile": PROFILE, "lossless": True}
    return saved("WEBP", picture("RGBA"), **(marks | more))


MAKERS = pytest.mark.parametrize("make", [jpeg, png, webp])


@MAKERS
@pytest.mark.parametrize("orientation", range(1, 9))
def test_only_how_to_show_it_is_left(make: Callable[[int], bytes], orientation: int) -> None:
    before = make(orientation)
    assert PLACE in before
    after = strip(before)
    for told in (PLACE, AUTHOR.encode(), b"xmpmeta"):
        assert told not in after
    old, new = codec.decode(before), codec.decode(after)
    np.testing.assert_array_equal(new.pixels, old.pixels)
    assert new.icc == old.icc == PROFILE
    with Image.open(io.BytesIO(after)) as image:
        tags = image.getexif()
        assert dict(tags) == ({} if orientation == 1 else {0x0112: orientation})
        assert not tags.get_ifd(0x8825)
    assert codec.sniff(after) == codec.sniff(before)


@MAKERS
def test_what_was_stripped_is_left_as_it_is(make: Callable[[int], bytes]) -> None:
    once = strip(make(6))
    assert strip(once) == once


@pytest.mark.parametrize(
    "more", [{"progressive": True}, {"subsampling": 2}, {"restart_marker_rows": 1}]
)
def test_every_kind_of_scan_is_followed(more: dict[str, Any]) -> None:
    before = jpeg(3, **more)
    np.testing.assert_array_equal(codec.decode(strip(before)).pixels, codec.decode(before).pixels)


def test_ink_stays_ink() -> None:
    """Adobe's marker says that the four channels are inverted."""
    before = saved("JPEG", picture("CMYK"), exif=exif())
    after = strip(before)
    assert PLACE not in after
    np.testing.assert_array_equal(codec.decode(after).pixels, codec.decode(before).pixels)


def test_what_follows_the_picture_goes_too() -> None:
    """Telephones append a film; an MPO has a second picture with EXIF of its own."""
    for make in (jpeg, png, webp):
        assert strip(make() + b"film of the secret garden") == strip(make())
    two = io.BytesIO()
    picture().save(two, "MPO", save_all=True, append_images=[picture(seed=1)], exif=exif())
    after = strip(two.getvalue())
    assert PLACE not in after
    assert codec.sniff(after).frames == 1


def test_a_thumbnail_in_the_jfif_header_goes() -> None:
    plain = saved("JPEG", picture())
    assert plain[2:4] == b"\xff\xe0"
    thumb = b"\xff\xe0" + struct.pack(">H", 16 + 12) + plain[6:18] + b"\2\2" + b"secretgarden"
    after = strip(plain[:2] + thumb + plain[20:])
    assert b"secretgarden" not in after
    np.testing.assert_array_equal(codec.decode(after).pixels, codec.decode(plain).pixels)


def test_chunks_that_nobody_knows_go() -> None:
    plain = saved("PNG", picture())
    body = b"seCrgarden"
    chunk = struct.pack(">I", 6) + body + struct.pack(">I", zlib.crc32(body))
    assert strip(plain[:33] + chunk + plain[33:]) == plain
    for late in (b"eXIf", b"tEXt"):  # after the pixels
        body = late + (exif(6)[6:] if late == b"eXIf" else b"A\0secret garden")
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        before = plain[:-12] + chunk + plain[-12:]
        after = strip(before)
        assert b"garden" not in after
        np.testing.assert_array_equal(codec.decode(after).pixels, codec.decode(before).pixels)


def test_a_film_stays_a_film() -> None:
    more: dict[str, Any] = {"save_all": True, "append_images": [picture("RGBA", 1)]}
    after = strip(webp(**more))
    assert codec.sniff(after).frames == 2
    assert AUTHOR.encode() not in after


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "BMP", "AVIF"])
def test_other_formats_are_refused_and_it_says_what_to_do(kind: str) -> None:
    with pytest.raises(CapabilityMissing, match="Save it as one of those"):
        strip(saved(kind, picture()))


@MAKERS
@given(cut=st.floats(0, 1), noise=st.binary(min_size=0, max_size=8))
def test_damage_is_refused_and_never_something_else(
    make: Callable[[], bytes], cut: float, noise: bytes
) -> None:
    whole = make()
    at = int(cut * len(whole))
    damaged = whole[:at] + noise
    try:
        after = strip(damaged)
    except UnsupportedImage:
        return
    assert AUTHOR.encode() not in after
