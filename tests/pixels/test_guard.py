from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, UnsupportedImage
from maquette.pixels.guard import AlphaRange, Measurement, measure

SHAPES = [(1, 1), (7, 5), (300, 500), (1, 140_000), (140_001, 1), (262, 1001)]


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def plainly(colours: NDArray[np.uint8], threshold: int) -> dict[str, float]:
    """The definition, without stripes, for visible pixels (n, 3)."""
    chroma = colours.max(axis=1).astype(int) - colours.min(axis=1)
    luma = cv2.cvtColor(colours[:, None], cv2.COLOR_RGB2GRAY)
    return {
        "max_chroma": float(chroma.max()),
        "mean_chroma": float(chroma.mean()),
        "over_threshold": float((chroma > threshold).mean()),
        "mean_chroma_excess": float(np.maximum(chroma - threshold, 0).mean()),
        "luma_mean": float(luma.mean()),
        "luma_std": float(luma.std()),
        "luma_min": float(luma.min()),
        "luma_max": float(luma.max()),
    }


def figures(measured: Measurement) -> dict[str, float]:
    return {name: value for name, value in vars(measured).items() if name != "alpha"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threshold", [0, 12, 254, 255])
def test_every_figure_follows_its_definition(shape: tuple[int, int], threshold: int) -> None:
    pixels = noise((*shape, 3))
    measured = measure(pixels, chroma_threshold=threshold)
    assert figures(measured) == pytest.approx(plainly(pixels.reshape(-1, 3), threshold))
    assert measured.alpha is None


@pytest.mark.parametrize("shape", SHAPES)
def test_hidden_pixels_do_not_count(shape: tuple[int, int]) -> None:
    pixels = noise((*shape, 4))
    pixels[..., 3][noise(shape, seed=1) < 100] = 0
    pixels[0, 0, 3] = 9
    visible = pixels[pixels[..., 3] > 0][:, :3]
    measured = measure(pixels, chroma_threshold=40)
    assert figures(measured) == pytest.approx(plainly(visible, 40))


def test_alpha_is_measured_over_all_pixels() -> None:
    pixels = noise((3, 2, 4))
    pixels[..., 3] = [[0, 255], [255, 255], [255, 0]]
    assert measure(pixels, chroma_threshold=0).alpha == AlphaRange(0, 255, 170.0)


def test_opaque_rgba_measures_as_its_rgb() -> None:
    pixels = noise((40, 30, 4))
    pixels[..., 3] = 255
    assert figures(measure(pixels, chroma_threshold=5)) == figures(
        measure(pixels[..., :3], chroma_threshold=5)
    )


def test_a_wholly_transparent_picture_measures_as_zero() -> None:
    pixels = noise((5, 5, 4))
    pixels[..., 3] = 0
    measured = measure(pixels, chroma_threshold=0)
    assert set(figures(measured).values()) == {0}
    assert measured.alpha == AlphaRange(0, 0, 0.0)


def test_a_grey_plane_measures_as_the_same_grey_in_rgb() -> None:
    plane = noise((90, 70))
    assert measure(plane, chroma_threshold=0) == measure(
        np.repeat(plane[..., None], 3, axis=2), chroma_threshold=0
    )


def test_a_uniform_picture_has_no_spread() -> None:
    measured = measure(np.full((600, 600, 3), 77, np.uint8), chroma_threshold=0)
    assert (measured.luma_std, measured.luma_min, measured.luma_max) == (0.0, 77, 77)
    assert measured.max_chroma == 0


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_chroma_is_the_largest_channel_minus_the_smallest(red: int, green: int, blue: int) -> None:
    pixels = np.array([[[red, green, blue]]], np.uint8)
    expected = max(red, green, blue) - min(red, green, blue)
    assert measure(pixels, chroma_threshold=0).max_chroma == expected


def test_the_order_of_pixels_does_not_matter() -> None:
    pixels = noise((400, 401, 3))
    assert measure(pixels, chroma_threshold=30) == measure(pixels[::-1, ::-1], chroma_threshold=30)


@pytest.mark.parametrize("channels", [3, 4])
def test_the_input_is_untouched(channels: int) -> None:
    pixels = noise((50, 50, channels))
    before = pixels.copy()
    measure(pixels, chroma_threshold=10)
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("threshold", [-1, 256])
def test_a_threshold_out_of_range_is_refused(threshold: int) -> None:
    with pytest.raises(BadParameter, match=f"{threshold}.*0 to 255"):
        measure(noise((2, 2, 3)), chroma_threshold=threshold)


@pytest.mark.parametrize(
    "pixels", [np.zeros((0, 4, 3), np.uint8), np.zeros((2, 2, 2), np.uint8), np.zeros(3, np.uint8)]
)
def test_what_is_no_picture_is_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(UnsupportedImage, match="convert"):
        measure(pixels, chroma_threshold=0)


LARGE = (1024, 768)


def test_luma_of_a_large_picture_is_near_the_whole() -> None:
    ramp = np.linspace(0, 120, LARGE[1], dtype=np.uint8)[:, None]
    pixels = noise((*LARGE, 3)) // 2 + ramp
    whole = plainly(pixels.reshape(-1, 3), 12)
    measured = figures(measure(pixels, chroma_threshold=12))
    for name, value in whole.items():
        off = 4 if name.startswith("luma") else 1e-9
        assert measured[name] == pytest.approx(value, abs=off), name


@pytest.mark.parametrize("row", range(4))
def test_a_thin_line_on_a_large_blank_picture_is_seen(row: int) -> None:
    """LAB-7: no picture is called blank because a sample missed what is on it."""
    pixels = np.full((*LARGE, 3), 250, np.uint8)
    pixels[400 + row] = 0
    measured = measure(pixels, chroma_threshold=0)
    assert (measured.luma_min, measured.luma_max) == (0, 250)


@pytest.mark.parametrize("row", range(4))
def test_a_small_spread_of_a_large_picture_is_exact(row: int) -> None:
    """LAB-7: near-uniform is judged by all pixels."""
    pixels = np.full((*LARGE, 3), 100, np.uint8)
    pixels[row::4] = 105
    measured = figures(measure(pixels, chroma_threshold=0))
    assert measured == pytest.approx(plainly(pixels.reshape(-1, 3), 0))


def test_rows_that_repeat_with_the_sample_are_not_missed() -> None:
    pixels = np.full((*LARGE, 3), 40, np.uint8)
    pixels[1::4] = 200
    measured = figures(measure(pixels, chroma_threshold=0))
    assert measured == pytest.approx(plainly(pixels.reshape(-1, 3), 0))


def test_a_large_picture_whose_sample_is_hidden_is_counted_whole() -> None:
    pixels = noise((*LARGE, 4))
    pixels[..., 3] = 0
    pixels[2::4, :, 3] = 255
    visible = pixels[pixels[..., 3] > 0][:, :3]
    measured = figures(measure(pixels, chroma_threshold=40))
    assert measured == pytest.approx(plainly(visible, 40))
