"""The original outside of a mask, with and without transparency."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.pixels import matte, restore

Pixels = NDArray[np.uint8]


def noise(channels: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (24, 36, channels), np.uint8)


def corner() -> Pixels:
    marks = np.zeros((24, 36), np.uint8)
    marks[:9, :14] = 255
    marks[9, :14] = 77
    return marks


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([3, 4]), st.sampled_from([3, 4]), st.floats(0, 12), st.integers(0, 99))
def test_outside_everything_is_the_originals(
    before: int, after: int, feather_px: float, seed: int
) -> None:
    """Alpha, and the colours that hide under none, too."""
    original, edited = noise(before, seed), noise(after, seed + 1)
    kept = original.copy(), edited.copy()
    restored = restore.outside(original, edited, corner(), feather_px=feather_px)
    outside = corner() == 0
    np.testing.assert_array_equal(restored.pixels[outside][:, :before], original[outside])
    assert restored.drift > 20
    np.testing.assert_array_equal(original, kept[0])
    np.testing.assert_array_equal(edited, kept[1])


@pytest.mark.parametrize(("before", "after"), [(3, 4), (4, 3), (4, 4)])
def test_deep_inside_everything_is_the_edits(before: int, after: int) -> None:
    restored = restore.outside(noise(before, 1), noise(after, 2), corner(), feather_px=3)
    np.testing.assert_array_equal(restored.pixels[:4, :8, :after], noise(after, 2)[:4, :8])
    if after == 3:
        assert (restored.pixels[:4, :8, 3] == 255).all()


def test_without_alpha_it_is_the_plain_composite() -> None:
    plain = matte.composite_outside(noise(3, 1), noise(3, 2), corner(), feather_px=3)
    opaque = np.dstack([noise(3, 2), np.full((24, 36), 255, np.uint8)])
    for edited in (noise(3, 2), opaque):
        restored = restore.outside(noise(3, 1), edited, corner(), feather_px=3)
        np.testing.assert_array_equal(restored.pixels, plain.pixels)


def test_drift_is_what_shows_and_not_what_hides() -> None:
    original = np.zeros((4, 4, 4), np.uint8)
    edited = original.copy()
    edited[..., :3] = 200
    nothing = np.zeros((4, 4), np.uint8)
    assert restore.outside(original, edited, nothing).drift == 0
    edited[..., 3] = 100
    seen = (3 * 78 + 100) / 4
    assert restore.outside(original, edited, nothing).drift == pytest.approx(seen)


def test_a_transparent_edit_fades_in_without_a_dark_rim() -> None:
    red = np.full((1, 40, 3), (200, 0, 0), np.uint8)
    clear = np.zeros((1, 40, 4), np.uint8)
    marks = np.zeros((1, 40), np.uint8)
    marks[:, :20] = 255
    restored = restore.outside(red, clear, marks, feather_px=8)
    assert restored.pixels.shape == (1, 40, 4)
    shown = restored.pixels[0][restored.pixels[0, :, 3] > 0]
    assert (shown[:, 0] == 200).all()
    assert restored.pixels[0, 0, 3] == 0 and restored.pixels[0, 30, 3] == 255


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(BadParameter, match="bring them to one size"):
        restore.outside(noise(4, 1), noise(4, 2)[:9], corner())
    with pytest.raises(BadParameter, match=r"A picture is"):
        restore.outside(noise(4, 1), corner(), corner())
