"""WEB-11: a model's answer becomes a mask."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import BadParameter
from maquette.core.raster import Raster
from maquette.ops.answered import PaintedParams, read
from maquette.pixels.painted import mask_of
from maquette.testing.contracts import FixedWork

Pixels = NDArray[np.uint8]
_SCENES = Path(__file__).parents[2] / "examples/scenes"


def _picture() -> tuple[Pixels, Pixels, Pixels]:
    """Return a backdrop with a red thing, the truth, and the backdrop alone."""
    photo = Image.open(_SCENES / "coffee.png").convert("RGB").resize((240, 160))
    backdrop = cv2.GaussianBlur(np.asarray(photo), (0, 0), 5)
    truth = np.zeros((160, 240), np.uint8)
    cv2.ellipse(truth, (150, 70), (50, 30), 20, 0, 360, 255, -1, cv2.LINE_AA)
    over = truth[..., None] / 255
    picture = backdrop * (1 - over) + np.array((30, 90, 200)) * over
    return picture.astype(np.uint8), truth, np.asarray(backdrop, np.uint8)


def _overlap(first: Pixels, second: Pixels) -> float:
    ours, theirs = first > 127, second > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


def _noisy(pixels: Pixels, strength: float, seed: int = 1) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, strength, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(240, 160), (480, 320), (120, 80)])
def test_white_paint_becomes_a_mask_of_the_pictures_size(size: tuple[int, int]) -> None:
    picture, truth, _ = _picture()
    paint = cv2.resize(np.dstack([truth] * 3), size, interpolation=cv2.INTER_AREA)
    found = mask_of(picture, _noisy(np.asarray(paint, np.uint8), 6), "paint")
    assert found.alpha.shape == truth.shape
    assert _overlap(found.alpha, truth) >= 0.95
    assert found.confidence > 0.9


def test_what_was_erased_becomes_a_mask() -> None:
    picture, truth, backdrop = _picture()
    found = mask_of(picture, _noisy(backdrop, 4), "erase")
    assert _overlap(found.alpha, truth) >= 0.93
    assert found.confidence > 0.7


def test_a_model_that_painted_a_picture_instead_is_not_trusted() -> None:
    picture, _, _ = _picture()
    assert mask_of(picture, picture, "paint").confidence < 0.3
    other = np.ascontiguousarray(np.flip(picture, (0, 1)))
    assert mask_of(picture, other, "erase").confidence < 0.7


@pytest.mark.parametrize(("level", "marked"), [(0, 0), (255, 255)])
def test_nothing_and_everything_have_no_confidence(level: int, marked: int) -> None:
    picture, _, _ = _picture()
    found = mask_of(picture, np.full_like(picture, level), "paint")
    assert np.all(found.alpha == marked) and found.confidence == 0.0
    same = mask_of(picture, picture, "erase")
    assert not same.alpha.any() and same.confidence == 0.0


def test_an_answer_of_other_proportions_is_reported() -> None:
    picture, truth, _ = _picture()
    answer = np.asarray(cv2.resize(np.dstack([truth] * 3), (200, 200)), np.uint8)
    rasters = {"image": Raster(picture), "answer": Raster(answer)}
    result = read(rasters, PaintedParams(), FixedWork())
    assert [one.code for one in result.findings] == ["stretched_answer"]
    assert result.image is not None
    assert _overlap(result.image.pixels[..., 0], truth) >= 0.95


def test_wrong_arguments_are_refused() -> None:
    picture = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(BadParameter, match="hand in"):
        mask_of(picture, picture[..., 0], "paint")
    with pytest.raises(BadParameter, match="answer"):
        read({"image": Raster(picture)}, PaintedParams(), FixedWork())
