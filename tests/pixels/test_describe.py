"""Colours, light and arrangement, measured on pictures whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.core.scene import Box
from maquette.pixels.colour_names import NAMES, name_of, oklab, parsed
from maquette.pixels.describe import box_of, composition, light, regions
from maquette.pixels.palette import monochrome, palette

Pixels = NDArray[np.uint8]

PICTURES = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)), fill=st.just(90)
)


def bands(share: float, above: tuple[int, int, int], below: tuple[int, int, int]) -> Pixels:
    """Two colours with a level edge at a share of the height."""
    picture = np.empty((200, 300, 3), np.uint8)
    edge = round(200 * share)
    picture[:edge], picture[edge:] = above, below
    return picture


def ramp(down: float, right: float) -> Pixels:
    """Grey that gets lighter downwards and to the right."""
    rows, columns = np.mgrid[-1:1:120j, -1:1:160j]
    grey = np.clip(128 + 100 * (down * rows + right * columns), 0, 255)
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def noisy(picture: Pixels, amount: float = 6) -> Pixels:
    noise = np.random.default_rng(1).normal(0, amount, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.7])
def test_two_colours_are_told_with_their_shares(share: float) -> None:
    first, second = palette(bands(share, (216, 38, 30), (24, 42, 82)))[:2]
    told = {first.name: first.share, second.name: second.share}
    assert told == {
        "red": pytest.approx(share, abs=0.015),
        "navy blue": pytest.approx(1 - share, abs=0.015),
    }
    assert {first.colour, second.colour} == {"#d8261e", "#182a52"}


def test_small_pictures_are_counted_exactly() -> None:
    picture = np.full((10, 10, 3), 250, np.uint8)
    picture[:3] = (10, 10, 10)
    assert [one.share for one in palette(picture)] == [0.7, 0.3]


def test_noise_makes_no_new_colours() -> None:
    assert len(palette(noisy(bands(0.5, (200, 60, 40), (40, 60, 160))))) == 2


def test_a_small_accent_is_told_beside_large_shades() -> None:
    grey = np.linspace(60, 200, 200)[:, None, None]
    picture = np.broadcast_to(grey, (200, 300, 3)).astype(np.uint8)
    picture[90:115, 140:165] = (216, 38, 30)
    assert "red" in {one.name for one in palette(picture)}


@settings(max_examples=40, deadline=None)
@given(PICTURES, st.integers(1, 16), st.integers(0, 2**31 - 1))
def test_a_palette_covers_the_picture(picture: Pixels, count: int, seed: int) -> None:
    before = picture.copy()
    found = palette(picture, count=count, seed=seed)
    assert 1 <= len(found) <= count
    assert sum(one.share for one in found) == pytest.approx(1)
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    assert found == palette(picture, count=count, seed=seed)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize(("name", "colour"), NAMES.items())
def test_every_name_is_the_name_of_its_own_colour(name: str, colour: str) -> None:
    assert name_of(parsed(colour)) == name


def test_lightness_agrees_with_that_of_cielab() -> None:
    """Ottosson's toe is made for this: middle grey, L* 50, is sRGB 119."""
    assert oklab((0, 0, 0))[0] == pytest.approx(0, abs=1e-6)
    assert oklab((119, 119, 119))[0] == pytest.approx(0.5, abs=0.01)
    assert oklab((255, 255, 255))[0] == pytest.approx(1, abs=1e-3)
    assert np.abs(oklab((80, 80, 80))[1:]).max() < 1e-3


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.0, 0.9, 0.75)], ids=["grey", "sepia"])
def test_shades_of_one_faint_colour_are_monochrome(tint: tuple[float, float, float]) -> None:
    assert monochrome((ramp(0.4, 0.5) * np.array(tint)).astype(np.uint8))


def test_colours_are_not_monochrome() -> None:
    assert not monochrome(bands(0.5, (200, 60, 40), (40, 60, 160)))


@pytest.mark.parametrize(
    ("grey", "key"), [(20, "low"), (60, "low"), (119, "middle"), (230, "high")]
)
def test_the_key_is_that_of_the_middle_tone(grey: int, key: str) -> None:
    found = light(np.full((60, 80, 3), grey, np.uint8))
    assert found.key == key
    assert (found.contrast, found.spread, found.direction) == ("flat", 0, "even")


@pytest.mark.parametrize(
    ("dark", "bright", "contrast"),
    [(110, 120, "flat"), (90, 150, "soft"), (50, 200, "normal"), (5, 250, "strong")],
)
def test_contrast_is_the_span_between_dark_and_bright(
    dark: int, bright: int, contrast: str
) -> None:
    assert light(bands(0.5, (bright, bright, bright), (dark, dark, dark))).contrast == contrast


@pytest.mark.parametrize(
    ("cast", "temperature"),
    [((1.0, 0.8, 0.55), "warm"), ((1.0, 1.0, 1.0), "neutral"), ((0.7, 0.85, 1.0), "cool")],
)
def test_the_cast_of_the_light_is_told(cast: tuple[float, float, float], temperature: str) -> None:
    scene = noisy(ramp(0.3, 0.3), 20) * np.array(cast)
    assert light(scene.astype(np.uint8)).temperature == temperature


def test_a_few_warm_lamps_do_not_make_a_night_warm() -> None:
    night = np.full((100, 100, 3), (20, 40, 80), np.uint8)
    night[10:14, 10:60] = (255, 190, 90)
    assert light(night).temperature == "cool"


@pytest.mark.parametrize(
    ("down", "right", "direction"),
    [(-1, 0, "above"), (1, 0, "below"), (0, -1, "left"), (0, 1, "right"), (-1, 1, "above right")],
)
def test_light_comes_from_the_brighter_side(down: float, right: float, direction: str) -> None:
    found = light(noisy(ramp(down, right)))
    assert found.direction == direction
    assert found.direction_confidence > 0.8


def test_a_bright_rim_is_light_from_behind() -> None:
    down, right = np.mgrid[-1:1:100j, -1:1:100j]
    grey = np.clip(40 + 110 * (down**2 + right**2), 0, 255)
    found = light(np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8))
    assert found.direction == "behind"


@pytest.mark.parametrize("at", [0.3, 0.4, 0.5, 0.72])
def test_a_horizon_is_found_where_it_is(at: float) -> None:
    scene = noisy(bands(at, (150, 190, 230), (60, 80, 40)), 10)
    found = composition(scene).horizon
    assert found == pytest.approx(at, abs=0.02)


def test_a_slightly_tilted_horizon_is_found() -> None:
    rows, columns = np.mgrid[0:200, 0:300]
    above = rows < 80 + columns * 0.05
    scene = np.where(above[..., None], (150, 190, 230), (60, 80, 40)).astype(np.uint8)
    assert composition(scene).horizon == pytest.approx(87 / 200, abs=0.04)


def test_where_there_is_no_horizon_none_is_told() -> None:
    assert composition(ramp(0, 1)).horizon is None
    assert composition(noisy(np.full((100, 150, 3), 128, np.uint8), 30)).horizon is None
    assert composition(bands(0.5, (90, 90, 90), (92, 92, 92))).horizon is None


def test_a_post_is_no_horizon() -> None:
    scene = np.full((200, 300, 3), 200, np.uint8)
    scene[100:, 120:180] = 20
    assert composition(scene).horizon is None


@pytest.mark.parametrize(
    ("size", "aspect"),
    [
        ((100, 100), "square"),
        ((100, 150), "3:2 landscape"),
        ((150, 100), "2:3 portrait"),
        ((90, 160), "16:9 landscape"),
        ((160, 90), "9:16 portrait"),
        ((100, 1000), "3:1 landscape"),
    ],
)
def test_the_aspect_is_the_nearest_usual_one(size: tuple[int, int], aspect: str) -> None:
    found = composition(np.zeros((*size, 3), np.uint8))
    assert found.aspect == aspect
    assert found.ratio == pytest.approx(size[1] / size[0])


@pytest.mark.parametrize(
    ("box", "layout"),
    [
        (Box(left=0.4, top=0.4, right=0.6, bottom=0.6), "centred"),
        (Box(left=0.2, top=0.4, right=0.4, bottom=0.6), "left third"),
        (Box(left=0.6, top=0.1, right=0.8, bottom=0.4), "upper right third"),
        (Box(left=0.4, top=0.6, right=0.6, bottom=1.0), "centred, lower half"),
    ],
)
def test_the_layout_is_where_the_subject_is(box: Box, layout: str) -> None:
    assert composition(np.zeros((60, 60, 3), np.uint8), box).layout == layout


def test_a_mirrored_picture_is_symmetrical_and_a_slope_is_not() -> None:
    half = np.random.default_rng(5).integers(0, 256, (60, 8, 3), np.uint8)
    half = np.repeat(np.repeat(half, 4, axis=1), 2, axis=0)
    assert composition(np.concatenate([half, half[:, ::-1]], axis=1)).symmetry > 0.95
    assert composition(ramp(0, 1)).symmetry < 0.05
    assert composition(np.zeros((50, 50, 3), np.uint8)).symmetry == 1


def test_a_busy_part_and_calm_parts_are_told() -> None:
    scene = np.full((300, 300, 3), 180, np.uint8)
    scene[:100, 200:] = np.random.default_rng(2).integers(0, 256, (100, 100, 3), np.uint8)
    found = regions(scene)
    busy = [one for one in found if one.kind == "busy"]
    calm = {one.where for one in found if one.kind == "calm"}
    assert [one.where for one in busy] == ["upper right"]
    assert "lower left" in calm and "upper right" not in calm


def test_a_subject_is_boxed() -> None:
    down, right = np.mgrid[0:200, 0:300]
    disc = ((down - 100) ** 2 + (right - 170) ** 2 < 50**2)[..., None]
    scene = noisy(np.where(disc, (200, 50, 40), (60, 90, 130)).astype(np.uint8), 4)
    subject = next(one for one in regions(scene) if one.kind == "subject")
    expected = np.array([120 / 300, 50 / 200, 220 / 300, 150 / 200])
    box = subject.box
    assert np.abs(np.array([box.left, box.top, box.right, box.bottom]) - expected).max() < 0.03
    assert subject.where == "centre"


def test_nothing_stands_out_of_noise() -> None:
    plain = noisy(np.full((90, 120, 3), 128, np.uint8), 2)
    assert all(one.kind == "calm" for one in regions(plain))


def test_an_empty_mask_is_all_of_the_picture() -> None:
    assert box_of(np.zeros((4, 4), bool)) == Box(left=0, top=0, right=1, bottom=1)


@settings(max_examples=25, deadline=None)
@given(PICTURES)
def test_any_picture_is_measured_and_left_alone(picture: Pixels) -> None:
    before = picture.copy()
    assert light(picture) == light(picture)
    assert composition(picture) == composition(picture)
    assert regions(picture) == regions(picture)
    assert np.array_equal(picture, before)


@settings(max_examples=25, deadline=None)
@given(PICTURES)
def test_mirroring_turns_only_what_has_a_side(picture: Pixels) -> None:
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    one, other = light(picture), light(mirrored)
    assert (one.key, one.contrast, one.temperature) == (
        other.key,
        other.contrast,
        other.temperature,
    )
    assert one.spread == pytest.approx(other.spread, abs=1e-6)
    assert composition(mirrored).aspect == composition(picture).aspect


@pytest.mark.parametrize("measure", [palette, monochrome, light, regions, composition])
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "four channels", "floats", "empty"],
)
def test_what_is_no_picture_is_refused(measure: object, wrong: Pixels) -> None:
    assert callable(measure)
    with pytest.raises(BadParameter):
        measure(wrong)


@pytest.mark.parametrize("more", [{"count": 0}, {"count": 17}, {"seed": -1}])
def test_a_palette_of_no_or_too_many_colours_is_refused(more: dict[str, int]) -> None:
    with pytest.raises(BadParameter):
        palette(np.zeros((4, 4, 3), np.uint8), **more)
