from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import BadParameter, FileMissing, ImageTooLarge, UnsupportedImage
from maquette.imaging import thumbnails, vips
from maquette.imaging.codec import decode, encode
from maquette.imaging.colour_profile import srgb_profile
from maquette.imaging.limits import DecodeLimits
from maquette.imaging.thumbnails import ThumbnailFormat

_SCENE = Path(__file__).parents[2] / "examples/scenes/coffee.png"
_FORMATS: list[ThumbnailFormat] = ["webp", "jpeg", "avif"]


def scene() -> NDArray[np.uint8]:
    return np.array(Image.open(_SCENE).convert("RGB"))


def opened(data: bytes) -> NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(data))).astype(np.float64)


def psnr_db(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, float(np.mean((one - other) ** 2)))))


@pytest.mark.parametrize("kind", _FORMATS)
def test_a_thumbnail_resembles_the_scene_scaled_down(kind: ThumbnailFormat) -> None:
    pixels = scene()
    small = opened(thumbnails.from_pixels(pixels, side_px=200, format=kind))
    height_px, width_px = small.shape[:2]
    assert max(height_px, width_px) == 200
    plain = Image.fromarray(pixels).resize((width_px, height_px), Image.Resampling.BOX)
    assert psnr_db(small, np.asarray(plain).astype(np.float64)) > 28


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 60), st.sampled_from([0, 3, 4]))
def test_it_fits_the_square_and_never_grows(
    height_px: int, width_px: int, side_px: int, channels: int
) -> None:
    shape = (height_px, width_px, channels) if channels else (height_px, width_px)
    pixels = np.full(shape, 77, np.uint8)
    small = Image.open(io.BytesIO(thumbnails.from_pixels(pixels, side_px=side_px)))
    assert max(small.size) == min(side_px, max(height_px, width_px))
    assert (pixels == 77).all()


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_hidden_colours_do_not_bleed_into_the_edge(kind: ThumbnailFormat) -> None:
    pixels = np.zeros((90, 90, 4), np.uint8)
    pixels[..., 1] = 255  # green where nothing shows
    pixels[:, :44] = (200, 40, 40, 255)
    small = opened(thumbnails.from_pixels(pixels, side_px=30, format=kind))
    edge = small[5:25, 13:15]
    assert small[15, 2, 3] > 250 and small[15, 28, 3] < 5
    assert edge[..., 1].max() < 90


def test_jpeg_lays_transparency_over_mid_grey() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    small = opened(thumbnails.from_pixels(pixels, side_px=16, format="jpeg"))
    assert np.abs(small - 128).max() <= 1


@pytest.mark.parametrize("kind", _FORMATS)
def test_same_pixels_give_the_same_bytes(kind: ThumbnailFormat) -> None:
    pixels = scene()[:128, :160]
    first = thumbnails.from_pixels(pixels, side_px=50, format=kind)
    assert first == thumbnails.from_pixels(pixels.copy(), side_px=50, format=kind)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
def test_a_file_of_every_format_gives_what_its_pixels_give(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "odd [n=2] name"
    Image.fromarray(scene()).save(path, kind)
    streamed = opened(thumbnails.from_file(path, side_px=150))
    whole = opened(thumbnails.from_pixels(decode(path.read_bytes()).pixels, side_px=150))
    assert streamed.shape == whole.shape
    assert psnr_db(streamed, whole) > 28


def test_a_file_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "phone.jpg"
    Image.fromarray(scene()).save(path, exif=exif.tobytes())
    streamed = opened(thumbnails.from_file(path, side_px=100))
    whole = opened(thumbnails.from_pixels(decode(path.read_bytes()).pixels, side_px=100))
    assert streamed.shape[0] > streamed.shape[1]
    assert psnr_db(streamed, whole) > 28


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_a_file_of_every_mode_gives_what_its_pixels_give(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    image = Image.fromarray(scene())
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(path)
    streamed = opened(thumbnails.from_file(path, side_px=150))
    whole = opened(thumbnails.from_pixels(decode(path.read_bytes()).pixels, side_px=150))
    assert streamed.shape == whole.shape
    assert psnr_db(streamed, whole) > (18 if mode == "1" else 28)


def test_a_colour_profile_is_applied_to_a_streamed_file(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.fromarray(scene()).save(path, icc_profile=_display_p3())
    streamed = opened(thumbnails.from_file(path, side_px=150))
    picture = decode(path.read_bytes())
    whole = opened(thumbnails.from_pixels(picture.pixels, side_px=150))
    untouched = opened(thumbnails.from_pixels(scene(), side_px=150))
    assert psnr_db(streamed, whole) > 28
    assert psnr_db(streamed, whole) > psnr_db(streamed, untouched) + 5


def test_a_cut_file_is_refused_as_the_decoder_refuses_it(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    data = encode(scene())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnsupportedImage, match="cut short"):
        thumbnails.from_file(path, side_px=100)


def test_limits_and_missing_files_are_refused_before_streaming(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        thumbnails.from_file(tmp_path / "nothing.png", side_px=100)
    with pytest.raises(UnsupportedImage, match="folder"):
        thumbnails.from_file(tmp_path, side_px=100)
    with pytest.raises(ImageTooLarge):
        thumbnails.from_file(_SCENE, side_px=100, limits=DecodeLimits(max_pixels=1000))


def test_libvips_opens_nothing_untrusted(tmp_path: Path) -> None:
    path = tmp_path / "drawing.svg"
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    with pytest.raises(vips.Error):
        vips.shrink_file(path, 5)


def test_a_file_replaced_under_its_name_shows_the_new_picture(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode(np.zeros((64, 64, 3), np.uint8)))
    assert vips.shrink_file(path, 8).max() == 0
    path.write_bytes(encode(np.full((64, 64, 3), 255, np.uint8)))
    assert vips.shrink_file(path, 8).min() == 255


@pytest.mark.parametrize("side_px", [0, -1, 4097])
def test_a_side_out_of_range_is_refused(side_px: int) -> None:
    with pytest.raises(BadParameter, match="out of range"):
        thumbnails.from_pixels(np.zeros((4, 4, 3), np.uint8), side_px=side_px)


def _display_p3() -> bytes:
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
