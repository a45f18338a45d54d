from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.pixels.matte import (
    composite,
    composite_outside,
    decontaminate,
    guided_filter,
    refine_alpha,
)

_RED, _GREEN, _BLUE = (200, 40, 30), (30, 200, 60), (20, 40, 180)


def _noise(shape: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _flat(rows: int, columns: int, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((rows, columns, 3), colour, np.uint8)


def _disc(side: int, radius: float, softness: float = 1.0) -> NDArray[np.uint8]:
    down, right = np.mgrid[:side, :side] - (side - 1) / 2
    return np.clip((radius - np.hypot(down, right)) / softness * 255 + 127.5, 0, 255).astype(
        np.uint8
    )


def _mean_error(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(int) - second).mean())


_shapes = st.tuples(st.integers(1, 30), st.integers(1, 30))


@settings(max_examples=30, deadline=None)
@given(_shapes, st.integers(1, 12), st.integers(0, 2**31))
def test_every_function_takes_any_shape_and_leaves_its_inputs_alone(
    shape: tuple[int, int], radius_px: int, seed: int
) -> None:
    pixels, other, plane = (
        _noise((*shape, 3), seed),
        _noise((*shape, 3), seed + 1),
        _noise(shape, 5),
    )
    kept = pixels.copy(), other.copy(), plane.copy()
    results = (
        guided_filter(pixels, plane, radius_px=radius_px, epsilon=1e-3),
        guided_filter(plane, plane, radius_px=radius_px, epsilon=1e-3),
        refine_alpha(pixels, plane, radius_px=radius_px),
        decontaminate(pixels, plane),
        composite(pixels, other, plane),
        composite_outside(pixels, other, plane, feather_px=radius_px).pixels,
    )
    assert all(result.shape[:2] == shape and result.dtype == np.uint8 for result in results)
    for before, after in zip(kept, (pixels, other, plane), strict=True):
        assert np.array_equal(before, after)


@given(_shapes, st.integers(0, 255), st.integers(1, 40))
def test_filtering_a_constant_changes_nothing(
    shape: tuple[int, int], level: int, radius_px: int
) -> None:
    values = np.full(shape, level, np.uint8)
    filtered = guided_filter(_noise((*shape, 3), 1), values, radius_px=radius_px, epsilon=1e-3)
    assert np.abs(filtered.astype(int) - level).max() <= 1


def test_the_filter_keeps_edges_of_the_guide_and_smooths_elsewhere() -> None:
    mask = _disc(96, 28)
    pixels = composite(_flat(96, 96, _RED), _flat(96, 96, _BLUE), mask)
    kept = guided_filter(pixels, mask, radius_px=8, epsilon=1e-5)
    lost = guided_filter(_flat(96, 96, _RED), mask, radius_px=8, epsilon=1e-5)
    assert _mean_error(kept, mask) < 2
    assert _mean_error(lost, mask) > 8


def test_the_filter_commutes_with_a_flip() -> None:
    pixels, values = _noise((64, 64, 3), 1), _noise((64, 64), 2)
    flipped = guided_filter(pixels[:, ::-1], values[:, ::-1], radius_px=8, epsilon=1e-2)
    straight = guided_filter(pixels, values, radius_px=8, epsilon=1e-2)
    assert np.abs(flipped[:, ::-1].astype(int) - straight).max() <= 1


def test_a_rough_mask_is_pulled_to_the_edge_of_the_picture() -> None:
    truth = _disc(128, 40)
    pixels = composite(_flat(128, 128, _RED), _flat(128, 128, _BLUE), truth)
    rough = _disc(128, 44)
    refined = refine_alpha(pixels, rough, radius_px=8)
    assert _mean_error(refined, truth) < 0.25 * _mean_error(rough, truth)


def test_away_from_the_edge_the_mask_decides() -> None:
    mask = _disc(128, 40)
    alpha = refine_alpha(_noise((128, 128, 3), 4), mask, radius_px=6)
    assert np.all(alpha[_disc(128, 32) == 255] == 255)
    assert np.all(alpha[_disc(128, 49) == 0] == 0)


def test_decontaminating_takes_the_backdrop_out_of_soft_edges() -> None:
    alpha = _disc(128, 40, softness=10)
    truth = _flat(128, 128, _RED)
    pixels = composite(truth, _flat(128, 128, _GREEN), alpha)
    soft = (alpha > 20) & (alpha < 235)
    cleaned = decontaminate(pixels, alpha)
    assert _mean_error(cleaned[soft], truth[soft]) < 0.15 * _mean_error(pixels[soft], truth[soft])
    assert np.array_equal(cleaned[alpha == 255], pixels[alpha == 255])


@pytest.mark.parametrize("level", [0, 255])
def test_decontaminating_without_soft_edges_changes_nothing(level: int) -> None:
    pixels = _noise((20, 30, 3), 6)
    assert np.array_equal(decontaminate(pixels, np.full((20, 30), level, np.uint8)), pixels)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_the_blend_is_the_nearest_integer(front: int, back: int, over: int) -> None:
    result = composite(
        _flat(1, 1, (front, front, front)),
        _flat(1, 1, (back, back, back)),
        np.full((1, 1), over, np.uint8),
    )
    exact = (front * over + back * (255 - over)) / 255
    assert abs(int(result[0, 0, 0]) - exact) <= 0.5


@settings(deadline=None)
@given(_shapes, st.floats(0, 40), st.integers(0, 2**31))
def test_outside_the_mask_the_original_returns_byte_for_byte(
    shape: tuple[int, int], feather_px: float, seed: int
) -> None:
    original, edited = _noise((*shape, 3), seed), _noise((*shape, 3), seed + 1)
    mask = np.where(_noise(shape, seed + 2) > 100, 255, 0).astype(np.uint8)
    result, drift = composite_outside(original, edited, mask, feather_px=feather_px)
    outside = mask == 0
    assert np.array_equal(result[outside], original[outside])
    expected = (
        np.abs(edited[outside].astype(int) - original[outside]).mean() if outside.any() else 0
    )
    assert drift == pytest.approx(expected)


def test_without_feather_the_edit_is_whole_inside() -> None:
    original, edited = _noise((40, 40, 3), 1), _noise((40, 40, 3), 2)
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    assert np.array_equal(
        composite_outside(original, edited, mask).pixels[10:30, 10:30], edited[10:30, 10:30]
    )


def test_a_feathered_stroke_keeps_a_solid_middle_and_a_border_is_no_rim() -> None:
    white, black = _flat(40, 60, (255, 255, 255)), _flat(40, 60, (0, 0, 0))
    mask = np.zeros((40, 60), np.uint8)
    mask[16:25] = 255
    row = composite_outside(black, white, mask, feather_px=30).pixels[:, 0, 0].astype(int)
    assert row[20] == 255 and row[15] == row[25] == 0
    assert 0 < row[16] < 255 and np.all(np.diff(row[15:21]) >= 0)


def test_no_difference_means_no_drift() -> None:
    pixels = _noise((12, 12, 3), 9)
    result, drift = composite_outside(pixels, pixels, np.zeros((12, 12), np.uint8), feather_px=3)
    assert drift == 0.0 and np.array_equal(result, pixels)


def test_wrong_arguments_are_refused() -> None:
    pixels, plane = _noise((8, 8, 3), 1), _noise((8, 8), 2)
    with pytest.raises(BadParameter, match="resize"):
        composite(pixels, pixels[:4], plane)
    with pytest.raises(BadParameter, match="hand in"):
        decontaminate(pixels, plane.astype(np.float32))  # pyright: ignore[reportArgumentType] - that is the point
    with pytest.raises(BadParameter, match="radius_px is 0"):
        guided_filter(pixels, plane, radius_px=0, epsilon=1e-4)
    with pytest.raises(BadParameter, match="epsilon is 0"):
        guided_filter(pixels, plane, radius_px=4, epsilon=0)
    with pytest.raises(BadParameter, match="guide"):
        guided_filter(_noise((8, 8, 4), 1), plane, radius_px=4, epsilon=1e-4)
    with pytest.raises(BadParameter, match="feather_px is -1"):
        composite_outside(pixels, pixels, plane, feather_px=-1)
