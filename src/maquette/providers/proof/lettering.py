"""Words on a proof card: the prompt as a title, a PROOF mark, and seed and size at the foot."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from maquette.providers.proof.ground import shaded

Pixels = NDArray[np.uint8]

_LEAST_SIDE_PX = 96
"""Below this no letter can be read: the card is the picture alone."""
_LEAST_LETTER_PX = 9
_TITLE_LONGEST = 64
"""Characters of a first clause that may stand alone as the title."""
_LEADING = 1.16
_REACH = 0.2
"""Share of the height over which the shade rises above the words."""
_MISSING = "\U0010ffff"
_PLAIN = dict(
    zip(
        "ßæÆœøØłŁ\xd7\u2018\u2019\u201c\u201d\u2013\u2014",
        ("ss", "ae", "Ae", "oe", *"oOlLx''\"\"--"),
        strict=True,
    )
)


@dataclass(frozen=True)
class Caption:
    """What a card says."""

    prompt: str
    footer: tuple[str, str]


@dataclass(frozen=True)
class _Block:
    """Lines of one size, placed from `top_px` down."""

    lines: tuple[str, ...]
    letter_px: int
    top_px: int
    opacity: float


@dataclass(frozen=True)
class _Page:
    """Measures of a card in pixels."""

    width_px: int
    height_px: int

    @property
    def margin_px(self) -> int:
        return max(6, round(0.062 * min(self.width_px, self.height_px)))

    @property
    def small_px(self) -> int:
        side_px = (self.width_px * self.height_px) ** 0.5
        return round(min(0.0215 * side_px, 0.034 * min(self.width_px, self.height_px)))

    @property
    def measure_px(self) -> int:
        """The longest a line may be; long lines are hard to read."""
        return min(self.width_px - 2 * self.margin_px, round(1.15 * self.height_px))


def letter(pixels: Pixels, caption: Caption) -> Pixels:
    """Set a caption on a picture.

    The prompt's first clause is the title and what follows stands smaller below it; both are
    fitted, and cut with an ellipsis where even the smallest letters would not fit. The ground
    under the words is shaded until they can be read. Characters that the font lacks are left out.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8, sRGB. Never modified.
    caption
        What to set; on a picture too small to read, nothing is.

    Returns
    -------
    (H, W, 3) uint8, sRGB. Deterministic.
    """
    page = _Page(pixels.shape[1], pixels.shape[0])
    if min(page.width_px, page.height_px) < _LEAST_SIDE_PX:
        return pixels.copy()
    has_footer = page.small_px >= _LEAST_LETTER_PX - 1
    foot_px = round(2.9 * page.small_px) if has_footer else 0
    blocks = _composed(page, printable(caption.prompt), page.height_px - page.margin_px - foot_px)
    top_px = min(
        (block.top_px for block in blocks), default=page.height_px - page.margin_px - foot_px
    )
    if not blocks and not has_footer:
        return pixels.copy()
    layer = Image.new("L", (page.width_px, page.height_px), 0)
    pen = ImageDraw.Draw(layer)
    for block in blocks:
        _write(pen, page, block)
    if has_footer:
        _write_footer(pen, page, caption.footer)
    result = pixels.copy()
    first_px = max(0, round(top_px - _REACH * page.height_px))
    ground, ink = shaded(pixels[first_px:], max(0, top_px - first_px))
    cover = np.asarray(layer, np.float32)[first_px:, :, None] / 255
    result[first_px:] = np.rint(ground + (np.array(ink, np.float32) - ground) * cover)
    return result


def printable(text: str) -> str:
    """Return a text on one line in the letters of the bundled font.

    A letter that it lacks becomes its plain form (o for an o with two dots) or is left out.
    """
    kept = "".join(_plainer(character) for character in unicodedata.normalize("NFC", text))
    tidy = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(kept.split())).strip(" ,;:")
    return tidy if any(character.isalnum() for character in tidy) else ""


@lru_cache(maxsize=256)
def font_of(letter_px: int) -> ImageFont.FreeTypeFont:
    font: Any = ImageFont.load_default(letter_px)
    return font


def _plainer(character: str) -> str:
    if character.isspace():
        return " "
    if _has_glyph(character):
        return character
    plain = unicodedata.normalize("NFKD", _PLAIN.get(character, character))
    return "".join(part for part in plain if _has_glyph(part))


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    if unicodedata.category(character)[0] == "C":
        return False
    return _drawn(character) != _drawn(_MISSING)


@lru_cache(maxsize=4096)
def _drawn(character: str) -> bytes:
    image = Image.new("L", (48, 48))
    ImageDraw.Draw(image).text((8, 8), character, fill=255, font=font_of(24))
    return image.tobytes()


def _clauses(prompt: str) -> tuple[str, str]:
    """Split off the first clause when it is short enough to be a title."""
    found = re.search(r"[,.;:!?\u2014]\s", prompt)
    if found is None or found.start() > _TITLE_LONGEST:
        return prompt, ""
    return prompt[: found.start()], prompt[found.end() :].strip()


def _composed(page: _Page, prompt: str, bottom_px: int) -> list[_Block]:
    """Place title and detail above `bottom_px`."""
    if not prompt:
        return []
    title, detail = _clauses(prompt)
    title = title[0].upper() + title[1:]
    room_px = round((0.3 if page.width_px >= page.height_px else 0.26) * page.height_px)
    largest_px = round(0.088 * min(page.width_px, 1.25 * page.height_px))
    smallest_px = max(_LEAST_LETTER_PX + 1, round(1.25 * page.small_px))
    letter_px, lines = fitted(title, page.measure_px, room_px, largest_px, smallest_px)
    blocks: list[_Block] = []
    if detail and page.small_px >= _LEAST_LETTER_PX:
        detail_px = max(_LEAST_LETTER_PX, min(round(1.35 * page.small_px), round(0.62 * letter_px)))
        _, small = fitted(detail, page.measure_px, round(4.7 * detail_px), detail_px, detail_px)
        bottom_px -= round(len(small) * _LEADING * detail_px)
        blocks.append(_Block(small, detail_px, bottom_px, 0.82))
        bottom_px -= round(0.5 * detail_px)
    top_px = bottom_px - round(len(lines) * _LEADING * letter_px)
    return [_Block(lines, letter_px, top_px, 1.0), *blocks]


def fitted(
    text: str, measure_px: int, room_px: int, largest_px: int, smallest_px: int
) -> tuple[int, tuple[str, ...]]:
    """Return the largest letters with which a text fits, and its lines; cut it if none do."""
    letter_px = max(largest_px, smallest_px)
    while letter_px > smallest_px:
        lines = _wrapped(text, measure_px, letter_px)
        if lines is not None and len(lines) * _LEADING * letter_px <= room_px:
            return letter_px, _balanced(text, lines, measure_px, letter_px)
        letter_px = max(smallest_px, min(letter_px - 1, round(letter_px * 0.94)))
    most = max(1, int(room_px / (_LEADING * smallest_px)))
    lines = _wrapped(text, measure_px, smallest_px, broken=True) or ()
    if len(lines) <= most:
        return smallest_px, _balanced(text, lines, measure_px, smallest_px)
    last = lines[most - 1]
    while last and font_of(smallest_px).getlength(last + "…") > measure_px:
        last = last[:-1]
    return smallest_px, (*lines[: most - 1], last.rstrip(" ,;:.") + "…")


def _wrapped(
    text: str, measure_px: int, letter_px: int, *, broken: bool = False
) -> tuple[str, ...] | None:
    """Break a text into lines; None when a word is too long and may not be `broken`."""
    font = font_of(letter_px)
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if font.getlength(joined) <= measure_px:
            line = joined
            continue
        if line:
            lines.append(line)
        line = word
        while font.getlength(line) > measure_px:
            if not broken:
                return None
            cut = max(1, int(len(line) * measure_px / font.getlength(line)))
            while cut > 1 and font.getlength(line[:cut]) > measure_px:
                cut -= 1
            if len(line) == 1:
                break
            lines.append(line[:cut])
            line = line[cut:]
    return (*lines, line) if line else tuple(lines)


def _balanced(
    text: str, lines: tuple[str, ...], measure_px: int, letter_px: int
) -> tuple[str, ...]:
    """Narrow the measure while the number of lines stays: no last word is left alone."""
    if len(lines) < 2:
        return lines
    narrow, wide, best = measure_px // 2, measure_px, lines
    while wide - narrow > max(2, letter_px // 6):
        middle = (narrow + wide) // 2
        tried = _wrapped(text, middle, letter_px)
        if tried is not None and len(tried) == len(lines):
            wide, best = middle, tried
        else:
            narrow = middle
    return best


def _write(pen: ImageDraw.ImageDraw, page: _Page, block: _Block) -> None:
    font = font_of(block.letter_px)
    for number, line in enumerate(block.lines):
        baseline_px = block.top_px + round((number * _LEADING + 0.86) * block.letter_px)
        pen.text(
            (page.margin_px - block.letter_px // 22, baseline_px),
            line,
            fill=round(255 * block.opacity),
            font=font,
            anchor="ls",
        )


def _write_footer(pen: ImageDraw.ImageDraw, page: _Page, footer: tuple[str, str]) -> None:
    """Set the mark at the left and seed and size at the right, on one line under a rule."""
    small_px = page.small_px
    right_px, baseline_px = page.width_px - page.margin_px, page.height_px - page.margin_px
    rule_px = baseline_px - round(1.75 * small_px)
    weight_px = max(1, round(small_px / 16))
    pen.rectangle((page.margin_px, rule_px, right_px - 1, rule_px + weight_px - 1), fill=110)
    taken_px = _spaced(pen, "PROOF", page.margin_px, baseline_px, small_px, fill=255)
    seed, size = footer
    for text in (f"{seed}   {size}", size):
        width_px = _spaced_px(text, small_px)
        if right_px - width_px > taken_px + small_px:
            _spaced(pen, text, right_px - width_px, baseline_px, small_px, fill=205)
            return


def _spaced_px(text: str, letter_px: int) -> float:
    font = font_of(letter_px)
    return sum(font.getlength(letter) + 0.14 * letter_px for letter in text) - 0.14 * letter_px


def _spaced(
    pen: ImageDraw.ImageDraw,
    text: str,
    left_px: float,
    baseline_px: int,
    letter_px: int,
    *,
    fill: int,
) -> float:
    """Write with letters set apart, as capitals need; returns where the line ends."""
    font = font_of(letter_px)
    for character in text:
        pen.text((left_px, baseline_px), character, fill=fill, font=font, anchor="ls")
        left_px += font.getlength(character) + 0.14 * letter_px
    return left_px
