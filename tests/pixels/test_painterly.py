from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, UnsupportedImage
from maquette.pixels import painterly

Pixels = NDArray[np.uint8]
BRUSHES = [name for name, kind in painterly.STYLES.items() if isinstance(kind, painterly.Brushwork)]
LINES = sorted(set(painterly.STYLES) - set(BRUSHES))


@pytest.fixture(scope="module")
def scene() -> Pixels:
    """A ball before a sloping shade: edges, smooth places and saturated colour."""
    row, column = np.mgrid[0:96, 0:128]
    shade = np.stack([90 + row, 120 + column // 2, 200 - row], axis=-1).astype(np.uint8)
    ball = np.hypot(row - 48, column - 64) < 26
    shade[ball] = (200, 60, 40)
    return shade


@pytest.mark.parametrize("style", painterly.STYLES)
def test_the_same_seed_gives_the_same_bytes(scene: Pixels, style: str) -> None:
    first, again, other = (painterly.paint(scene, style=style, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("style", ["oil", "ink"])
def test_the_number_of_threads_does_not_matter(scene: Pixels, style: str) -> None:
    import numba  # noqa: PLC0415 - loads slowly

    before = numba.get_num_threads()
    many = painterly.paint(scene, style=style)
    numba.set_num_threads(1)
    try:
        one = painterly.paint(scene, style=style)
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(one, many)


@pytest.mark.parametrize("style", painterly.STYLES)
def test_no_strength_is_identity(scene: Pixels, style: str) -> None:
    result = painterly.paint(scene, style=style, strength=0)
    assert np.array_equal(result, scene)
    assert not np.shares_memory(result, scene)


@pytest.mark.parametrize("style", painterly.STYLES)
def test_strength_grades_from_the_photograph(scene: Pixels, style: str) -> None:
    change = [
        np.abs(painterly.paint(scene, style=style, strength=strength).astype(int) - scene).mean()
        for strength in (0.02, 0.2, 1.0)
    ]
    assert change[0] < 4
    assert change == sorted(change)


@pytest.mark.parametrize("style", BRUSHES)
def test_a_painting_keeps_the_picture_recognisable(scene: Pixels, style: str) -> None:
    painting = painterly.paint(scene, style=style, strength=0.7)
    seen, original = (cv2.GaussianBlur(picture, (0, 0), 5) for picture in (painting, scene))
    assert np.abs(seen.astype(int) - original).mean() < 20
    assert np.abs(painting.astype(int) - scene).mean() > 2


@pytest.mark.parametrize("style", LINES)
def test_a_drawing_is_darker_where_the_picture_is(style: str) -> None:
    halves = np.full((96, 96, 3), 235, np.uint8)
    halves[:, 48:] = 40
    drawing = painterly.paint(halves, style=style, strength=1)
    assert drawing[:, :40].mean() > 190
    assert drawing[:, 56:].mean() < 110
    assert np.ptp(drawing.mean(axis=(0, 1))) < 20


def test_strokes_scale_with_the_picture(scene: Pixels) -> None:
    large = cv2.resize(scene, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    small = painterly.paint(scene, style="gouache", strength=1)
    reduced = cv2.resize(
        painterly.paint(np.asarray(large, np.uint8), style="gouache", strength=1),
        (scene.shape[1], scene.shape[0]),
        interpolation=cv2.INTER_AREA,
    )
    assert np.abs(small.astype(int) - reduced).mean() < 12


@settings(max_examples=12, deadline=None)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    style=st.sampled_from(sorted(painterly.STYLES)),
    strength=st.floats(0.01, 1),
)
def test_any_shape_is_painted_and_the_input_left_alone(
    rows: int, columns: int, style: str, strength: float
) -> None:
    picture = np.random.default_rng(rows).integers(0, 256, (rows, columns, 3), np.uint8)
    before = picture.copy()
    result = painterly.paint(picture, style=style, strength=strength)
    assert result.shape == picture.shape
    assert result.dtype == np.uint8
    assert np.array_equal(picture, before)


def test_an_elongated_picture_is_painted() -> None:
    assert painterly.paint(np.full((2, 3000, 3), 99, np.uint8)).shape == (2, 3000, 3)


def test_a_picture_over_the_working_size_comes_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painterly, "MOST_WORKING_PX", 4_000)
    monkeypatch.setattr(painterly, "LEAST_WORKING_PX", 1_000)
    picture = np.full((101, 77, 3), (180, 90, 30), np.uint8)
    result = painterly.paint(picture, style="oil", strength=1)
    assert result.shape == picture.shape
    assert np.abs(result.mean(axis=(0, 1)) - (180, 90, 30)).max() < 25


def test_an_unknown_style_is_told_the_nearest() -> None:
    with pytest.raises(BadParameter, match="did you mean 'watercolor'"):
        painterly.paint(np.zeros((2, 2, 3), np.uint8), style="watercolour")


@pytest.mark.parametrize("options", [{"strength": 1.5}, {"strength": float("nan")}, {"seed": -1}])
def test_bad_numbers_are_named(scene: Pixels, options: dict[str, float]) -> None:
    with pytest.raises(BadParameter, match=next(iter(options))):
        painterly.paint(scene, **options)  # pyright: ignore[reportArgumentType] - wrong on purpose


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_other_than_rgb_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedImage, match="RGB"):
        painterly.paint(np.zeros(shape, np.uint8))


def test_importing_and_style_names_cost_no_compiler() -> None:
    script = "import sys, maquette.pixels.painterly; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
