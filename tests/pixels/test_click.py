"""WEB-11: clicks become masks, on pictures whose truth is known."""

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
from maquette.pixels.click import thing
from maquette.pixels.hints import Hints
from maquette.pixels.matte import composite

Pixels = NDArray[np.uint8]
_SCENES = Path(__file__).parents[2] / "examples/scenes"


def _scene(name: str, side: int = 256) -> Pixels:
    photo = Image.open(_SCENES / name).convert("RGB")
    return np.asarray(photo.resize((side, side), Image.Resampling.LANCZOS))


def _blob(rng: np.random.Generator, side: int, radius: float) -> Pixels:
    angle = np.linspace(0, 2 * np.pi, 160)
    reach = np.full(160, radius * side)
    for k in (1, 2, 3):
        reach += radius * side * rng.uniform(0, 0.18) / k * np.sin(k * angle + rng.uniform(0, 7))
    middle = rng.uniform(0.35, 0.65, 2) * side
    outline = np.stack([np.cos(angle), np.sin(angle)], -1) * reach[:, None] + middle
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 255, cv2.LINE_AA)
    return mask


def _things(seed: int, side: int = 256) -> tuple[Pixels, Pixels]:
    """Paint three things of one colour each on a gradient with noise; return the last one too."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, side)[:, None, None] * rng.uniform(0, 60, 3)
    canvas = np.broadcast_to(ramp + rng.uniform(60, 160, 3), (side, side, 3))
    last = np.zeros((side, side), np.uint8)
    for colour in rng.permutation(np.array([(215, 30, 30), (25, 60, 220), (20, 150, 40)])):
        last = _blob(rng, side, rng.uniform(0.08, 0.16))
        over = last[..., None] / 255
        canvas = canvas * (1 - over) + colour * over
    noisy = canvas + rng.normal(0, 5, canvas.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), last


def _patch(seed: int) -> tuple[Pixels, Pixels]:
    """Lay a piece of one photograph over another: both sides have every colour and edges inside."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(["chelsea.png", "coffee.png", "astronaut.png"])
    mask = _blob(rng, 256, rng.uniform(0.15, 0.28))
    return composite(_scene(names[0]), _scene(names[1]), mask), mask


def _inner(mask: Pixels) -> tuple[int, int]:
    depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(np.argmax(depth)), mask.shape)
    return int(row), int(column)


def _around(mask: Pixels, margin: int = 5) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask > 127)
    return (
        max(0, int(rows.min()) - margin),
        max(0, int(columns.min()) - margin),
        min(mask.shape[0], int(rows.max()) + margin),
        min(mask.shape[1], int(columns.max()) + margin),
    )


def _overlap(first: Pixels, second: Pixels) -> float:
    ours, theirs = first > 127, second > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


@pytest.mark.parametrize("seed", range(4))
def test_one_click_finds_a_thing_of_one_colour(seed: int) -> None:
    picture, truth = _things(seed)
    found = thing(picture, Hints([_inner(truth)]))
    assert _overlap(found.alpha, truth) >= 0.98
    assert found.confidence > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_a_box_finds_a_thing_of_many_colours(seed: int) -> None:
    picture, truth = _patch(seed)
    found = thing(picture, Hints([_inner(truth)], box=_around(truth)))
    assert _overlap(found.alpha, truth) >= 0.85
    alone = thing(picture, Hints(box=_around(truth)))
    assert _overlap(alone.alpha, truth) >= 0.75
    top, left, bottom, right = _around(truth)
    outside = found.alpha.copy()
    outside[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4] = 0
    assert not outside.any()


def test_poor_masks_are_not_trusted() -> None:
    """One click on a piece of a photograph cannot know where it ends, and says so."""
    doubted: list[bool] = []
    for seed in range(6):
        picture, truth = _patch(seed)
        found = thing(picture, Hints([_inner(truth)]))
        if _overlap(found.alpha, truth) < 0.7:
            doubted.append(found.confidence < 0.5)
    assert len(doubted) >= 3 and np.mean(doubted) >= 0.7


def _twins() -> Pixels:
    """Draw two discs of the same colour that touch."""
    picture = np.full((160, 240, 3), (60, 80, 120), np.uint8)
    for column in (80, 158):
        cv2.circle(picture, (column, 80), 40, (220, 150, 40), -1, cv2.LINE_AA)
    noise = np.random.default_rng(2).normal(0, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_a_click_outside_holds_the_mask_back() -> None:
    picture = _twins()
    both = thing(picture, Hints([(80, 80)])).alpha
    one = thing(picture, Hints([(80, 80)], [(80, 158)])).alpha
    assert both[80, 158] > 127 and one[80, 158] == 0
    assert both[80, 80] > 127 and one[80, 80] > 127
    assert (one > 127).sum() < 0.7 * (both > 127).sum()


def test_more_clicks_add_more_things() -> None:
    picture = np.full((120, 200, 3), 40, np.uint8)
    picture[30:90, 20:80] = (200, 40, 40)
    picture[30:90, 120:180] = (40, 60, 220)
    one = thing(picture, Hints([(60, 50)])).alpha
    two = thing(picture, Hints([(60, 50), (60, 150)])).alpha
    assert one[60, 50] == 255 and one[60, 150] == 0
    assert two[60, 50] == 255 and two[60, 150] == 255 and two[60, 100] == 0


def test_the_cup_in_a_box_has_its_saucer() -> None:
    """A box with a click in it, on a photograph."""
    picture = np.asarray(Image.open(_SCENES / "coffee.png").convert("RGB"))
    alpha = thing(picture, Hints([(150, 250)], box=(15, 60, 390, 520))).alpha
    assert alpha[150, 250] == 255 and alpha[320, 200] == 255 and alpha[220, 110] == 255
    assert alpha[:, :50].max() == 0 and alpha[20, 80] == 0


def test_the_face_is_found_by_one_click() -> None:
    alpha = thing(_scene("astronaut.png", 512), Hints([(110, 225)])).alpha
    assert alpha[90:140, 205:245].mean() > 230
    assert alpha[:150, 330:].mean() < 5 and alpha[300:].mean() < 5


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_picture_has_the_mirrored_mask(axis: int) -> None:
    picture, truth = _things(3)
    row, column = _inner(truth)
    mirrored = (255 - row, column) if axis == 0 else (row, 255 - column)
    straight = thing(picture, Hints([(row, column)])).alpha
    flipped = thing(np.flip(picture, axis).copy(), Hints([mirrored])).alpha
    assert _overlap(np.flip(flipped, axis), straight) >= 0.97


def test_same_clicks_same_bytes_whatever_ran_before() -> None:
    picture, truth = _patch(1)
    hints = Hints([_inner(truth)], [(2, 2)], None)
    first = thing(picture, hints, seed=4)
    cv2.setRNGSeed(99)
    thing(_things(2)[0], Hints([(9, 9)]), seed=8)
    second = thing(picture, hints, seed=4)
    assert np.array_equal(first.alpha, second.alpha) and first.confidence == second.confidence


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 70),
    kind=st.sampled_from(["noise", "plain", "half", "dot"]),
    seed=st.integers(0, 2**31),
    boxed=st.booleans(),
)
def test_no_picture_raises(rows: int, columns: int, kind: str, seed: int, *, boxed: bool) -> None:
    rng = np.random.default_rng(seed)
    picture = np.zeros((rows, columns, 3), np.uint8)
    if kind == "noise":
        picture = rng.integers(0, 256, picture.shape, np.uint8)
    elif kind == "half":
        picture[: rows // 2] = 255
    elif kind == "dot":
        picture[seed % rows, seed % columns] = 255
    before = picture.copy()
    inside = [(int(rng.integers(rows)), int(rng.integers(columns))) for _ in range(2)]
    outside = [(int(rng.integers(rows)), int(rng.integers(columns)))]
    box = (0, 0, rows, columns) if boxed else None
    found = thing(picture, Hints(inside, outside, box), seed=seed)
    assert found.alpha.shape == (rows, columns) and found.alpha.dtype == np.uint8
    assert 0.0 <= found.confidence <= 1.0
    assert np.array_equal(picture, before)


WRONG = [
    (Hints([(20, 5)]), "x=5, y=20 lies outside the picture of 30x20"),
    (Hints([(5, 30)]), "x=30, y=5 lies outside"),
    (Hints([(5, 5)], [(-1, 5)]), "x=5, y=-1 lies outside"),
    (Hints([(5, 5)], box=(0, 0, 21, 30)), "leaves the picture of 30x20"),
    (Hints([(5, 5)], box=(9, 3, 9, 20)), "empty or leaves"),
    (Hints([(5, 5)], box=(10, 10, 20, 20)), "x=5, y=5 is wanted but lies outside the box"),
    (Hints((), [(5, 5)]), "Nothing was pointed at"),
]


@pytest.mark.parametrize(("hints", "words"), WRONG)
def test_what_is_not_in_the_picture_is_refused(hints: Hints, words: str) -> None:
    with pytest.raises(BadParameter, match=words):
        thing(np.zeros((20, 30, 3), np.uint8), hints)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(BadParameter, match="hand in"):
        thing(np.zeros((20, 20), np.uint8), Hints([(1, 1)]))
    with pytest.raises(BadParameter, match="-2"):
        thing(np.zeros((20, 20, 3), np.uint8), Hints([(1, 1)]), seed=-2)


def test_importing_does_not_load_numba() -> None:
    code = "import sys, maquette.pixels.click; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
