from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from maquette.core.errors import (
    BadParameter,
    FileMissing,
    ImageTooLarge,
    MaquetteError,
    StorageUnavailable,
    UnsupportedImage,
)
from maquette.imaging.codec import decode, encode, read_file, sniff
from maquette.imaging.colour_profile import srgb_profile
from maquette.imaging.encode import EncodeFormat
from maquette.imaging.limits import DecodeLimits

_SCENES = Path(__file__).parents[2] / "examples/scenes"
_LOSSY: list[EncodeFormat] = ["jpeg", "webp", "avif"]
_ALL: list[EncodeFormat] = ["png", *_LOSSY]


def scene() -> NDArray[np.uint8]:
    return np.array(Image.open(_SCENES / "chelsea.png").convert("RGB").resize((48, 36)))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width_px: int, height_px: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


# ---- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
def test_the_header_names_format_and_size(kind: str) -> None:
    header = sniff(saved(Image.fromarray(scene()), kind))
    assert header.format == kind.lower()
    assert header.media_type == f"image/{kind.lower()}"
    assert (header.width_px, header.height_px, header.frames) == (48, 36, 1)
    assert not header.has_alpha and not header.has_icc and header.bit_depth == 8


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF", "GIF"])
def test_the_header_tells_of_alpha_and_frames(kind: str) -> None:
    frames = [Image.new("RGBA", (20, 10), (255, 0, shade, shade)) for shade in (0, 90, 200)]
    header = sniff(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert header.has_alpha
    assert header.frames == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"just some words\n", "text"),
        ("\ufeffgrüße, naïve".encode() * 100, "text"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "video"),
        (b"\x00\xff\x01\xfe" * 9, "not known"),
    ],
)
def test_what_is_no_picture_is_refused_by_what_it_is(content: bytes, said: str) -> None:
    for read in (sniff, decode):
        with pytest.raises(UnsupportedImage, match=said) as refusal:
            read(content, name="holiday.png")
        assert "'holiday.png'" in str(refusal.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
def test_a_cut_picture_is_refused(kind: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    for kept in (12, 40, len(data) // 2):
        with pytest.raises(UnsupportedImage, match="'cut' is"):
            decode(data[:kept], name="cut")


# ---- limits -----------------------------------------------------------------------------------


def test_a_header_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ImageTooLarge, match="40000 x 40000"):
        sniff(png_header(40_000, 40_000))


def test_a_hundred_megapixels_are_refused_without_a_warning() -> None:
    with pytest.raises(ImageTooLarge, match="64000000 pixels"):
        decode(png_header(10_000, 10_000), name="poster.png")


def test_a_raised_limit_lets_a_large_header_through_without_a_warning() -> None:
    limits = DecodeLimits(max_pixels=200_000_000)
    assert sniff(png_header(10_000, 10_000), limits=limits).width_px == 10_000


def test_a_webp_canvas_is_refused_before_its_decoder_allocates_it() -> None:
    canvas = struct.pack("<I", 0x10)[:4] + (16_000).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas
    with pytest.raises(ImageTooLarge, match="16001 x 16001"):
        sniff(b"RIFF" + struct.pack("<I", len(body)) + body)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF", "GIF"])
def test_too_many_frames_are_refused(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), (60 * n, 0, 0)) for n in range(4)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert sniff(data, limits=DecodeLimits(max_frames=4)).frames == 4
    with pytest.raises(ImageTooLarge, match="more than 3 frames"):
        sniff(data, limits=DecodeLimits(max_frames=3))


def test_too_many_bytes_and_too_long_a_side_are_refused() -> None:
    data = encode(np.zeros((1, 30, 3), np.uint8))
    with pytest.raises(ImageTooLarge, match="bytes"):
        decode(data, limits=DecodeLimits(max_bytes=20))
    with pytest.raises(ImageTooLarge, match="20 px a side"):
        decode(data, limits=DecodeLimits(max_side_px=20))


# ---- decoding ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mode", "channels", "tolerance"),
    [
        *[("PNG", mode, 3, 0) for mode in ("1", "L", "P", "RGB")],
        *[("PNG", mode, 4, 0) for mode in ("LA", "RGBA")],
        *[("TIFF", mode, 3, 0) for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr")],
        *[("TIFF", mode, 4, 0) for mode in ("LA", "RGBA")],
        *[("JPEG", mode, 3, 60) for mode in ("L", "RGB", "CMYK")],
        *[("WEBP", mode, 3, 60) for mode in ("L", "RGB")],
        *[("AVIF", mode, 3, 60) for mode in ("L", "RGB")],
        ("WEBP", "RGBA", 4, 60),
        ("AVIF", "RGBA", 4, 60),
        *[("GIF", mode, 3, 0) for mode in ("1", "L", "P")],
        *[("BMP", mode, 3, 0) for mode in ("1", "L", "P", "RGB")],
    ],
)
def test_every_format_and_mode_becomes_rgb(
    kind: str, mode: str, channels: int, tolerance: int
) -> None:
    image = Image.fromarray(scene())
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    stored = image.convert(mode)
    picture = decode(saved(stored, kind))
    assert picture.pixels.shape == (36, 48, channels)
    assert picture.pixels.dtype == np.uint8 and picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    expected = np.asarray(stored.convert("RGBA" if channels == 4 else "RGB")).astype(np.int16)
    assert np.abs(picture.pixels - expected).max() <= tolerance


def test_palette_transparency_becomes_alpha() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    for transparency in (0, b"\0\xff"):
        pixels = decode(saved(image, "PNG", transparency=transparency)).pixels
        assert pixels[..., 3].tolist() == [[0, 255]]
        assert pixels[0, 1, :3].tolist() == [0, 0, 255]


def test_sixteen_bit_grey_keeps_its_high_byte_and_says_so() -> None:
    samples = np.array([[0, 257, 0x7FFF, 0xFFFF]], np.uint16)
    for kind in ("PNG", "TIFF"):
        picture = decode(saved(Image.fromarray(samples), kind))
        assert picture.pixels[0, :, 0].tolist() == [0, 1, 0x7F, 0xFF]
        assert picture.losses == ("16-bit reduced to 8-bit",)
        assert picture.header.bit_depth == 16


def test_sixteen_bit_colour_is_reduced_and_says_so() -> None:
    import cv2  # noqa: PLC0415 - Pillow cannot write 16-bit colour

    samples = np.full((4, 4, 3), (0x1234, 0x5678, 0x9ABC), np.uint16)
    data = cv2.imencode(".png", samples)[1].tobytes()
    picture = decode(data)
    assert picture.pixels[0, 0].tolist() == [0x9A, 0x56, 0x12]
    assert picture.losses == ("16-bit reduced to 8-bit",)


def test_floating_point_is_refused_with_the_way_out() -> None:
    data = saved(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")
    with pytest.raises(UnsupportedImage, match="8 or 16 bits"):
        decode(data)


def test_further_frames_are_counted_as_a_loss() -> None:
    frames = [Image.new("RGB", (8, 8), (60 * n, 0, 0)) for n in range(3)]
    picture = decode(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    assert picture.losses == ("2 further frames ignored",)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16, :16] = (250, 0, 0)
    upright[16:, 48:] = (0, 0, 250)
    as_stored: dict[int, NDArray[np.uint8]] = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    stored = np.ascontiguousarray(as_stored[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(stored), kind, exif=exif.tobytes())
    picture = decode(data)
    header = sniff(data)
    assert picture.pixels.shape == (32, 64, 3)
    assert (header.width_px, header.height_px) == (64, 32)
    assert np.abs(picture.pixels.astype(np.int16) - upright).mean() < 4
    assert picture.pixels[4, 4, 0] > 200 and picture.pixels[28, 60, 2] > 200


def test_damaged_exif_costs_only_the_orientation() -> None:
    data = saved(Image.fromarray(scene()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    assert decode(data).pixels.shape == (36, 48, 3)


# ---- colour -----------------------------------------------------------------------------------


def display_p3() -> bytes:
    """Return the sRGB profile with the primaries of Display P3, adapted to D50."""
    data = bytearray(srgb_profile())
    primaries = {
        b"rXYZ": (0.5151, 0.2412, -0.0011),
        b"gXYZ": (0.2920, 0.6922, 0.0419),
        b"bXYZ": (0.1571, 0.0666, 0.7841),
    }
    for tag, xyz in primaries.items():
        entry = data.index(tag, 128)
        offset = int.from_bytes(data[entry + 4 : entry + 8], "big")
        for index, value in enumerate(xyz):
            fixed = round(value * 65536).to_bytes(4, "big", signed=True)
            data[offset + 8 + 4 * index : offset + 12 + 4 * index] = fixed
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
def test_a_wide_gamut_profile_is_converted_and_said(kind: str) -> None:
    image = Image.new("RGB", (16, 16), (234, 51, 35))  # sRGB's pure red in Display P3
    picture = decode(saved(image, kind, icc_profile=display_p3()))
    assert np.abs(picture.pixels[8, 8].astype(int) - (255, 0, 0)).max() <= 6
    assert picture.icc == display_p3() and picture.header.has_icc
    (loss,) = picture.losses
    assert loss.startswith("wide-gamut profile '") and loss.endswith("' converted to sRGB")


def test_alpha_is_untouched_by_a_profile() -> None:
    image = Image.new("RGBA", (4, 4), (234, 51, 35, 77))
    pixels = decode(saved(image, "PNG", icc_profile=display_p3())).pixels
    assert (pixels[..., 3] == 77).all() and pixels[0, 0, 0] >= 254


def test_an_srgb_profile_changes_no_pixel() -> None:
    pixels = scene()
    picture = decode(saved(Image.fromarray(pixels), "PNG", icc_profile=srgb_profile()))
    assert np.array_equal(picture.pixels, pixels)
    assert picture.losses == () and picture.icc is not None


def test_grey_with_an_rgb_profile_is_converted() -> None:
    picture = decode(saved(Image.new("L", (4, 4), 128), "PNG", icc_profile=display_p3()))
    assert np.abs(picture.pixels.astype(int) - 128).max() <= 1


def test_a_broken_or_unfit_profile_is_ignored_and_said() -> None:
    image = Image.fromarray(scene())
    not_ascii = srgb_profile()[:16] + b"\xff\xfe\xfd\xfc" + srgb_profile()[20:]
    unfit = ((b"nonsense" * 20, "cannot be read"), (not_ascii, "cannot be read"))
    for profile, said in (*unfit, (lab_profile(), "is not for RGB")):
        picture = decode(saved(image, "PNG", icc_profile=profile))
        assert np.array_equal(picture.pixels, np.asarray(image))
        assert said in picture.losses[0]


def lab_profile() -> bytes:
    profile: Any = ImageCms
    return ImageCms.ImageCmsProfile(profile.createProfile("LAB")).tobytes()


def test_cmyk_without_a_profile_says_how_it_was_converted() -> None:
    picture = decode(saved(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF"))
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]
    assert picture.losses == (
        "CMYK without a usable profile converted to sRGB by the plain formula",
    )


def test_cielab_is_converted() -> None:
    white = Image.frombytes("LAB", (1, 1), bytes([255, 0, 0]))
    picture = decode(saved(white.resize((4, 4)), "TIFF"))
    assert picture.pixels.min() >= 253


# ---- warnings, threads, damage ----------------------------------------------------------------


def test_pillow_warnings_stay_inside_and_filters_are_restored() -> None:
    apng = bytearray(encode(scene()))
    broken_control = struct.pack(">I", 8) + b"acTL" + b"\0" * 8
    apng[33:33] = broken_control + struct.pack(">I", zlib.crc32(broken_control[4:]))
    filters = list(warnings.filters)
    assert np.array_equal(decode(bytes(apng)).pixels, scene())
    assert list(warnings.filters) == filters


def test_threads_decode_the_same_and_leave_the_filters_alone() -> None:
    data = encode(scene())
    filters = list(warnings.filters)
    results: list[bool] = []

    def work() -> None:
        results.extend(np.array_equal(decode(data).pixels, scene()) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40
    assert list(warnings.filters) == filters


_WHOLE = [
    *(
        saved(Image.fromarray(scene()[:20, :24]), kind, **options)
        for kind, options in (
            ("PNG", {"icc_profile": display_p3()}),
            ("JPEG", {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"}),
            ("WEBP", {}),
            ("AVIF", {"speed": 10}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("GIF", {}),
            ("BMP", {}),
        )
    )
]


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(_WHOLE),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
)
def test_damage_raises_nothing_but_our_errors(
    whole: bytes, kept: float, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(whole[: int(len(whole) * kept)] if changes == [] else whole)
    for place, value in changes:
        data[int(place * len(data))] = value
    limits = DecodeLimits(max_pixels=20_000)
    for read in (sniff, decode):
        with suppress(MaquetteError):
            read(bytes(data), name="fuzz", limits=limits)


# ---- encoding ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "channels"),
    [
        (kind, channels)
        for kind in _ALL
        for channels in (0, 3, 4)
        if (kind, channels) != ("jpeg", 4)
    ],
)
def test_what_is_encoded_decodes_alike_and_repeats(kind: EncodeFormat, channels: int) -> None:
    pixels = scene()
    if channels == 0:
        pixels = pixels[..., 0].copy()
    if channels == 4:
        ramp = np.linspace(0, 255, 48).astype(np.uint8)
        pixels = np.dstack([pixels, np.broadcast_to(ramp, (36, 48))])
    before = pixels.copy()
    data = encode(pixels, format=kind)
    picture = decode(data)
    assert np.array_equal(pixels, before)
    assert picture.losses == ()
    expected = np.dstack([pixels] * 3) if channels == 0 else pixels
    assert picture.pixels.shape == expected.shape
    difference = np.abs(picture.pixels.astype(np.int16) - expected).mean()
    assert difference == 0 if kind == "png" else difference < 4
    assert encode(picture.pixels, format=kind) == encode(picture.pixels.copy(), format=kind)


def test_encoded_bytes_are_the_same_in_another_process() -> None:
    program = (
        "import hashlib, numpy as np; from maquette.imaging.codec import encode;"
        "a = np.arange(48 * 64 * 3).astype(np.uint8).reshape(48, 64, 3);"
        "print([hashlib.sha256(encode(a, format=f)).hexdigest() for f in"
        " ('png', 'jpeg', 'webp', 'avif')])"
    )
    first, second = (subprocess.check_output([sys.executable, "-c", program]) for _ in range(2))
    assert first == second


def test_quality_trades_bytes() -> None:
    for kind in _LOSSY:
        assert len(encode(scene(), format=kind, quality=20)) < len(encode(scene(), format=kind))


def test_what_a_format_cannot_hold_is_refused_with_the_way_out() -> None:
    alpha = np.zeros((2, 2, 4), np.uint8)
    with pytest.raises(BadParameter, match="choose png or webp, or flatten"):
        encode(alpha, format="jpeg")
    with pytest.raises(BadParameter, match="choose png"):
        encode(alpha, format="webp", text={"parameters": "x"})
    with pytest.raises(BadParameter, match="leave it out"):
        encode(alpha, format="png", quality=90)
    with pytest.raises(BadParameter, match="1 to 100"):
        encode(alpha, format="webp", quality=101)
    with pytest.raises(BadParameter, match="16383 px a side"):
        encode(np.zeros((1, 16_384, 3), np.uint8), format="webp")
    unknown: Any = "tga"
    with pytest.raises(BadParameter, match="'tga'"):
        encode(alpha, format=unknown)


# ---- files ------------------------------------------------------------------------------------


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode(scene()))
    assert np.array_equal(decode(read_file(path)).pixels, scene())


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="check the path"):
        read_file(tmp_path / "absent.png")
    with pytest.raises(UnsupportedImage, match="folder"):
        read_file(tmp_path)
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(10_000_000_000)  # sparse: reading it would be noticed
    with pytest.raises(ImageTooLarge, match="10000000000 bytes"):
        read_file(large)
    with pytest.raises(StorageUnavailable):
        read_file(tmp_path / ("x" * 5000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    with pytest.raises(UnsupportedImage, match="regular file"):
        read_file(path)
