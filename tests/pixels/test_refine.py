"""Only the edges come from a redrawn cutout."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from maquette.pixels import refine

SIDE = 200


def disc(radius: float = 60, *, colour: int = 200, column: int = 100) -> NDArray[np.uint8]:
    """Draw an opaque disc of one grey on nothing."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    inside = np.hypot(rows - 100, columns - column) <= radius
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = np.where(inside, 255, 0)
    return pixels


def test_the_inside_keeps_its_pixels() -> None:
    """A model redraws everything; what it did away from the edge is undone, and measured."""
    made = refine.merge(disc(colour=200), disc(colour=150))
    assert (made.pixels[60:140, 60:140, :3] == 200).all()
    assert made.drift == pytest.approx(50)
    assert made.overlap == 1


def test_the_edge_is_the_redrawn_one() -> None:
    made = refine.merge(disc(60), disc(58, colour=150))
    np.testing.assert_array_equal(made.pixels[..., 3], disc(58)[..., 3])
    assert (made.pixels[100, 41:43, :3] < 200).all()


def test_what_the_model_adds_nearby_is_kept_and_far_away_is_not() -> None:
    redrawn = disc(62)
    redrawn[10:20, 10:20, 3] = 255
    made = refine.merge(disc(60), redrawn)
    assert made.pixels[100, 161, 3] == 255
    assert (made.pixels[10:20, 10:20, 3] == 0).all()


def test_without_transparency_the_old_alpha_stays() -> None:
    made = refine.merge(disc(), disc(colour=150)[..., :3])
    np.testing.assert_array_equal(made.pixels[..., 3], disc()[..., 3])


def test_another_size_is_brought_back() -> None:
    larger = cv2.resize(disc(60), (300, 300), interpolation=cv2.INTER_NEAREST)
    made = refine.merge(disc(60), larger)
    assert made.pixels.shape == (SIDE, SIDE, 4)
    assert made.overlap > 0.98


def test_hidden_colours_do_not_bleed_when_it_is_resized() -> None:
    """What lies under alpha 0 has no colour that counts."""
    larger = np.asarray(cv2.resize(disc(60), (400, 400), interpolation=cv2.INTER_NEAREST))
    larger[larger[..., 3] == 0, :3] = (255, 0, 255)
    made = refine.merge(disc(60), larger)
    visible = made.pixels[made.pixels[..., 3] > 8]
    assert np.abs(visible[:, :3].astype(int) - 200).max() <= 12


def test_a_subject_that_moved_is_noticed() -> None:
    assert refine.merge(disc(), disc(column=160)).overlap < 0.6


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_cutout_without_an_edge(alpha: int) -> None:
    cutout = disc()
    cutout[..., 3] = alpha
    made = refine.merge(cutout, disc(colour=150))
    assert made.pixels.shape == cutout.shape
    assert 0 <= made.overlap <= 1
