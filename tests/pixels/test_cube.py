from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import BadParameter, ImageTooLarge
from maquette.pixels import cube, lut
from maquette.pixels.looks import lut_of
from maquette.pixels.lut import Lut3D

TWO = "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))


def test_red_runs_fastest() -> None:
    parsed = cube.parse(f"LUT_3D_SIZE 2\n{TWO}\n", "two.cube")
    assert np.array_equal(parsed.table, lut.identity(2).table)


def test_comments_blank_lines_titles_and_a_byte_order_mark_are_read() -> None:
    text = (
        f'\ufeff# made by hand\r\n\r\nTITLE "a # b"\r\nLUT_3D_SIZE 2 # small\r\n{TWO}\r\n\r\n# end'
    )
    assert cube.parse(text, "two.cube").size == 2


def test_the_domain_is_read() -> None:
    text = f"DOMAIN_MIN -0.5 0 0.1\nDOMAIN_MAX 1.5 1 0.9\nLUT_3D_SIZE 2\n{TWO}"
    parsed = cube.parse(text, "two.cube")
    assert parsed.domain_min == (-0.5, 0.0, 0.1)
    assert parsed.domain_max == (1.5, 1.0, 0.9)


def test_the_input_range_of_resolve_is_read() -> None:
    parsed = cube.parse(f"LUT_3D_SIZE 2\nLUT_3D_INPUT_RANGE 0 4\n{TWO}", "two.cube")
    assert (parsed.domain_min, parsed.domain_max) == ((0.0,) * 3, (4.0,) * 3)


def test_curves_become_a_cube() -> None:
    rows = "\n".join(f"{x} {x * x} {1 - x}" for x in np.linspace(0, 1, 256))
    parsed = cube.parse(f"LUT_1D_SIZE 256\n{rows}", "curves.cube")
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    x = np.arange(256) / 255
    expected = 255 * np.stack([x, x * x, 1 - x], axis=-1)
    assert np.abs(lut.apply(ramp, parsed)[0] - expected).max() <= 1


def test_curves_keep_their_domain() -> None:
    parsed = cube.parse("LUT_1D_SIZE 2\nDOMAIN_MAX 2 2 2\n0 0 0\n1 1 1", "curves.cube")
    assert parsed.domain_max == (2.0, 2.0, 2.0)
    assert lut.sample(parsed, np.ones((1, 3), np.float32)) == pytest.approx(0.5, abs=1e-6)


@given(
    st.integers(2, 6),
    st.integers(0, 2**32 - 1),
    st.text(
        st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters='"'), max_size=20
    ),
)
@settings(max_examples=30)
def test_what_is_written_is_read_back_to_the_last_bit(size: int, seed: int, title: str) -> None:
    rng = np.random.default_rng(seed)
    table = rng.normal(0.5, 0.7, (size, size, size, 3)).astype(np.float32)
    written = Lut3D(table, (-0.25, 0.0, 0.125), (1.5, 2.0, 1.0))
    read = cube.parse(cube.render(written, title), "again.cube")
    assert np.array_equal(read.table, written.table)
    assert (read.domain_min, read.domain_max) == (written.domain_min, written.domain_max)


def test_a_look_survives_the_trip() -> None:
    written = lut_of("cinematic_warm")
    text = cube.render(written, "Cinematic warm")
    assert text.splitlines()[0] == 'TITLE "Cinematic warm"'
    assert np.array_equal(cube.parse(text, "warm.cube").table, written.table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LUT_3D_SIZE 1", "line 1: the size '1' is not a whole number from 2 to 256"),
        ("LUT_3D_SIZE 257", "line 1: the size '257'"),
        ("LUT_3D_SIZE two", "line 1: the size 'two'"),
        ("LUT_1D_SIZE 65537", "from 2 to 65536"),
        ("\n0 0 0", "line 2: a colour stands above LUT_3D_SIZE"),
        (f"LUT_3D_SIZE 2\n{TWO}\n0 0 0", "line 10: there are more than 8 colours"),
        ("LUT_3D_SIZE 2\n0 0 0", "line 2: the file ends after 1 of 8 colours"),
        ("LUT_3D_SIZE 2\n0 0", "line 2: '0 0' should be 3 finite numbers"),
        ("LUT_3D_SIZE 2\n0 0 nan", "line 2: 'nan' is|line 2: '0 0 nan' should be"),
        ("LUT_3D_SIZE 2\n0 0 1e999", "line 2: '0 0 1e999' should be"),
        ("LUT_3D_SIZE 2\n0 zero 0", "line 2: '0 zero 0' should be"),
        ("LUT_3D_SIZE 2\n0 0 0\nDOMAIN_MIN 0 0 0", "line 3: DOMAIN_MIN stands after"),
        ("LUT_3D_SIZE 2\nLUT_1D_SIZE 2", "line 2: a second size"),
        ("LUT_IN_VIDEO_RANGE", "line 1: 'LUT_IN_VIDEO_RANGE' is no keyword known here"),
        ('TITLE "nothing"', "LUT_3D_SIZE or LUT_1D_SIZE is missing"),
    ],
)
def test_errors_name_the_file_and_the_line(text: str, message: str) -> None:
    with pytest.raises(BadParameter, match=message) as caught:
        cube.parse(text, "bad.cube")
    assert "'bad.cube'" in str(caught.value)


def test_an_empty_domain_is_refused() -> None:
    with pytest.raises(BadParameter, match="domain"):
        cube.parse(f"DOMAIN_MAX 0 1 1\nLUT_3D_SIZE 2\n{TWO}", "bad.cube")


def test_a_cube_over_the_limit_is_refused_before_its_colours_are_read() -> None:
    with pytest.raises(ImageTooLarge, match=r"130.*129"):
        cube.parse("LUT_3D_SIZE 130\nnot even numbers", "huge.cube")


@pytest.mark.parametrize("title", ['a "quoted" word', "two\nlines", "ends\n"])
def test_a_title_that_the_format_cannot_hold_is_refused(title: str) -> None:
    with pytest.raises(BadParameter, match="title"):
        cube.render(lut.identity(2), title)
