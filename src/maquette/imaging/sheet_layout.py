"""What a contact sheet shows, and where on the sheet each part of it goes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from maquette.core.errors import ImageTooLarge, UnsupportedImage
from maquette.imaging.codec import sniff
from maquette.imaging.sheet_canvas import MEDIUM, Box, Colour, Face, wrapped

Verdict: TypeAlias = Literal["ok", "soft", "hard", "none"]
Size: TypeAlias = tuple[int, int]

_WORDS: Mapping[Verdict, str] = {"ok": "passed", "soft": "warning", "hard": "rejected", "none": ""}

SMALLEST_TILE_PX = 96
_MAX_ROWS = 60
# What Maquette itself reads back without raising its limits, and most viewers open at ease.
_MAX_HEIGHT_PX = 20_000
_MAX_PIXELS = 40_000_000
_LARGEST_ZOOM = 2.0
_FLATTEST_FRAME = 0.5
_CAPTION_LINES = 2


@dataclass(frozen=True)
class Cell:
    """One picture of a row.

    Attributes
    ----------
    label : str
    data : bytes or None
        The picture's file, in any format that `codec.decode` reads; None where there is none.
    note : str
        Words beside the verdict; the picture's size stands there when both are left out.
    verdict : {'ok', 'soft', 'hard', 'none'}
        What the guard said.
    chosen : bool
        Whether this candidate won.
    """

    label: str
    data: bytes | None
    note: str = ""
    verdict: Verdict = "none"
    chosen: bool = False


@dataclass(frozen=True)
class Row:
    """One scene: what came in, what was made of it, and how that ended."""

    scene: str
    subtitle: str
    state: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """Everything that a contact sheet shows, from top to bottom."""

    title: str
    subtitle: str
    footer: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Every distance and every size of type on a sheet whose tiles are `tile_px` wide."""

    tile_px: int
    columns: int

    def px(self, distance: float) -> int:
        """Scale a distance chosen for tiles of 280 px; on small tiles text stays legible."""
        return round(distance * max(self.tile_px / 280, 0.8))

    def face(self, size: float, colour: Colour, *, weight: float = 0.0) -> Face:
        return Face(self.px(size), colour, weight * self.px(size) / size)

    @property
    def step_px(self) -> int:
        """From the left side of a tile to that of the next."""
        return self.tile_px + self.px(24)

    @property
    def margin_px(self) -> int:
        return self.px(52)

    @property
    def padding_px(self) -> int:
        return self.px(30)

    @property
    def card_px(self) -> int:
        """Width of a card; never too narrow for its heading."""
        tiles_px = self.columns * self.step_px - self.px(24)
        return max(tiles_px, self.px(560)) + 2 * self.padding_px

    @property
    def width_px(self) -> int:
        return self.card_px + 2 * self.margin_px

    @property
    def note(self) -> Face:
        return self.face(15, MEDIUM)

    @property
    def dot_px(self) -> int:
        """Width that a verdict's dot takes of its note."""
        return self.px(17)


@dataclass(frozen=True, slots=True)
class Tile:
    """A cell at its place; `picture` is where in the frame its picture goes, if it has one."""

    cell: Cell
    frame: Box
    picture: Box | None
    caption: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """A row at its place."""

    row: Row
    card: Box
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole sheet; the footer's line begins at `footer_row`."""

    grid: Grid
    bands: tuple[Band, ...]
    footer_row: int
    height_px: int


def arranged(sheet: Sheet, tile_px: int, max_columns: int) -> Layout:
    """Give every part its place: smaller tiles when there are many rows, then fewer rows.

    Only the headers of the pictures are read.
    """
    rows = sheet.rows[:_MAX_ROWS]
    sizes = [[_size_of(cell) for cell in row.cells] for row in rows]
    columns = min(max_columns, max((len(row.cells) for row in rows), default=1))
    grid = Grid(tile_px, max(1, columns))
    layout = _stacked(grid, rows, sizes)
    if not _fits(layout):
        sides_px = range(SMALLEST_TILE_PX, tile_px)
        too_large = bisect_left(
            sides_px,
            True,
            key=lambda side_px: not _fits(_stacked(replace(grid, tile_px=side_px), rows, sizes)),
        )
        grid = replace(grid, tile_px=SMALLEST_TILE_PX + max(0, too_large - 1))
        layout = _stacked(grid, rows, sizes)
    while not _fits(layout):
        rows = rows[:-1]
        layout = _stacked(grid, rows, sizes)
    return layout


def _fits(layout: Layout) -> bool:
    area_px = layout.height_px * layout.grid.width_px
    return not layout.bands or (layout.height_px <= _MAX_HEIGHT_PX and area_px <= _MAX_PIXELS)


def _size_of(cell: Cell) -> Size | None:
    """Return (height_px, width_px) of the cell's picture, or None when it has none."""
    if cell.data is None:
        return None
    try:
        header = sniff(cell.data)
    except (UnsupportedImage, ImageTooLarge):
        return None
    return header.height_px, header.width_px


def _stacked(grid: Grid, rows: Sequence[Row], sizes: Sequence[Sequence[Size | None]]) -> Layout:
    bands: list[Band] = []
    top = grid.margin_px + grid.px(104)
    for row, row_sizes in zip(rows, sizes, strict=False):
        bands.append(_band(grid, row, row_sizes, top))
        top += bands[-1].card.height_px + grid.px(22)
    footer_row = top + grid.px(14)
    return Layout(grid, tuple(bands), footer_row, footer_row + grid.px(24) + grid.margin_px)


def _band(grid: Grid, row: Row, sizes: Sequence[Size | None], top: int) -> Band:
    shown = [None if size is None else _fitted(size, grid.tile_px) for size in sizes]
    flattest_px = round(grid.tile_px * _FLATTEST_FRAME)
    frame_px = max([flattest_px, *(size[0] for size in shown if size is not None)])
    captions = [_caption(grid, *pair) for pair in zip(row.cells, sizes, strict=True)]
    tiles: list[Tile] = []
    bottom = top + grid.padding_px + grid.px(22)
    for first in range(0, len(row.cells), grid.columns):
        line = range(first, min(first + grid.columns, len(row.cells)))
        line_top = bottom + grid.px(24)
        for column, index in enumerate(line):
            left = grid.margin_px + grid.padding_px + column * grid.step_px
            frame = Box(line_top, left, frame_px, grid.tile_px)
            fitted = shown[index]
            picture = None if fitted is None else frame.centred(*fitted)
            tiles.append(Tile(row.cells[index], frame, picture, captions[index]))
        caption_lines = max(len(captions[index]) for index in line)
        bottom = line_top + frame_px + grid.px(42) + caption_lines * grid.px(21)
    card = Box(top, grid.margin_px, bottom + grid.px(18) - top, grid.card_px)
    return Band(row, card, tuple(tiles))


def _fitted(size: Size, tile_px: int) -> Size:
    zoom = min(tile_px / max(size), _LARGEST_ZOOM)
    return max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom))


def _caption(grid: Grid, cell: Cell, size: Size | None) -> tuple[str, ...]:
    # What is wrong with a missing picture is said in its frame, where there is room.
    note = "" if size is None else cell.note
    words = note or _WORDS[cell.verdict]
    if not words and size is not None:
        words = f"{size[1]} x {size[0]}"
    indent_px = 0 if cell.verdict == "none" else grid.dot_px
    return wrapped(words, grid.note, grid.tile_px - indent_px, lines=_CAPTION_LINES)
