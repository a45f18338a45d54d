from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import BadParameter
from maquette.imaging import png

_SIDE = st.integers(1, 40)
_SHAPES = st.one_of(
    st.tuples(_SIDE, _SIDE),
    st.tuples(_SIDE, _SIDE, st.sampled_from([3, 4])),
)
_PICTURES = _SHAPES.flatmap(lambda shape: npst.arrays(np.uint8, shape))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        found.append((kind, body))
        at += length + 12
    return found


@settings(max_examples=60, deadline=None)
@given(_PICTURES)
def test_round_trip_is_exact_in_pillow_and_opencv(pixels: NDArray[np.uint8]) -> None:
    before = pixels.copy()
    data = png.write(pixels)
    assert np.array_equal(pixels, before)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read is not None
    if pixels.ndim == 3:
        read = read[..., [2, 1, 0, 3][: pixels.shape[2]]]
    assert np.array_equal(read, pixels)


@pytest.mark.parametrize(("shape", "colour_type"), [((5, 7), 0), ((5, 7, 3), 2), ((5, 7, 4), 6)])
def test_header_follows_the_standard(shape: tuple[int, ...], colour_type: int) -> None:
    (kind, body), *rest = chunks(png.write(np.zeros(shape, np.uint8)))
    assert kind == b"IHDR"
    assert struct.unpack(">IIBBBBB", body) == (7, 5, 8, colour_type, 0, 0, 0)
    assert [kind for kind, _ in rest] == [b"sRGB", b"IDAT", b"IEND"]


def test_a_view_with_strides_is_written_as_it_looks() -> None:
    pixels = np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3)[::-1, ::2]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png.write(pixels)))), pixels)


def test_text_survives_in_any_script() -> None:
    text = {"parameters": "a cat, steps: 20", "Title": "Žluťoučký kůň 馬 🐎\nsecond line"}
    image = Image.open(io.BytesIO(png.write(np.zeros((2, 2, 3), np.uint8), text=text)))
    image.load()
    assert {key: str(value) for key, value in image.info.items() if key in text} == text


def test_same_pixels_give_the_same_bytes() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    assert png.write(pixels, text={"a": "b"}) == png.write(pixels.copy(), text={"a": "b"})


@pytest.mark.parametrize("key", ["", " lead", "trail ", "two  spaces", "x" * 80, "new\nline", "馬"])
def test_a_bad_keyword_is_refused(key: str) -> None:
    with pytest.raises(BadParameter):
        png.write(np.zeros((1, 1, 3), np.uint8), text={key: "value"})


@pytest.mark.parametrize("value", ["nul\0inside", "lone surrogate \ud800"])
def test_text_that_png_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(BadParameter):
        png.write(np.zeros((1, 1, 3), np.uint8), text={"key": value})


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_an_array_that_is_no_picture_is_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(BadParameter, match="convert it first"):
        png.write(pixels)
