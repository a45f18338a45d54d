from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import BadParameter
from maquette.pixels.inpaint import fill

_PHOTO = Path(__file__).parents[2] / "examples/scenes/coffee.png"


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.asarray(Image.open(_PHOTO).convert("RGB"))[100:340, 300:600].copy()


def _hole(shape: tuple[int, ...], top: int, left: int, side: int) -> NDArray[np.uint8]:
    mask = np.zeros(shape[:2], np.uint8)
    mask[top : top + side, left : left + side] = 255
    return mask


def _noise(rows: int, columns: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)


def _stripes(rows: int, columns: int) -> NDArray[np.uint8]:
    wave = np.where(np.arange(columns) // 4 % 2, 210, 40).astype(np.uint8)
    return np.broadcast_to(wave[None, :, None], (rows, columns, 3)).copy()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**31), st.data())
def test_any_size_and_any_mask_keeps_what_is_outside(
    rows: int, columns: int, share: float, seed: int, data: st.DataObject
) -> None:
    pixels = _noise(rows, columns, seed)
    mask = ((_noise(rows, columns, seed + 1)[..., 0] < share * 256) * 255).astype(np.uint8)
    before, mask_before = pixels.copy(), mask.copy()
    filled = fill(pixels, mask, seed=data.draw(st.integers(0, 9)))
    assert filled.shape == pixels.shape and filled.dtype == np.uint8
    assert np.array_equal(filled[mask <= 127], pixels[mask <= 127])
    assert np.array_equal(pixels, before) and np.array_equal(mask, mask_before)


def test_an_empty_mask_gives_a_copy(photo: NDArray[np.uint8]) -> None:
    filled = fill(photo, np.full(photo.shape[:2], 127, np.uint8))
    assert np.array_equal(filled, photo) and not np.shares_memory(filled, photo)


def test_a_mask_over_everything_gives_the_mean_colour() -> None:
    pixels = _stripes(16, 16)
    filled = fill(pixels, np.full((16, 16), 255, np.uint8))
    assert np.unique(filled).tolist() == [125]


def test_too_little_source_is_filled_from_the_rim() -> None:
    pixels = np.full((8, 8, 3), 90, np.uint8)
    pixels[3:5, 3:5] = 255
    filled = fill(pixels, _hole(pixels.shape, 3, 3, 2))
    assert np.abs(filled.astype(int) - 90).max() <= 1


def test_same_seed_same_bytes_and_another_seed_differs(photo: NDArray[np.uint8]) -> None:
    mask = _hole(photo.shape, 90, 120, 60)
    first = fill(photo, mask, seed=4)
    assert np.array_equal(first, fill(photo, mask, seed=4))
    assert not np.array_equal(first, fill(photo, mask, seed=5))


def test_a_regular_texture_is_continued_exactly_enough() -> None:
    pixels = _stripes(120, 160)
    mask = _hole(pixels.shape, 40, 60, 36)
    error = np.abs(fill(pixels, mask)[mask > 0].astype(int) - pixels[mask > 0]).mean()
    diffused = cv2.inpaint(pixels, mask, 3, cv2.INPAINT_TELEA)
    blurred = np.abs(diffused[mask > 0].astype(int) - pixels[mask > 0]).mean()
    assert error < 4 < blurred


def test_what_the_hole_hid_leaves_no_trace(photo: NDArray[np.uint8]) -> None:
    mask = _hole(photo.shape, 90, 120, 60)
    hidden = photo.copy()
    hidden[mask > 0] = (255, 0, 255)
    assert np.array_equal(fill(photo, mask), fill(hidden, mask))


def test_distant_holes_are_filled_as_if_alone() -> None:
    pixels = np.tile(_noise(120, 120, 3) // 4 + 90, (1, 6, 1))
    left, right = _hole(pixels.shape, 50, 30, 20), _hole(pixels.shape, 50, 660, 20)
    both = fill(pixels, left | right)
    assert np.array_equal(both[:, :360], fill(pixels, left)[:, :360])
    assert np.array_equal(both[:, 360:], fill(pixels, right)[:, 360:])


@pytest.mark.parametrize("corner", [(0, 0), (0, 260), (200, 0), (200, 260)])
def test_a_hole_in_a_corner_is_filled_with_colours_of_the_picture(
    photo: NDArray[np.uint8], corner: tuple[int, int]
) -> None:
    mask = _hole(photo.shape, *corner, 40)
    hidden = photo.copy()
    hidden[mask > 0] = (0, 255, 0)
    greenest = (fill(hidden, mask)[mask > 0] @ np.array([-1, 2, -1])).max()
    assert greenest <= (photo[mask == 0] @ np.array([-1, 2, -1])).max() + 3


def test_wrong_arguments_are_refused(photo: NDArray[np.uint8]) -> None:
    mask = np.zeros(photo.shape[:2], np.uint8)
    with pytest.raises(BadParameter, match="hand in"):
        fill(photo[..., 0], mask)
    with pytest.raises(BadParameter, match="mask"):
        fill(photo, mask[1:])
    with pytest.raises(BadParameter, match="-1"):
        fill(photo, mask, seed=-1)


def test_importing_does_not_load_numba() -> None:
    code = "import sys, maquette.pixels.inpaint; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
