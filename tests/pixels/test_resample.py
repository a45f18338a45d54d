from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import BadParameter, ImageTooLarge, UnsupportedImage
from maquette.pixels import resample
from maquette.pixels.resample import resize, upscale

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))
LAYOUTS = st.sampled_from([(), (3,), (4,)])
EXAMPLE = Path(__file__).parents[2] / "examples/scenes/chelsea.png"


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def edge(channels: int = 3) -> NDArray[np.uint8]:
    pixels = np.full((24, 24, channels), 60, np.uint8)
    pixels[:, 12:] = 190
    return pixels


@pytest.fixture(scope="module")
def photograph() -> NDArray[np.uint8]:
    with Image.open(EXAMPLE) as picture:
        return np.array(picture.convert("RGB"))


@given(SHAPES, SHAPES, LAYOUTS)
def test_any_size_is_reached_and_the_input_untouched(
    source: tuple[int, int], target: tuple[int, int], layout: tuple[int, ...]
) -> None:
    pixels = noise((*source, *layout))
    before = pixels.copy()
    result = resize(pixels, height_px=target[0], width_px=target[1])
    assert result.shape == (*target, *layout)
    assert result.dtype == np.uint8
    assert np.array_equal(pixels, before)


@given(SHAPES, LAYOUTS, st.integers(0, 255), SHAPES)
def test_a_uniform_picture_stays_uniform(
    source: tuple[int, int], layout: tuple[int, ...], level: int, target: tuple[int, int]
) -> None:
    pixels = np.full((*source, *layout), level, np.uint8)
    result = resize(pixels, height_px=target[0], width_px=target[1])
    assert (result[..., :3] == (0 if layout == (4,) and level == 0 else level)).all()


def test_the_same_size_is_a_copy() -> None:
    pixels = noise((9, 8, 4))
    result = resize(pixels, width_px=8, height_px=9)
    assert np.array_equal(result, pixels)
    assert not np.shares_memory(result, pixels)


def test_halving_takes_the_mean_of_each_square() -> None:
    pixels = noise((20, 30, 3))
    mean = pixels.reshape(10, 2, 15, 2, 3).mean(axis=(1, 3))
    assert np.abs(resize(pixels, width_px=15, height_px=10) - mean).max() <= 0.5


def test_each_axis_chooses_its_own_filter() -> None:
    pixels = noise((20, 10))
    flat = np.repeat(pixels.reshape(10, 2, 10).mean(axis=1).round()[..., None], 1, axis=-1)
    one_way = resize(flat[..., 0].astype(np.uint8), width_px=30, height_px=10)
    assert np.abs(resize(pixels, width_px=30, height_px=10).astype(int) - one_way).max() <= 1


@pytest.mark.parametrize(("width_px", "height_px"), [(5, 4), (40, 33)])
def test_hidden_colours_do_not_bleed(width_px: int, height_px: int) -> None:
    pixels = noise((16, 16, 4))
    pixels[..., 3] = 0
    pixels[4:12, 4:12] = (200, 100, 50, 255)
    result = resize(pixels, width_px=width_px, height_px=height_px)
    solid = result[result[..., 3] > 40]
    assert len(solid)
    assert np.abs(solid[:, :3].astype(int) - (200, 100, 50)).max() <= 2


def test_where_nothing_is_visible_the_result_is_black() -> None:
    pixels = noise((8, 8, 4))
    pixels[..., 3] = 0
    assert not resize(pixels, width_px=17, height_px=3).any()


def test_opaque_rgba_is_resized_like_rgb() -> None:
    pixels = noise((20, 21, 4))
    pixels[..., 3] = 255
    result = resize(pixels, width_px=33, height_px=12)
    assert (result[..., 3] == 255).all()
    assert np.array_equal(result[..., :3], resize(pixels[..., :3], width_px=33, height_px=12))


def test_faint_colours_keep_their_hue() -> None:
    pixels = np.full((10, 10, 4), (200, 120, 40, 1), np.uint8)
    pixels[0, 0, 3] = 2
    result = resize(pixels, width_px=25, height_px=25)
    visible = result[result[..., 3] > 0][:, :3].astype(int)
    assert np.abs(visible - (200, 120, 40)).max() <= 1


@given(SHAPES, LAYOUTS)
def test_neutral_parameters_are_the_identity(
    source: tuple[int, int], layout: tuple[int, ...]
) -> None:
    pixels = noise((*source, *layout))
    assert np.array_equal(upscale(pixels, 1.0, sharpen=0.0), pixels)


@given(SHAPES, LAYOUTS, st.floats(1, 8), st.sampled_from([0.0, 0.35, 1.0]))
@settings(max_examples=40)
def test_upscaling_keeps_proportions_range_and_input(
    source: tuple[int, int], layout: tuple[int, ...], scale: float, sharpen: float
) -> None:
    pixels = noise((*source, *layout)) // 2 + 40
    before = pixels.copy()
    result = upscale(pixels, scale, sharpen=sharpen)
    assert result.shape == (round(source[0] * scale), round(source[1] * scale), *layout)
    assert np.array_equal(pixels, before)
    if layout != (4,):
        assert pixels.min() <= result.min() and result.max() <= pixels.max()


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.3, 8.0])
def test_an_edge_gains_no_halo(scale: float) -> None:
    result = upscale(edge(), scale, sharpen=1.0)
    assert (result.min(), result.max()) == (60, 190)
    assert (np.diff(result[0, :, 0].astype(int)) >= 0).all()


def test_sharpening_makes_an_edge_steeper() -> None:
    steepness = [
        int(np.diff(upscale(edge(), 4.0, sharpen=amount)[48, :, 0].astype(int)).max())
        for amount in (0.0, 0.35, 1.0)
    ]
    assert steepness[0] < steepness[1] < steepness[2]


def test_sharpening_spares_flat_noise() -> None:
    flat = noise((60, 60, 3)) // 64 + 100
    edges = noise((60, 60, 3)) // 2 + 60

    def change(pixels: NDArray[np.uint8]) -> float:
        sharp = upscale(pixels, 2.0, sharpen=0.35).astype(int)
        plain = upscale(pixels, 2.0, sharpen=0.0).astype(int)
        return float(np.abs(sharp - plain).mean() / plain.std())

    assert change(flat) < 0.6 * change(edges)


def test_alpha_is_never_sharpened() -> None:
    pixels = noise((20, 20, 4))
    plain, sharp = upscale(pixels, 2.0, sharpen=0.0), upscale(pixels, 2.0, sharpen=1.0)
    assert np.array_equal(plain[..., 3], sharp[..., 3])


def test_the_rim_of_a_cut_out_keeps_its_colour() -> None:
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[5:15, 5:15] = (180, 90, 60, 255)
    result = upscale(pixels, 3.0, sharpen=1.0)
    visible = result[result[..., 3] > 20][:, :3].astype(int)
    assert np.abs(visible - (180, 90, 60)).max() <= 2


def test_bands_leave_no_seam(
    monkeypatch: pytest.MonkeyPatch, photograph: NDArray[np.uint8]
) -> None:
    whole = upscale(photograph, 2.0, sharpen=0.8)
    monkeypatch.setattr(resample, "_BAND_PX", 37 * whole.shape[1])
    assert np.array_equal(upscale(photograph, 2.0, sharpen=0.8), whole)


def test_upscaling_restores_a_reduced_photograph_as_well_as_lanczos_alone(
    photograph: NDArray[np.uint8],
) -> None:
    original = photograph[:300, :450]
    small = resize(original, width_px=225, height_px=150)

    def error(restored: NDArray[np.uint8]) -> float:
        return float(np.square(restored.astype(float) - original).mean())

    assert error(upscale(small, 2.0)) <= error(resize(small, width_px=450, height_px=300))


def test_the_same_bytes_come_twice_and_flipping_commutes(photograph: NDArray[np.uint8]) -> None:
    once = upscale(photograph, 2.0)
    assert np.array_equal(once, upscale(photograph, 2.0))
    flipped = upscale(photograph[:, ::-1], 2.0)[:, ::-1]
    assert np.abs(once.astype(int) - flipped).max() <= 2


@pytest.mark.parametrize("scale", [0.99, 8.01, float("nan")])
def test_a_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(BadParameter, match="1 to 8"):
        upscale(noise((4, 4, 3)), scale)


def test_a_sharpening_out_of_range_is_refused() -> None:
    with pytest.raises(BadParameter, match="0 to 1"):
        upscale(noise((4, 4, 3)), 2.0, sharpen=1.5)


def test_sides_of_nothing_and_results_over_the_limit_are_refused() -> None:
    with pytest.raises(BadParameter, match="at least 1"):
        resize(noise((4, 4, 3)), width_px=0, height_px=4)
    with pytest.raises(ImageTooLarge, match="smaller"):
        resize(noise((4, 4, 3)), width_px=2**15, height_px=2**14)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4, 2), (4,)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedImage, match="convert"):
        resize(np.zeros(shape, np.uint8), width_px=4, height_px=4)
