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
from maquette.pixels.matte import composite
from maquette.pixels.segment import foreground

_SCENES = Path(__file__).parents[2] / "examples/scenes"
_PLAIN = [(128, 134, 140), (40, 60, 130), (244, 244, 240)]


def _scene(name: str, side: int = 256) -> NDArray[np.uint8]:
    photo = Image.open(_SCENES / name).convert("RGB")
    return np.asarray(photo.resize((side, side), Image.Resampling.LANCZOS))


def _subject(side: int = 256) -> NDArray[np.uint8]:
    mask = np.zeros((side, side), np.uint8)
    cv2.ellipse(mask, (128, 160), (62, 52), 0, 0, 360, 255, -1)
    cv2.ellipse(mask, (154, 84), (30, 38), 20, 0, 360, 255, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.7), np.uint8)


def _overlap(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    ours, theirs = first > 127, second > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


def _before(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).normal(0, 4, (256, 256, 3))
    backdrop = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    return composite(_scene("chelsea.png"), backdrop, _subject())


@pytest.mark.parametrize("colour", _PLAIN)
def test_a_subject_before_a_plain_backdrop_is_found_and_trusted(
    colour: tuple[int, int, int],
) -> None:
    found = foreground(_before(colour))
    assert _overlap(found.alpha, _subject()) >= 0.95
    assert found.confidence > 0.8


def test_a_subject_made_of_its_own_background_is_not_trusted() -> None:
    texture = _scene("chelsea.png")
    hidden = composite(np.roll(texture, 60, axis=(0, 1)), texture, _subject())
    found = foreground(hidden)
    assert _overlap(found.alpha, _subject()) < 0.7
    assert found.confidence < 0.5


def test_confidence_falls_as_subject_and_backdrop_grow_alike() -> None:
    texture = _scene("chelsea.png").astype(np.float32)
    plain = np.array((40, 60, 130), np.float32)
    trust: list[float] = []
    for likeness in (0.7, 0.8, 0.9):
        backdrop = (plain + likeness * (np.roll(texture, 60, axis=1) - plain)).astype(np.uint8)
        trust.append(
            foreground(composite(texture.astype(np.uint8), backdrop, _subject())).confidence
        )
    assert trust[0] > trust[1] > trust[2]


def test_the_astronaut_keeps_her_head_and_loses_the_backdrop() -> None:
    alpha = foreground(_scene("astronaut.png", 512)).alpha
    face, neck, chest = alpha[90:140, 205:245], alpha[178:192, 215:240], alpha[320:420, 120:230]
    assert face.mean() > 250 and neck.mean() > 250 and chest.mean() > 250
    assert alpha[:150, 330:].mean() < 5 and alpha[:150, :80].mean() < 5


def test_the_cup_keeps_its_saucer() -> None:
    alpha = foreground(np.asarray(Image.open(_SCENES / "coffee.png").convert("RGB"))).alpha
    assert alpha[150, 250] == 255 and alpha[320, 200] == 255 and alpha[220, 110] == 255
    assert alpha[:, :50].mean() < 5 and alpha[:, 510:].mean() < 5


@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (200, 3), (15, 15), (700, 20)])
def test_a_uniform_or_tiny_picture_is_kept_whole_without_confidence(
    shape: tuple[int, int],
) -> None:
    found = foreground(np.full((*shape, 3), 77, np.uint8))
    assert found.alpha.shape == shape and np.all(found.alpha == 255)
    assert found.confidence == 0.0


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["noise", "half", "dot", "ramp", "black and white"]),
    st.integers(0, 2**31),
)
def test_no_picture_raises(rows: int, columns: int, kind: str, seed: int) -> None:
    pixels = np.zeros((rows, columns, 3), np.uint8)
    if kind == "noise":
        pixels = np.random.default_rng(seed).integers(0, 256, pixels.shape, np.uint8)
    elif kind == "half":
        pixels[: rows // 2] = 255
    elif kind == "dot":
        pixels[seed % rows, seed % columns] = 255
    elif kind == "ramp":
        pixels[:] = np.linspace(0, 255, columns, dtype=np.uint8)[:, None]
    else:
        pixels[np.random.default_rng(seed).random((rows, columns)) > 0.5] = 255
    before = pixels.copy()
    found = foreground(pixels, seed=seed)
    assert found.alpha.shape == (rows, columns) and found.alpha.dtype == np.uint8
    assert 0.0 <= found.confidence <= 1.0
    assert np.array_equal(pixels, before)


def test_same_seed_same_bytes_whatever_ran_before() -> None:
    pixels = _scene("coffee.png")
    first = foreground(pixels, seed=3)
    cv2.setRNGSeed(99)
    foreground(_scene("astronaut.png"), seed=8)
    second = foreground(pixels, seed=3)
    assert np.array_equal(first.alpha, second.alpha) and first.confidence == second.confidence


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(BadParameter, match="hand in"):
        foreground(np.zeros((20, 20), np.uint8))
    with pytest.raises(BadParameter, match="-2"):
        foreground(np.zeros((20, 20, 3), np.uint8), seed=-2)


def test_importing_does_not_load_numba() -> None:
    code = "import sys, maquette.pixels.segment; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
