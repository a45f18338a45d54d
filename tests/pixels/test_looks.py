from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.pixels import lut
from maquette.pixels.looks import LOOKS, Look, look, lut_of

every_look = pytest.mark.parametrize("chosen", LOOKS.values(), ids=list(LOOKS))


def greys(chosen: Look) -> NDArray[np.float32]:
    ramp = np.linspace(0, 1, 256)
    return chosen.function(np.repeat(ramp[:, None], 3, axis=1).astype(np.float32))


@every_look
def test_the_cube_meets_the_function_within_two_levels(chosen: Look) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    exact = 255 * chosen.function((pixels / 255).astype(np.float32))
    assert np.abs(lut.apply(pixels, lut_of(chosen.name)) - exact).max() <= 2


@every_look
def test_no_colour_leaves_the_range(chosen: Look) -> None:
    table = lut_of(chosen.name).table
    assert table.min() >= -1e-6
    assert table.max() <= 1 + 1e-6


@every_look
def test_brighter_greys_stay_brighter_so_that_nothing_bands_or_inverts(chosen: Look) -> None:
    toned = greys(chosen)
    assert (np.diff(toned.mean(axis=1)) > 0).all()
    assert (np.diff(toned, axis=0) >= -1e-6).all()


@every_look
def test_black_stays_dark_and_white_stays_light(chosen: Look) -> None:
    toned = greys(chosen)
    assert toned[0].max() < 0.1
    assert toned[-1].min() > 0.9


@every_look
def test_a_face_stays_a_face(chosen: Look) -> None:
    skin = np.array([[[224, 172, 140], [141, 85, 54], [255, 219, 190]]], np.uint8)
    red, green, blue = np.moveaxis(lut.apply(skin, lut_of(chosen.name)).astype(int), -1, 0)
    if chosen.name == "moonlight":
        assert (red >= green - 12).all()
    else:
        assert (red >= green).all()
        assert (green >= blue).all()


@every_look
def test_the_input_is_untouched_and_the_type_is_kept(chosen: Look) -> None:
    colours = np.random.default_rng(1).random((6, 5, 3)).astype(np.float32)
    before = colours.copy()
    toned = chosen.function(colours)
    assert np.array_equal(colours, before)
    assert (toned.dtype, toned.shape) == (np.float32, colours.shape)


def test_noir_is_grey_and_sepia_is_brown() -> None:
    assert np.ptp(lut_of("noir").table, axis=-1).max() == 0
    red, green, blue = np.moveaxis(greys(look("sepia"))[32:224], -1, 0)
    assert (red > green).all() and (green > blue).all()


def test_cinematic_warm_warms_the_lights_and_cools_the_shadows() -> None:
    toned = greys(look("cinematic_warm"))
    warmth = toned[:, 0] - toned[:, 2]
    assert warmth[190] > 0.05
    assert warmth[50] < -0.01


def test_teal_orange_parts_skin_from_sky() -> None:
    skin, sky = look("teal_orange").function(
        np.array([[0.85, 0.62, 0.5], [0.45, 0.55, 0.7]], np.float32)
    )
    assert skin[0] - skin[2] > 0.35
    assert sky[0] < 0.42


def test_there_are_ten_looks_each_under_its_own_name_and_described() -> None:
    assert len(LOOKS) >= 10
    assert "cinematic_warm" in LOOKS
    assert all(name == each.name for name, each in LOOKS.items())
    assert len({each.description for each in LOOKS.values()}) == len(LOOKS)


def test_looks_differ_visibly() -> None:
    names = list(LOOKS)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert np.abs(lut_of(one).table - lut_of(other).table).max() > 8 / 255


def test_a_cube_is_made_once() -> None:
    assert lut_of("vivid") is lut_of("vivid")


def test_an_unknown_look_suggests_the_nearest() -> None:
    with pytest.raises(BadParameter, match=r"'cinematic_wram'.*'cinematic_warm'"):
        look("cinematic_wram")
    with pytest.raises(BadParameter, match="choose one of clean"):
        lut_of("????")
