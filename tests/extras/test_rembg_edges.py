"""LAB-9: the soft edges of rembg's masks, solved by closed-form matting."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from maquette.ops.rembg import packages
from maquette.ops.rembg.edges import fitted

EXTRA = "rembg"
ABSENT = ", ".join(packages.lacking())
if ABSENT and EXTRA in os.environ.get("MAQUETTE_EXTRAS_REQUIRED", "").split():
    pytest.fail(f"MAQUETTE_EXTRAS_REQUIRED names {EXTRA!r}, but {ABSENT} is missing", pytrace=False)
if ABSENT:
    pytest.skip(f"extra {EXTRA!r}: {ABSENT} is not installed", allow_module_level=True)

Pixels = NDArray[np.uint8]


def hairy(side_px: int) -> tuple[Pixels, Pixels, Pixels]:
    """Return a picture of fine strands before a soft ground, its alpha, and a poor mask of it."""
    rng = np.random.default_rng(5)
    alpha = np.zeros((600, 600), np.uint8)
    cv2.circle(alpha, (260, 380), 150, 255, -1, cv2.LINE_AA)
    for angle in rng.uniform(-np.pi, 0, 160):
        ends = [(260 + reach * np.cos(angle), 380 + reach * np.sin(angle)) for reach in (140, 200)]
        cv2.polylines(alpha, [np.array(ends).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    alpha = np.asarray(cv2.resize(alpha, (side_px, side_px), interpolation=cv2.INTER_AREA))
    share = alpha[..., None] / 255
    ground = np.linspace(170, 230, side_px)[None, :, None] * np.array([1, 0.95, 0.9])
    noise = rng.normal(0, 2, (side_px, side_px, 3))
    picture = np.clip(share * (40, 30, 25) + (1 - share) * ground + noise, 0, 255)
    small = cv2.resize(alpha, (320, 320), interpolation=cv2.INTER_AREA)
    mask = np.asarray(cv2.GaussianBlur(small, (0, 0), 2))
    return picture.astype(np.uint8), alpha.astype(np.uint8), mask.astype(np.uint8)


@pytest.mark.parametrize("side_px", [600, 1300], ids=["solved whole", "solved smaller"])
def test_matting_finds_the_hair_that_the_mask_has_lost(side_px: int) -> None:
    picture, alpha, mask = hairy(side_px)
    soft = ((alpha > 0) & (alpha < 255)).astype(np.uint8)
    band = cv2.dilate(soft, np.ones((5, 5))) == 1

    def error(found: NDArray[np.uint8]) -> float:
        return float(np.abs(found[band].astype(np.int16) - alpha[band]).mean())

    enlarged = cv2.resize(mask, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    blurred = error(np.asarray(enlarged).astype(np.uint8))
    guided = fitted(picture, mask, matting=False)
    solved = fitted(picture, mask, matting=True)
    assert (guided.way, solved.way) == ("guided", "closed-form")
    assert error(solved.alpha) < 0.7 * error(guided.alpha) < 0.5 * blurred


def test_matting_is_silent_and_repeats_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """What pymatting prints for its developers would stand in the middle of our own output."""
    picture, _, mask = hairy(600)
    first, second = (fitted(picture, mask, matting=True) for _ in range(2))
    np.testing.assert_array_equal(first.alpha, second.alpha)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("level", [0, 128, 255], ids=["nothing", "unknown", "everything"])
def test_where_nothing_can_be_solved_the_mask_is_filtered(level: int) -> None:
    picture = hairy(600)[0]
    found = fitted(picture, np.full((320, 320), level, np.uint8), matting=True)
    assert found.way == "guided"
    assert np.ptp(found.alpha) <= 1
    assert abs(int(found.alpha[0, 0]) - level) <= 1
