from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, UnsupportedImage
from maquette.pixels import style

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def warm_picture() -> Pixels:
    return clouds(1, centre=(190, 110, 60), spread=(30, 25, 20))


@pytest.fixture(scope="module")
def cold_picture() -> Pixels:
    return clouds(2, centre=(50, 80, 140), spread=(20, 30, 40))


def clouds(seed: int, centre: tuple[int, ...], spread: tuple[int, ...]) -> Pixels:
    noise = np.random.default_rng(seed).standard_normal((48, 64, 3))
    return np.clip(noise * spread + centre, 0, 255).astype(np.uint8)


def test_the_result_is_far_closer_to_the_reference_than_reinhards(
    warm_picture: Pixels, cold_picture: Pixels
) -> None:
    skewed = (255 * (cold_picture / 255.0) ** 2.2).astype(np.uint8)
    ours = style.transfer(warm_picture, [skewed], keep_luma=0)
    theirs = style.reinhard(warm_picture, skewed)
    distance = style.sliced_distance(ours, skewed)
    assert distance <= 0.3 * style.sliced_distance(theirs, skewed)
    assert distance < 0.1 * style.sliced_distance(warm_picture, skewed)


@settings(max_examples=8, deadline=None)
@given(rows=st.integers(1, 20), columns=st.integers(1, 20), count=st.integers(1, 3))
def test_any_size_and_number_of_references_leave_the_inputs_alone(
    rows: int, columns: int, count: int
) -> None:
    rng = np.random.default_rng(rows * 31 + columns)
    pictures = [rng.integers(0, 256, (rows + k, columns, 3), np.uint8) for k in range(count + 1)]
    before = [picture.copy() for picture in pictures]
    result = style.transfer(pictures[0], pictures[1:])
    assert result.shape == pictures[0].shape
    assert result.dtype == np.uint8
    assert all(np.array_equal(now, then) for now, then in zip(pictures, before, strict=True))


def test_the_same_seed_gives_the_same_bytes(warm_picture: Pixels, cold_picture: Pixels) -> None:
    first, again, other = (
        style.transfer(warm_picture, [cold_picture], seed=seed) for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_strength_is_identity(warm_picture: Pixels, cold_picture: Pixels) -> None:
    result = style.transfer(warm_picture, [cold_picture], strength=0)
    assert np.array_equal(result, warm_picture)
    assert not np.shares_memory(result, warm_picture)


def test_its_own_reference_hardly_changes_a_picture(warm_picture: Pixels) -> None:
    result = style.transfer(warm_picture, [warm_picture])
    assert np.abs(result.astype(int) - warm_picture).mean() < 4


def test_flip_commutes(warm_picture: Pixels, cold_picture: Pixels) -> None:
    # The cube is fitted on a sample, so the flipped picture is another draw of the same colours.
    plain = style.transfer(warm_picture, [cold_picture])
    flipped = style.transfer(warm_picture[:, ::-1], [cold_picture])[:, ::-1]
    assert np.abs(plain.astype(int) - flipped).mean() < 4


def test_strength_moves_steadily_towards_the_reference(
    warm_picture: Pixels, cold_picture: Pixels
) -> None:
    distances = [
        style.sliced_distance(
            style.transfer(warm_picture, [cold_picture], strength=strength), cold_picture
        )
        for strength in (0, 0.3, 0.6, 1)
    ]
    assert distances == sorted(distances, reverse=True)


def test_kept_luma_keeps_day_from_turning_into_night(warm_picture: Pixels) -> None:
    night = clouds(3, centre=(12, 14, 30), spread=(4, 4, 8))
    means = [style.transfer(warm_picture, [night], keep_luma=keep).mean() for keep in (0, 0.5, 1)]
    assert means[0] < 40
    assert means[0] + 20 < means[1] < means[2]


def test_a_ramp_stays_free_of_bands() -> None:
    levels = np.arange(256, dtype=np.uint8)
    ramp = np.repeat(np.stack([levels] * 3, axis=-1)[None], 8, axis=0)
    reference = clouds(4, centre=(150, 120, 60), spread=(30, 30, 30))
    steps = np.diff(style.transfer(ramp, [reference], keep_luma=0)[0].astype(int), axis=0)
    assert np.abs(steps).max() <= 8


def test_several_references_meet_in_the_middle(warm_picture: Pixels) -> None:
    red = np.full((8, 8, 3), (160, 60, 60), np.uint8)
    blue = np.full((20, 20, 3), (60, 60, 160), np.uint8)
    mixed = style.transfer(warm_picture, [red, blue], keep_luma=0).mean(axis=(0, 1))
    assert abs(mixed[0] - mixed[2]) < 15


def test_reinhard_matches_mean_and_deviation_in_cielab_where_nothing_clips() -> None:
    source = clouds(5, centre=(150, 110, 80), spread=(10, 8, 12))
    reference = clouds(6, centre=(90, 110, 140), spread=(5, 9, 7))
    result, wanted = (
        cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        for picture in (style.reinhard(source, reference), reference)
    )
    for statistic in (np.mean, np.std):
        gap = statistic(result, axis=(0, 1)) - statistic(wanted, axis=(0, 1))
        # OpenCV's way back from CIELAB is itself off by up to half a level of 255.
        assert np.abs(gap).max() < 0.25


def test_distance_of_two_flat_pictures_is_known() -> None:
    # The mean of |cos| over the sphere is one half.
    black, grey = np.zeros((4, 4, 3), np.uint8), np.zeros((9, 2, 3), np.uint8)
    grey[..., 0] = 100
    assert style.sliced_distance(black, black) == 0
    assert style.sliced_distance(black, grey) == pytest.approx(50, rel=0.15)
    assert style.sliced_distance(black, grey) == style.sliced_distance(grey, black)


@pytest.mark.parametrize(
    "options", [{"strength": 1.1}, {"keep_luma": -0.1}, {"strength": float("nan")}, {"seed": -1}]
)
def test_bad_numbers_are_named(warm_picture: Pixels, options: dict[str, float]) -> None:
    with pytest.raises(BadParameter, match=next(iter(options))):
        style.transfer(warm_picture, [warm_picture], **options)  # pyright: ignore[reportArgumentType] - wrong on purpose


def test_no_reference_is_refused(warm_picture: Pixels) -> None:
    with pytest.raises(BadParameter, match="at least one"):
        style.transfer(warm_picture, [])


def test_a_grey_picture_is_refused(warm_picture: Pixels) -> None:
    with pytest.raises(UnsupportedImage, match="RGB"):
        style.transfer(warm_picture, [warm_picture[..., 0]])
