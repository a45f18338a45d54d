"""The contact sheet of a run: one picture with a row of pictures for each scene."""

from __future__ import annotations

from collections.abc import Mapping

from maquette.core.errors import BadParameter, ImageTooLarge, UnsupportedImage
from maquette.imaging.codec import decode, encode
from maquette.imaging.sheet_canvas import (
    BRIGHT,
    CARD,
    CHIP,
    MEDIUM,
    QUIET,
    WELL,
    Box,
    Canvas,
    Colour,
    shortened,
    width_of,
    wrapped,
)
from maquette.imaging.sheet_layout import (
    SMALLEST_TILE_PX,
    Band,
    Cell,
    Grid,
    Layout,
    Row,
    Sheet,
    Tile,
    Verdict,
    arranged,
)

__all__ = ["Cell", "Row", "Sheet", "Verdict", "render"]

_ACCENT: Colour = (157, 178, 255)
_DOTS: Mapping[Verdict, Colour] = {
    "ok": (98, 205, 148),
    "soft": (244, 182, 73),
    "hard": (242, 104, 91),
}
_LARGEST_TILE_PX = 1024
_MOST_COLUMNS = 16
_TICK = ((0.28, 0.52), (0.44, 0.68), (0.72, 0.35))
_RIDGE = ((0.14, 0.74), (0.36, 0.44), (0.52, 0.64), (0.66, 0.5), (0.86, 0.74))


def render(sheet: Sheet, *, tile_px: int = 280, max_columns: int = 8) -> bytes:
    """Draw a contact sheet.

    Parameters
    ----------
    sheet : Sheet
        At most 60 rows are drawn, and no more than fit in 20 000 px of height and 40 million
        pixels; the footer says how many are missing.
    tile_px : int, 96 to 1024
        Width of a tile, and the most that its height can be. Type and spacing grow with it. Smaller
        tiles are taken when the rows would not fit otherwise.
    max_columns : int, 1 to 16
        A row with more cells goes on in further lines.

    Returns
    -------
    bytes
        An sRGB PNG; the same sheet gives the same bytes.

    Raises
    ------
    BadParameter
        A parameter is out of range.

    Notes
    -----
    Pictures keep their proportions, are never cropped and at most doubled in size. They are decoded
    one at a time, so memory holds the sheet and one of them. Bytes that are no picture show as an
    empty frame.
    """
    if not SMALLEST_TILE_PX <= tile_px <= _LARGEST_TILE_PX:
        raise BadParameter(
            f"tile_px {tile_px!r} is out of range; use {SMALLEST_TILE_PX} to {_LARGEST_TILE_PX}."
        )
    if not 1 <= max_columns <= _MOST_COLUMNS:
        raise BadParameter(
            f"max_columns {max_columns!r} is out of range; use 1 to {_MOST_COLUMNS}."
        )
    layout = arranged(sheet, tile_px, max_columns)
    canvas = Canvas(layout.height_px, layout.grid.width_px)
    _draw_heading(canvas, layout.grid, sheet)
    for band in layout.bands:
        _draw_band(canvas, layout.grid, band)
    _draw_footer(canvas, layout, sheet)
    return encode(canvas.pixels())


def _draw_heading(canvas: Canvas, grid: Grid, sheet: Sheet) -> None:
    title, subtitle = grid.face(34, BRIGHT, weight=0.7), grid.face(18, MEDIUM)
    left = grid.margin_px + grid.px(2)
    for baseline, words, face in ((28, sheet.title, title), (64, sheet.subtitle, subtitle)):
        line = shortened(words, face, grid.card_px)
        canvas.text(grid.margin_px + grid.px(baseline), left, line, face)


def _draw_footer(canvas: Canvas, layout: Layout, sheet: Sheet) -> None:
    grid = layout.grid
    face = grid.face(15, QUIET)
    missing = len(sheet.rows) - len(layout.bands)
    more = f"{missing} more {'scene' if missing == 1 else 'scenes'} not shown" if missing else ""
    words = " · ".join(part for part in (more, sheet.footer) if part)
    line = shortened(words, face, grid.card_px)
    canvas.text(layout.footer_row + grid.px(16), grid.margin_px + grid.px(2), line, face)


def _draw_band(canvas: Canvas, grid: Grid, band: Band) -> None:
    canvas.fill(band.card, CARD, radius_px=grid.px(16))
    baseline = band.card.row + grid.padding_px + grid.px(18)
    left = band.card.column + grid.padding_px
    room_px = grid.card_px - 2 * grid.padding_px
    room_px -= _draw_state(canvas, grid, band.row.state, baseline, left + room_px)
    scene, subtitle = grid.face(22, BRIGHT, weight=0.5), grid.face(16, MEDIUM)
    name = shortened(band.row.scene, scene, room_px)
    canvas.text(baseline, left, name, scene)
    taken_px = width_of(name, scene) + grid.px(16)
    if room_px - taken_px > grid.px(60):
        words = shortened(band.row.subtitle, subtitle, room_px - taken_px)
        canvas.text(baseline, left + taken_px, words, subtitle)
    for tile in band.tiles:
        _draw_tile(canvas, grid, tile)


def _draw_state(canvas: Canvas, grid: Grid, state: str, baseline: int, right: int) -> int:
    """Draw the row's state at its right end; return the width that it takes."""
    face = grid.face(14, MEDIUM)
    words = shortened(state, face, grid.card_px // 4)
    if not words:
        return 0
    width_px = width_of(words, face) + 2 * grid.px(12)
    chip = Box(baseline - grid.px(19), right - width_px, grid.px(28), width_px)
    canvas.fill(chip, CHIP, radius_px=grid.px(14))
    canvas.text(baseline, chip.column + grid.px(12), words, face)
    return width_px + grid.px(20)


def _draw_tile(canvas: Canvas, grid: Grid, tile: Tile) -> None:
    radius_px = grid.px(10)
    if tile.cell.chosen:
        gap_px, ring_px = grid.px(3), grid.px(3)
        outer = tile.frame.grown(gap_px + ring_px)
        canvas.fill(outer, _ACCENT, radius_px=radius_px + gap_px + ring_px)
        canvas.fill(tile.frame.grown(gap_px), CARD, radius_px=radius_px + gap_px)
    canvas.fill(tile.frame, WELL, radius_px=radius_px)
    if not _draw_picture(canvas, grid, tile):
        _draw_placeholder(canvas, grid, tile)
    _draw_caption(canvas, grid, tile)


def _draw_picture(canvas: Canvas, grid: Grid, tile: Tile) -> bool:
    """Draw the tile's picture; return False when there is none after all."""
    if tile.picture is None or tile.cell.data is None:
        return False
    try:
        pixels = decode(tile.cell.data, name=tile.cell.label).pixels
    except (UnsupportedImage, ImageTooLarge):
        # The header was sound; the rest is damaged.
        return False
    # Corners must not eat a picture that is a mere strip.
    radius_px = min(grid.px(10), min(tile.picture.height_px, tile.picture.width_px) // 6)
    canvas.picture(tile.picture, pixels, radius_px=radius_px, check_px=grid.px(10))
    return True


def _draw_placeholder(canvas: Canvas, grid: Grid, tile: Tile) -> None:
    face = grid.face(15, QUIET)
    default = "No picture" if tile.cell.data is None else "Unreadable picture"
    note = tile.cell.note if tile.picture is None else ""
    lines = wrapped(note or default, face, tile.frame.width_px - 2 * grid.px(20), lines=3)
    line_px, side_px = grid.px(21), grid.px(36)
    whole_px = side_px + grid.px(12) + line_px * len(lines)
    top = tile.frame.row + (tile.frame.height_px - whole_px) // 2
    icon = Box(top, tile.frame.column + (tile.frame.width_px - side_px) // 2, side_px, side_px)
    canvas.fill(icon, CHIP, radius_px=grid.px(8))
    canvas.stroke(icon, _RIDGE, QUIET, thickness_px=grid.px(2))
    for index, line in enumerate(lines):
        baseline = top + side_px + grid.px(12) + line_px * index + grid.px(16)
        left = tile.frame.column + (tile.frame.width_px - width_of(line, face)) // 2
        canvas.text(baseline, left, line, face)


def _draw_caption(canvas: Canvas, grid: Grid, tile: Tile) -> None:
    cell, frame = tile.cell, tile.frame
    baseline = frame.row + frame.height_px + grid.px(32)
    face = grid.face(18, _ACCENT if cell.chosen else BRIGHT, weight=0.3 if cell.chosen else 0.0)
    badge_px = grid.px(20) if cell.chosen else 0
    label = shortened(cell.label, face, frame.width_px - 2 * badge_px)
    canvas.text(baseline, frame.column, label, face)
    if cell.chosen:
        left = frame.column + frame.width_px - badge_px
        badge = Box(baseline - grid.px(16), left, badge_px, badge_px)
        canvas.fill(badge, _ACCENT, radius_px=badge_px // 2)
        canvas.stroke(badge, _TICK, CARD, thickness_px=grid.px(2))
    left = frame.column
    baseline += grid.px(25)
    if cell.verdict in _DOTS:
        side_px = grid.px(9)
        dot = Box(baseline - grid.px(10), left, side_px, side_px)
        canvas.fill(dot, _DOTS[cell.verdict], radius_px=side_px // 2)
        left += grid.dot_px
    for line in tile.caption:
        canvas.text(baseline, left, line, grid.note)
        baseline += grid.px(21)
