"""The drawing surface of contact sheets: text that fits, round corners, pictures in frames."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour: TypeAlias = tuple[int, int, int]

PAGE: Colour = (17, 17, 17)
CARD: Colour = (26, 26, 26)
WELL: Colour = (20, 20, 20)
CHIP: Colour = (43, 43, 43)
BRIGHT: Colour = (242, 242, 242)
MEDIUM: Colour = (166, 166, 166)
QUIET: Colour = (128, 128, 128)

_CHECKS = np.array([[52, 66], [66, 52]], np.uint8)
_LONGEST_TEXT = 1000
# Glyphs are drawn this many times larger and averaged: the spacing of letters is then true to a
# quarter of a pixel, which the font's own rendering rounds to whole ones.
_OVERSAMPLING = 4
_ELLIPSIS = "…"
# The bundled font has little beyond ASCII, and these do not decompose to what it has.
_NEAREST = str.maketrans(
    {"×": "x", "–": "-", "—": "-", "−": "-"}  # noqa: RUF001 - look-alikes are the point
    | {"→": ">", "•": "·", "≥": ">=", "≤": "<=", "≈": "~", "€": "EUR", "£": "GBP"}
    | {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"}
    | {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i"}  # noqa: RUF001 - as above
)
_NO_GLYPH = "\U000fffff"


class Face(NamedTuple):
    """How a piece of text looks; `weight_px` thickens every stroke by that much."""

    size_px: int
    colour: Colour
    weight_px: float = 0.0


class Box(NamedTuple):
    """A rectangle on the sheet, in pixels."""

    row: int
    column: int
    height_px: int
    width_px: int

    def grown(self, by_px: int) -> Box:
        return Box(
            self.row - by_px,
            self.column - by_px,
            self.height_px + 2 * by_px,
            self.width_px + 2 * by_px,
        )

    def centred(self, height_px: int, width_px: int) -> Box:
        """Return a box of that size in the middle of this one."""
        row = self.row + (self.height_px - height_px) // 2
        return Box(row, self.column + (self.width_px - width_px) // 2, height_px, width_px)


def legible(text: str) -> str:
    """Return one line of `text` in characters that the bundled font has.

    Accents go, dashes and signs become their nearest in ASCII, whitespace and control characters
    become single spaces. A run of characters without a likeness becomes one ellipsis.
    """
    letters: list[str] = []
    for letter in text[:_LONGEST_TEXT].translate(_NEAREST):
        for part in letter if _has_glyph(letter) else unicodedata.normalize("NFKD", letter):
            kind = unicodedata.category(part)
            if kind in ("Cc", "Zs", "Zl", "Zp"):
                letters.append(" ")
            elif _has_glyph(part):
                letters.append(part)
            elif kind not in ("Mn", "Cf") and letters[-1:] != [_ELLIPSIS]:
                letters.append(_ELLIPSIS)
    return " ".join("".join(letters).split())


def width_of(text: str, face: Face) -> int:
    """Return the pixels across that `text` takes."""
    return ceil(_font(face.size_px).getlength(_aired(text)) / _OVERSAMPLING)


def shortened(text: str, face: Face, width_px: int) -> str:
    """Return `text`, legible, with an ellipsis for what does not fit in `width_px`."""
    text = legible(text)
    if width_of(text, face) <= width_px:
        return text
    fitting = bisect_right(
        range(len(text)), width_px, key=lambda end: width_of(text[:end] + _ELLIPSIS, face)
    )
    return text[: max(0, fitting - 1)].rstrip() + _ELLIPSIS


def wrapped(text: str, face: Face, width_px: int, *, lines: int) -> tuple[str, ...]:
    """Break `text` between words into at most `lines` lines; the last is shortened to fit."""
    words = legible(text).split()
    broken: list[str] = []
    while words and len(broken) < lines - 1:
        taken = 1
        while taken < len(words) and width_of(" ".join(words[: taken + 1]), face) <= width_px:
            taken += 1
        broken.append(shortened(" ".join(words[:taken]), face, width_px))
        words = words[taken:]
    if words:
        broken.append(shortened(" ".join(words), face, width_px))
    return tuple(broken)


class Canvas:
    """An RGB picture that is drawn on from back to front."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self._image = Image.new("RGB", (width_px, height_px), PAGE)

    def pixels(self) -> NDArray[np.uint8]:
        return np.array(self._image)

    def fill(self, box: Box, colour: Colour, *, radius_px: int) -> None:
        """Fill a rectangle with round, smooth corners."""
        mask = _rounded(box.height_px, box.width_px, radius_px)
        self._image.paste(colour, (box.column, box.row), mask)

    def text(self, baseline: int, column: int, text: str, face: Face) -> None:
        """Draw one line of legible `text` on the row `baseline`, beginning at `column`."""
        above_px, height_px, width_px = (
            face.size_px,
            round(face.size_px * 1.4),
            width_of(text, face),
        )
        large = Image.new("L", ((width_px + 2) * _OVERSAMPLING, height_px * _OVERSAMPLING))
        ImageDraw.Draw(large).text(
            (_OVERSAMPLING, above_px * _OVERSAMPLING),
            _aired(text),
            fill=255,
            font=_font(face.size_px),
            anchor="ls",
            stroke_width=face.weight_px * _OVERSAMPLING / 2,
        )
        mask = large.reduce(_OVERSAMPLING)
        self._image.paste(face.colour, (column - 1, baseline - above_px), mask)

    def stroke(
        self,
        box: Box,
        points: Sequence[tuple[float, float]],
        colour: Colour,
        *,
        thickness_px: int,
    ) -> None:
        """Draw a line through `points`, each (across, down) as shares of `box`."""
        size = box.width_px * _OVERSAMPLING, box.height_px * _OVERSAMPLING
        large = Image.new("L", size)
        path = [(across * size[0], down * size[1]) for across, down in points]
        width = thickness_px * _OVERSAMPLING
        ImageDraw.Draw(large).line(path, fill=255, width=width, joint="curve")
        self._image.paste(colour, (box.column, box.row), large.reduce(_OVERSAMPLING))

    def picture(
        self, box: Box, pixels: NDArray[np.uint8], *, radius_px: int, check_px: int
    ) -> None:
        """Scale `pixels`, RGB or RGBA, to `box`; what is transparent shows a checkerboard."""
        size = box.width_px, box.height_px
        scaled = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        if scaled.mode == "RGBA":
            backdrop = Image.fromarray(_checkerboard(box.height_px, box.width_px, check_px))
            backdrop.paste(scaled, mask=scaled)
            scaled = backdrop
        mask = _rounded(box.height_px, box.width_px, radius_px)
        self._image.paste(scaled, (box.column, box.row), mask)


@lru_cache(maxsize=32)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px * _OVERSAMPLING)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@lru_cache(maxsize=1024)
def _glyph(letter: str) -> bytes:
    image = Image.new("L", (64, 64))
    ImageDraw.Draw(image).text((0, 0), letter, fill=255, font=_font(8))
    return image.tobytes()


def _has_glyph(letter: str) -> bool:
    return not letter.isspace() and _glyph(letter) != _glyph(_NO_GLYPH)


def _aired(text: str) -> str:
    """Give separating dots more room than the font's narrow space leaves them."""
    return text.replace(" · ", "  ·  ")


def _rounded(height_px: int, width_px: int, radius_px: int) -> Image.Image:
    """Return the coverage of a rectangle with round corners, smooth at their edge."""
    radius_px = min(radius_px, height_px // 2, width_px // 2)
    mask = np.full((height_px, width_px), 255, np.uint8)
    if radius_px > 0:
        away = radius_px - 0.5 - np.arange(radius_px)
        inside = radius_px + 0.5 - np.hypot(away[:, None], away)
        corner = np.rint(np.clip(inside, 0, 1) * 255).astype(np.uint8)
        mask[:radius_px, :radius_px] = corner
        mask[:radius_px, -radius_px:] = corner[:, ::-1]
        mask[-radius_px:, :radius_px] = corner[::-1]
        mask[-radius_px:, -radius_px:] = corner[::-1, ::-1]
    return Image.fromarray(mask)


def _checkerboard(height_px: int, width_px: int, check_px: int) -> NDArray[np.uint8]:
    rows = np.arange(height_px) // check_px % 2
    columns = np.arange(width_px) // check_px % 2
    return np.repeat(_CHECKS[rows[:, None], columns][..., None], 3, axis=2)
