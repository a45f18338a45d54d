"""Masks: read from three conventions, grown, shrunk, made soft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.core.masks import Adjust, Polarity
from maquette.pixels import mask as masks

Mask = NDArray[np.uint8]

_shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))
_levels = st.sampled_from([0, 0, 0, 255, 255, 1, 90, 128, 254])
_masks = _shapes.flatmap(lambda shape: arrays(np.uint8, shape, elements=_levels))
_radii = st.integers(0, 12)
quick = settings(max_examples=60, deadline=None)


def corner() -> Mask:
    """Mark the top left corner, with one soft row: no flip and no inversion looks the same."""
    marks = np.zeros((20, 30), np.uint8)
    marks[:6, :11] = 255
    marks[6, :11] = 90
    return marks


def sent(marks: Mask, polarity: Polarity) -> NDArray[np.uint8]:
    """Write a mask as a surface sends it, with colours that no reader may look at."""
    noise = np.random.default_rng(1).integers(0, 256, (*marks.shape, 3), np.uint8)
    if polarity == "white":
        return np.dstack([marks] * 3)
    alpha = marks if polarity == "opaque" else np.uint8(255) - marks
    return np.dstack([noise, alpha])


@pytest.mark.parametrize("polarity", ["transparent", "opaque", "white"])
def test_all_three_conventions_say_the_same(polarity: Polarity) -> None:
    np.testing.assert_array_equal(masks.read(sent(corner(), polarity), polarity), corner())


def test_transparent_and_opaque_are_each_others_inverse() -> None:
    pixels = sent(corner(), "opaque")
    inverted = masks.invert(masks.from_opaque(pixels))
    np.testing.assert_array_equal(masks.from_transparent(pixels), inverted)


def test_every_grey_comes_out_as_it_is() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(masks.from_white(np.dstack([ramp] * 3)), ramp)
    np.testing.assert_array_equal(masks.from_white(ramp), ramp)


def test_white_that_is_transparent_is_kept() -> None:
    pixels = np.full((2, 3, 4), 255, np.uint8)
    pixels[0, :, 3] = (0, 128, 255)
    np.testing.assert_array_equal(masks.from_white(pixels)[0], (0, 128, 255))


@pytest.mark.parametrize("polarity", ["transparent", "opaque"])
def test_a_mask_without_alpha_says_what_it_lacks(polarity: Polarity) -> None:
    with pytest.raises(BadParameter, match=f"no transparency, and here its {polarity} parts"):
        masks.read(np.zeros((4, 4, 3), np.uint8), polarity)


def test_a_photograph_is_no_grey_mask() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (8, 8, 3), np.uint8)
    with pytest.raises(BadParameter, match="has colours"):
        masks.from_white(noise)
    hidden = np.dstack([noise, np.zeros((8, 8), np.uint8)])
    assert not masks.from_white(hidden).any()


@quick
@given(_masks, _radii, st.floats(0, 40))
def test_nothing_changes_its_input_and_flips_commute(
    marks: Mask, radius_px: int, feather_px: float
) -> None:
    adjust = Adjust(invert=True, grow_px=radius_px, shrink_px=3, feather_px=feather_px)
    kept = marks.copy()
    works: tuple[Callable[[Mask], Mask], ...] = (
        lambda one: masks.grow(one, radius_px),
        lambda one: masks.shrink(one, radius_px),
        lambda one: masks.feather(one, feather_px),
        lambda one: masks.adjusted(one, adjust),
    )
    for work in works:
        straight = work(marks)
        assert straight.shape == marks.shape and straight.dtype == np.uint8
        for flip in (np.flipud, np.fliplr, np.transpose):
            np.testing.assert_array_equal(work(np.ascontiguousarray(flip(marks))), flip(straight))
    np.testing.assert_array_equal(marks, kept)


@quick
@given(_masks)
def test_inverting_twice_changes_nothing(marks: Mask) -> None:
    np.testing.assert_array_equal(masks.invert(masks.invert(marks)), marks)
    assert masks.coverage(marks) + masks.coverage(masks.invert(marks)) == pytest.approx(1)


@quick
@given(_masks, _radii)
def test_growing_contains_and_shrinking_is_contained(marks: Mask, radius_px: int) -> None:
    grown, shrunk = masks.grow(marks, radius_px), masks.shrink(marks, radius_px)
    assert (grown >= marks).all() and (shrunk <= marks).all()
    np.testing.assert_array_equal(masks.shrink(masks.invert(marks), radius_px), masks.invert(grown))
    # Closing and opening: what one radius takes, the other gives back no further than it was.
    assert (masks.shrink(grown, radius_px) >= marks).all()
    assert (masks.grow(shrunk, radius_px) <= marks).all()


@quick
@given(_masks, st.integers(0, 8))
def test_growing_is_the_maximum_over_a_disc(marks: Mask, radius_px: int) -> None:
    """Against the definition, and OpenCV with the whole disc at once."""
    down, right = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    disc = (down**2 + right**2 <= radius_px**2).astype(np.uint8)
    np.testing.assert_array_equal(masks.grow(marks, radius_px), cv2.dilate(marks, disc))


def test_one_pixel_grows_into_a_round_spot() -> None:
    marks = np.zeros((41, 41), np.uint8)
    marks[20, 20] = 255
    down, right = np.mgrid[:41, :41] - 20
    np.testing.assert_array_equal(masks.grow(marks, 13) == 255, np.hypot(down, right) <= 13)


def test_the_border_of_the_picture_is_no_edge() -> None:
    everything = np.full((9, 14), 255, np.uint8)
    np.testing.assert_array_equal(masks.shrink(everything, 5), everything)
    np.testing.assert_array_equal(masks.feather(everything, 5), everything)
    left = np.zeros((9, 14), np.uint8)
    left[:, :8] = 255
    np.testing.assert_array_equal(masks.shrink(left, 3)[0], [255] * 5 + [0] * 9)


@quick
@given(_masks, st.floats(0, 40))
def test_a_soft_edge_marks_nothing_that_was_not_marked(marks: Mask, feather_px: float) -> None:
    soft = masks.feather(marks, feather_px)
    assert (soft <= marks).all()
    inside = marks > 0
    if inside.any() and marks.max() == marks[inside].min():
        assert soft.max() >= marks.max() // 2, "small regions keep a middle"


@quick
@given(_masks, st.integers(1, 60), st.integers(1, 60))
def test_resizing_does_not_overshoot(marks: Mask, width_px: int, height_px: int) -> None:
    fitted = masks.resized(marks, width_px=width_px, height_px=height_px)
    assert fitted.shape == (height_px, width_px)
    assert fitted.min() >= marks.min() and fitted.max() <= marks.max()


def test_resizing_leaves_what_is_far_from_every_mark() -> None:
    large = masks.resized(corner(), width_px=90, height_px=60)
    assert not large[23:].any() and not large[:, 35:].any()
    assert (large[:16, :31] == 255).all()


def test_adjusting_goes_in_the_order_that_is_said() -> None:
    marks = corner()
    expected = masks.feather(masks.shrink(masks.grow(masks.invert(marks), 4), 2), 3)
    adjust = Adjust(invert=True, grow_px=4, shrink_px=2, feather_px=3)
    np.testing.assert_array_equal(masks.adjusted(marks, adjust), expected)
    assert Adjust().neutral and not adjust.neutral
    np.testing.assert_array_equal(masks.adjusted(marks, Adjust()), marks)


@pytest.mark.parametrize(
    ("levels", "share"), [((0, 0, 0, 0), 0.0), ((255, 0, 0, 0), 0.25), ((255, 255, 51, 51), 0.6)]
)
def test_the_share_that_is_marked(levels: tuple[int, ...], share: float) -> None:
    assert masks.coverage(np.array([levels], np.uint8)) == pytest.approx(share)


@pytest.mark.parametrize("bad", [np.zeros((0, 3), np.uint8), np.zeros((3, 3)),
                                 np.zeros((3, 3, 3), np.uint8)])  # fmt: skip
def test_what_is_no_mask_is_refused(bad: Any) -> None:
    works: tuple[Callable[[Any], object], ...] = (masks.invert, masks.coverage, _grown)
    for work in works:
        with pytest.raises(BadParameter, match="A mask is"):
            work(bad)


def _grown(mask: Any) -> Mask:
    return masks.grow(mask, 1)


@pytest.mark.parametrize("radius_px", [-1, 257])
def test_a_radius_out_of_range_is_refused(radius_px: int) -> None:
    with pytest.raises(BadParameter, match="give 0 to 256"):
        masks.shrink(corner(), radius_px)
