from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, UnsupportedImage
from maquette.pixels import kernels, lut
from maquette.pixels.lut import Colours, Lut3D


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def smooth(colours: Colours) -> Colours:
    """Mix and bend the channels, differently each."""
    bent = colours ** np.array([0.9, 1.3, 1.1], np.float32)
    mixed = 0.7 * bent + 0.3 * np.roll(bent, 1, axis=-1) * (1 - bent)
    return mixed.astype(np.float32)


def smoothed(pixels: NDArray[np.uint8]) -> Colours:
    """Apply `smooth` without a cube, in levels."""
    return 255 * smooth((pixels / 255).astype(np.float32))


def inverted(colours: Colours) -> Colours:
    return 1 - colours


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(kernels, "lut", raising=False)
    monkeypatch.setitem(sys.modules, "maquette.pixels.kernels.lut", None)


@pytest.fixture
def pillow_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    real = lut._apply_with_pillow  # pyright: ignore[reportPrivateUsage] - watched, not used

    def counted(pixels: NDArray[np.uint8], cube: Lut3D) -> NDArray[np.uint8]:
        calls.append(1)
        return real(pixels, cube)

    monkeypatch.setattr(lut, "_apply_with_pillow", counted)
    return calls


@pytest.mark.parametrize("size", [2, 3, 17, 33, 64, 129])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_identity_changes_nothing(size: int, channels: int) -> None:
    pixels = noise(61, 47, channels)
    assert np.array_equal(lut.apply(pixels, lut.identity(size)), pixels)


def test_a_smooth_function_is_met_within_two_levels() -> None:
    pixels = noise(200, 200, 3)
    exact = smoothed(pixels)
    assert np.abs(lut.apply(pixels, lut.from_function(smooth)) - exact).max() <= 2


def test_an_affine_function_is_met_at_the_coarsest_size() -> None:
    pixels = noise(50, 50, 3)
    assert np.array_equal(lut.apply(pixels, lut.from_function(inverted, 2)), 255 - pixels)


def test_alpha_passes_through() -> None:
    pixels = noise(40, 30, 4)
    changed = lut.apply(pixels, lut.from_function(inverted))
    assert np.array_equal(changed[..., 3], pixels[..., 3])
    assert np.array_equal(changed[..., :3], 255 - pixels[..., :3])


def test_each_corner_of_the_table_is_the_answer_for_its_colour() -> None:
    table = np.random.default_rng(0).random((2, 2, 2, 3)).astype(np.float32)
    for blue, green, red in np.ndindex(2, 2, 2):
        pixels = np.array([[[red, green, blue]]], np.uint8) * np.uint8(255)
        expected = np.rint(255 * table[blue, green, red])
        assert np.abs(lut.apply(pixels, Lut3D(table))[0, 0] - expected).max() <= 1


def test_every_tetrahedron_interpolates_between_its_own_corners() -> None:
    table = np.random.default_rng(1).random((2, 2, 2, 3)).astype(np.float32)
    pixels = noise(300, 1, 3)
    for colour, got in zip(pixels[:, 0], lut.apply(pixels, Lut3D(table))[:, 0], strict=True):
        fraction = colour / 255
        order = np.argsort(-fraction, kind="stable")
        corner = np.zeros(3, int)
        expected = table[0, 0, 0].astype(float)
        for axis in order:
            before = table[tuple(corner[::-1])]
            corner[axis] = 1
            expected = expected + fraction[axis] * (table[tuple(corner[::-1])] - before)
        assert np.abs(got - 255 * expected).max() <= 0.6


def test_results_outside_the_range_are_clipped() -> None:
    cube = lut.from_function(lambda colours: 3 * colours - 1, 2)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    expected = np.clip(3 * ramp.astype(float) - 255, 0, 255)
    assert np.abs(lut.apply(ramp, cube) - expected).max() <= 1


def test_the_domain_is_respected_and_clamped() -> None:
    cube = Lut3D(lut.identity(9).table, (0.25, 0.25, 0.25), (0.75, 0.75, 0.75))
    pixels = noise(60, 60, 3)
    expected = 255 * np.clip((pixels / 255 - 0.25) / 0.5, 0, 1)
    assert np.abs(lut.apply(pixels, cube) - expected).max() <= 1


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([3, 4]))
@settings(max_examples=25)
def test_a_picture_of_any_shape_is_looked_up_pixel_by_pixel(
    height: int, width: int, channels: int
) -> None:
    pixels = noise(height, width, channels)
    cube = lut.from_function(smooth, 9)
    flipped = lut.apply(pixels[::-1, ::-1], cube)
    assert np.array_equal(flipped[::-1, ::-1], lut.apply(pixels, cube))


def test_the_input_is_untouched_and_the_same_bytes_come_twice() -> None:
    pixels = noise(300, 300, 3)
    before = pixels.copy()
    cube = lut.from_function(smooth)
    assert np.array_equal(lut.apply(pixels, cube), lut.apply(pixels, cube))
    assert np.array_equal(pixels, before)


def test_blending_by_nothing_is_the_identity_and_by_all_the_cube() -> None:
    cube = lut.from_function(smooth, 9)
    assert np.array_equal(lut.blend(cube, 0.0).table, lut.identity(9).table)
    assert np.allclose(lut.blend(cube, 1.0).table, cube.table, atol=1e-6)
    assert np.allclose(
        lut.blend(cube, 0.5).table, (lut.identity(9).table + cube.table) / 2, atol=1e-6
    )


def test_blending_by_nothing_is_neutral_even_outside_the_domain() -> None:
    narrow = Lut3D(lut.from_function(inverted, 9).table, (0.2, 0.2, 0.2), (0.8, 0.8, 0.8))
    pixels = noise(50, 50, 3)
    assert np.array_equal(lut.apply(pixels, lut.blend(narrow, 0.0)), pixels)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(BadParameter, match="0 to 1"):
        lut.blend(lut.identity(2), strength)


@pytest.mark.usefixtures("without_numba")
@pytest.mark.parametrize("channels", [3, 4])
def test_without_numba_pillow_answers_within_two_levels(
    channels: int, pillow_calls: list[int]
) -> None:
    pixels = noise(80, 90, channels)
    exact = smoothed(pixels[..., :3])
    got = lut.apply(pixels, lut.from_function(smooth))
    assert pillow_calls == [1]
    assert np.abs(got[..., :3] - exact).max() <= 2
    assert np.array_equal(got[..., 3:], pixels[..., 3:])


@pytest.mark.usefixtures("without_numba")
def test_without_numba_domains_and_large_cubes_still_work(pillow_calls: list[int]) -> None:
    pixels = noise(60, 60, 3)
    narrow = Lut3D(lut.identity(9).table, (0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
    assert np.abs(lut.apply(pixels, narrow) - np.clip(2.0 * pixels, 0, 255)).max() <= 2
    assert np.abs(lut.apply(pixels, lut.identity(90)).astype(int) - pixels).max() <= 1
    assert pillow_calls == [1, 1]


def test_sample_meets_the_lattice_exactly() -> None:
    cube = lut.from_function(smooth, 5)
    assert np.allclose(lut.sample(cube, lut.identity(5).table), cube.table, atol=1e-6)


def test_importing_the_module_does_not_load_numba() -> None:
    code = "import sys, maquette.pixels.lut; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_table_is_a_copy_that_cannot_be_written() -> None:
    mine = lut.identity(3).table.copy()
    cube = Lut3D(mine)
    mine[0] = 9
    assert cube.table.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        cube.table[0, 0, 0, 0] = 1


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (3, 3, 2, 3), (3, 3, 3, 4), (9, 3)])
def test_what_is_no_cube_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadParameter, match="shape"):
        Lut3D(np.zeros(shape, np.float32))


def test_nan_an_empty_domain_and_a_size_of_one_are_refused() -> None:
    with pytest.raises(BadParameter, match="finite"):
        Lut3D(np.full((2, 2, 2, 3), np.nan, np.float32))
    with pytest.raises(BadParameter, match="domain"):
        Lut3D(lut.identity(2).table, (0.0, 1.0, 0.0), (1.0, 1.0, 1.0))
    with pytest.raises(BadParameter, match="at least 2"):
        lut.identity(1)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 2), np.uint8)])
def test_a_picture_without_colours_is_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(UnsupportedImage, match="RGB"):
        lut.apply(pixels, lut.identity(2))


def test_warming_loads_the_kernel() -> None:
    lut.warm()
    assert "maquette.pixels.kernels.lut" in sys.modules
