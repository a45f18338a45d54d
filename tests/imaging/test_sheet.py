from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.imaging import sheet_layout
from maquette.imaging.codec import decode, encode
from maquette.imaging.sheet import Cell, Row, Sheet, Verdict, render
from maquette.imaging.sheet_canvas import Box, Face, legible, shortened, width_of, wrapped

_SCENE = Path(__file__).parents[2] / "examples/scenes/chelsea.png"
_FACE = Face(16, (255, 255, 255))
_RED, _BLUE = (220, 30, 40), (20, 60, 230)
_DOTS: dict[Verdict, tuple[int, int, int]] = {
    "ok": (98, 205, 148),
    "soft": (244, 182, 73),
    "hard": (242, 104, 91),
}
_ACCENT = (157, 178, 255)


def plain(height_px: int, width_px: int, colour: tuple[int, ...] = _RED) -> bytes:
    return encode(np.full((height_px, width_px, len(colour)), colour, np.uint8))


def sheet_of(*cells: Cell, rows: int = 1) -> Sheet:
    row = Row("kitchen", "morning light", "succeeded", cells)
    return Sheet("villa · 7f3a", "1 scene · proof", "made with care", (row,) * rows)


def drawn(sheet: Sheet, *, tile_px: int = 96, max_columns: int = 8) -> NDArray[np.uint8]:
    return decode(render(sheet, tile_px=tile_px, max_columns=max_columns)).pixels


def where(pixels: NDArray[np.uint8], colour: tuple[int, ...], *, within: int = 0) -> Box | None:
    """Return the box around all pixels of that colour, or None."""
    far = np.abs(pixels.astype(int) - colour).max(axis=2)
    rows, columns = np.nonzero(far <= within)
    if rows.size == 0:
        return None
    top, left = int(rows.min()), int(columns.min())
    return Box(top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1)


def place(pixels: NDArray[np.uint8], colour: tuple[int, ...], *, within: int = 0) -> Box:
    box = where(pixels, colour, within=within)
    assert box is not None
    return box


def test_the_same_sheet_gives_the_same_bytes_also_after_pickling() -> None:
    sheet = sheet_of(Cell("before", _SCENE.read_bytes()), Cell("candidate 1", None, "none yet"))
    assert render(pickle.loads(pickle.dumps(sheet))) == render(sheet)  # noqa: S301 - our own bytes


def test_it_is_an_rgb_png_that_says_it_is_srgb() -> None:
    data = render(sheet_of(Cell("before", plain(40, 60))))
    assert decode(data).header.format == "png" and b"sRGB" in data
    assert decode(data).pixels.shape[2] == 3


@settings(max_examples=12)
@given(height_px=st.integers(1, 700), width_px=st.integers(1, 700))
def test_a_picture_is_whole_in_proportion_and_at_most_doubled(
    height_px: int, width_px: int
) -> None:
    pixels = drawn(sheet_of(Cell("before", plain(height_px, width_px))))
    zoom = min(96 / max(height_px, width_px), 2)
    box = place(pixels, _RED, within=2)
    # Round corners and a soft edge take nothing from the middle of each side.
    assert abs(box.height_px - max(1, height_px * zoom)) <= 1
    assert abs(box.width_px - max(1, width_px * zoom)) <= 1


def test_all_four_quarters_of_a_picture_are_seen() -> None:
    quarters = np.zeros((80, 120, 3), np.uint8)
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 0, 200)]
    for index, colour in enumerate(colours):
        quarters[index // 2 * 40 :, index % 2 * 60 :] = colour
    pixels = drawn(sheet_of(Cell("before", encode(quarters))))
    areas = [np.count_nonzero((pixels == colour).all(axis=2)) for colour in colours]
    assert min(areas) > 0.8 * 96 * 64 / 4


def test_only_the_winner_wears_the_accent() -> None:
    cells = Cell("candidate 1", plain(90, 90)), Cell("candidate 2", plain(90, 90, _BLUE))
    assert where(drawn(sheet_of(*cells)), _ACCENT) is None
    pixels = drawn(sheet_of(cells[0], replace(cells[1], chosen=True)))
    ring, loser, winner = (place(pixels, colour) for colour in (_ACCENT, _RED, _BLUE))
    assert ring.column > loser.column + loser.width_px
    assert ring.row < winner.row and ring.column < winner.column


@pytest.mark.parametrize("verdict", ["ok", "soft", "hard", "none"])
def test_each_verdict_has_its_own_dot_below_the_picture(verdict: Verdict) -> None:
    pixels = drawn(sheet_of(Cell("candidate 1", plain(90, 90, _BLUE), verdict=verdict)))
    found = {name: where(pixels, colour) for name, colour in _DOTS.items()}
    dot = found.pop(verdict, None)
    assert set(found.values()) == {None}
    picture = place(pixels, _BLUE)
    assert (dot is None) == (verdict == "none")
    assert dot is None or dot.row > picture.row + picture.height_px


def test_a_checkerboard_shows_behind_what_is_transparent() -> None:
    cutout = np.zeros((96, 96, 4), np.uint8)
    cutout[32:64, 32:64] = (*_RED, 255)
    pixels = drawn(sheet_of(Cell("background removed", encode(cutout))))
    subject = place(pixels, _RED)
    assert abs(subject.height_px - 32) <= 2
    left_of_it = pixels[subject.row : subject.row + 30, subject.column - 24 : subject.column - 4]
    assert set(np.unique(left_of_it)) == {52, 66}


@pytest.mark.parametrize("data", [None, b"", b"no picture", _SCENE.read_bytes()[:9000]])
def test_what_cannot_be_shown_is_an_empty_frame_and_the_rest_stands(data: bytes | None) -> None:
    cells = Cell("candidate 1", data, "refused by the provider", "hard"), Cell("x", plain(90, 90))
    pixels = drawn(sheet_of(*cells))
    assert place(pixels, _RED).width_px >= 90
    assert where(pixels, _DOTS["hard"]) is not None


def test_the_note_of_a_missing_picture_is_written_in_its_frame() -> None:
    told, untold = (
        drawn(sheet_of(Cell("candidate 1", None, note, "hard"), Cell("x", plain(96, 96))))
        for note in ("quota reached", "")
    )
    frame = place(told, _RED)
    rows = slice(frame.row, frame.row + frame.height_px)
    assert (told[rows] != untold[rows]).any()
    assert (told[rows.stop :] == untold[rows.stop :]).all()


def test_cells_beyond_the_last_column_go_on_below() -> None:
    cells = [Cell(f"candidate {index}", plain(60, 90)) for index in range(4)]
    cells.append(Cell("candidate 5", plain(60, 90, _BLUE)))
    pixels = drawn(sheet_of(*cells), max_columns=4)
    first, last = place(pixels, _RED), place(pixels, _BLUE)
    assert last.row > first.row + first.height_px
    assert last.column == first.column


def test_a_row_of_flat_pictures_is_lower_than_one_of_upright_ones() -> None:
    flat, upright = (drawn(sheet_of(Cell("x", plain(*size)))) for size in ((50, 90), (90, 50)))
    assert flat.shape[0] < upright.shape[0] and flat.shape[1] == upright.shape[1]


def test_type_and_spacing_grow_with_the_tile() -> None:
    sheet = sheet_of(*[Cell("before", plain(300, 300))] * 4)
    small, large = (drawn(sheet, tile_px=side_px).shape for side_px in (280, 560))
    assert large[:2] == pytest.approx((small[0] * 2, small[1] * 2), abs=8)


@pytest.mark.parametrize("rows", [0, 1, 60, 63])
def test_at_most_sixty_rows_are_laid_out_and_all_of_those(rows: int) -> None:
    layout = sheet_layout.arranged(sheet_of(Cell("x", plain(8, 8)), rows=rows), 280, 8)
    assert len(layout.bands) == min(rows, 60)


def test_the_footer_tells_of_rows_that_are_missing() -> None:
    cell = Cell("x", None)
    whole, more = (drawn(sheet_of(cell, rows=rows)) for rows in (60, 62))
    assert whole.shape == more.shape
    differing = np.nonzero((whole != more).any(axis=(1, 2)))[0]
    assert differing.min() > whole.shape[0] - 120


def test_sixty_rows_of_large_tiles_shrink_until_the_sheet_can_be_read_back() -> None:
    sheet = sheet_of(*[Cell("x", plain(90, 90))] * 12, rows=60)
    layout = sheet_layout.arranged(sheet, 1024, 12)
    assert len(layout.bands) == 60 and layout.grid.tile_px < 1024
    assert layout.height_px <= 20_000
    assert layout.height_px * layout.grid.width_px <= 40_000_000


def test_rows_that_do_not_fit_even_with_the_smallest_tiles_are_left_out() -> None:
    sheet = sheet_of(*[Cell("x", None)] * 12, rows=60)
    layout = sheet_layout.arranged(sheet, 280, 1)
    assert 0 < len(layout.bands) < 60 and layout.height_px <= 20_000


@given(text=st.text(max_size=60))
def test_text_is_one_line_and_making_it_legible_twice_changes_nothing(text: str) -> None:
    shown = legible(text)
    assert shown.splitlines() in ([shown], [])
    assert legible(shown) == shown


def test_letters_the_font_lacks_become_their_nearest_or_an_ellipsis() -> None:
    assert legible("Zażółć —\n 2\u00d7 naïve · 5°") == "Zazolc - 2x naive · 5°"
    assert legible("before 日本語 after\x00\ud800") == "before … after …"


@given(text=st.text(max_size=80), width_px=st.integers(40, 300))
def test_shortened_and_wrapped_text_fits(text: str, width_px: int) -> None:
    assert width_of(shortened(text, _FACE, width_px), _FACE) <= width_px
    lines = wrapped(text, _FACE, width_px, lines=2)
    assert len(lines) <= 2
    assert all(width_of(line, _FACE) <= width_px for line in lines)


def test_text_that_fits_is_left_whole_and_the_longest_beginning_is_kept() -> None:
    assert shortened("candidate 1", _FACE, 300) == "candidate 1"
    cut = shortened("candidate " * 9, _FACE, 120)
    kept = len(cut) - 1
    assert cut == ("candidate " * 9)[:kept].rstrip() + "…"
    assert width_of(("candidate " * 9)[: kept + 2] + "…", _FACE) > 120


def test_wrapping_keeps_every_word_that_has_room() -> None:
    assert wrapped("low contrast", _FACE, 300, lines=2) == ("low contrast",)
    assert " ".join(wrapped("one two three four", _FACE, 75, lines=3)) == "one two three four"
    assert wrapped(" ", _FACE, 75, lines=2) == ()


@settings(max_examples=8)
@given(text=st.text(max_size=40))
def test_no_text_breaks_the_sheet(text: str) -> None:
    row = Row(text, text, text, (Cell(text, None, text, "soft", chosen=True),))
    assert drawn(Sheet(text, text, text, (row,))).shape[2] == 3


@pytest.mark.parametrize("tile_px", [95, 1025])
def test_a_tile_out_of_range_is_refused(tile_px: int) -> None:
    with pytest.raises(BadParameter, match="use 96 to 1024"):
        render(sheet_of(), tile_px=tile_px)


@pytest.mark.parametrize("max_columns", [0, 17])
def test_a_number_of_columns_out_of_range_is_refused(max_columns: int) -> None:
    with pytest.raises(BadParameter, match="use 1 to 16"):
        render(sheet_of(), max_columns=max_columns)
