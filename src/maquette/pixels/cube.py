"""Read and write `.cube` files, the colour cubes that grading programs exchange."""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, ImageTooLarge
from maquette.pixels.lut import Colours, Lut3D, Triple, from_function

SIZE_MAX = 129
"""Largest cube accepted; the format allows 256, which would take 192 MiB as numbers alone."""

_FORMAT_SIZES_3D = range(2, 257)
_FORMAT_SIZES_1D = range(2, 65_537)
_CURVES_AS_CUBE_SIZE = 65


def parse(text: str, name: str) -> Lut3D:
    """Read a `.cube` file, of Adobe's or Resolve's dialect.

    Three curves (`LUT_1D_SIZE`) become a cube of 65 points per axis over the same domain.

    Parameters
    ----------
    text
        The file's text.
    name
        What to call the file in errors.

    Raises
    ------
    BadParameter
        If the text breaks the format, naming the line; or holds curves and a cube at once.
    ImageTooLarge
        If the cube has more than `SIZE_MAX` points per axis.

    References
    ----------
    Adobe Systems (2013), "Cube LUT Specification", version 1.0.

    Differs from the specification: `LUT_1D_INPUT_RANGE` and `LUT_3D_INPUT_RANGE` are understood,
    and lines may be longer than 250 characters.
    """
    reader = _Reader(name)
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        words = line.split("#", 1)[0].split() if not line.startswith("TITLE") else ["TITLE"]
        if words:
            reader.take(number, words)
    return reader.lut()


def render(lut: Lut3D, title: str) -> str:
    """Write a cube as the text of a `.cube` file, with every digit that `parse` needs.

    Raises
    ------
    BadParameter
        If the title holds a double quote or a line break, which the format cannot express, or
        the cube is larger than the format's 256 points per axis.
    """
    if '"' in title or len(title.splitlines()) > 1 or title.endswith(("\n", "\r")):
        raise BadParameter(
            f"A .cube title cannot hold quotes or line breaks: {title!r}; choose a plain title."
        )
    if lut.size not in _FORMAT_SIZES_3D:
        raise BadParameter(
            f"A .cube file cannot hold {lut.size!r} points per axis; give a cube of at most 256."
        )
    text = io.StringIO()
    text.write(f'TITLE "{title}"\n')
    text.write(f"DOMAIN_MIN {_words(lut.domain_min)}\nDOMAIN_MAX {_words(lut.domain_max)}\n")
    text.write(f"LUT_3D_SIZE {lut.size}\n")
    np.savetxt(text, lut.table.reshape(-1, 3), fmt="%.9g")
    return text.getvalue()


@dataclass
class _Reader:
    """What the lines so far have said."""

    name: str
    low: Triple = (0.0, 0.0, 0.0)
    high: Triple = (1.0, 1.0, 1.0)
    size: int = 0
    rows_expected: int = 0
    is_cube: bool = False
    numbers: array[float] = field(default_factory=lambda: array("d"))
    number: int = 0

    def take(self, number: int, words: list[str]) -> None:
        """Read one line that is neither blank nor all comment."""
        self.number = number
        keyword = self._keywords().get(words[0])
        if keyword is not None:
            if self.numbers:
                raise self._error(f"{words[0]} stands after the first colour; move it up")
            keyword(words[1:])
        elif words[0][0] in "+-.0123456789":
            self._take_colour(words)
        else:
            raise self._error(f"{words[0]!r} is no keyword known here; remove the line")

    def lut(self) -> Lut3D:
        """Return the cube, once the last line is read."""
        rows = len(self.numbers) // 3
        if not self.size:
            raise self._error("LUT_3D_SIZE or LUT_1D_SIZE is missing; add it above the colours")
        if rows != self.rows_expected:
            raise self._error(
                f"the file ends after {rows!r} of {self.rows_expected!r} colours; export it again"
            )
        table = np.array(self.numbers, np.float32)
        if not self.is_cube:
            return _cube_of_curves(table.reshape(-1, 3), self.low, self.high)
        return Lut3D(table.reshape(self.size, self.size, self.size, 3), self.low, self.high)

    def _keywords(self) -> dict[str, Callable[[list[str]], None]]:
        return {
            "TITLE": lambda _: None,
            "DOMAIN_MIN": self._take_minimum,
            "DOMAIN_MAX": self._take_maximum,
            "LUT_1D_INPUT_RANGE": self._take_range,
            "LUT_3D_INPUT_RANGE": self._take_range,
            "LUT_1D_SIZE": self._take_curve_size,
            "LUT_3D_SIZE": self._take_cube_size,
        }

    def _take_colour(self, words: list[str]) -> None:
        if not self.size:
            raise self._error("a colour stands above LUT_3D_SIZE; move the size up")
        if len(self.numbers) >= 3 * self.rows_expected:
            raise self._error(
                f"there are more than {self.rows_expected!r} colours; correct the size"
            )
        self.numbers.extend(self._floats(words, 3))

    def _take_minimum(self, words: list[str]) -> None:
        red, green, blue = self._floats(words, 3)
        self.low = (red, green, blue)

    def _take_maximum(self, words: list[str]) -> None:
        red, green, blue = self._floats(words, 3)
        self.high = (red, green, blue)

    def _take_range(self, words: list[str]) -> None:
        low, high = self._floats(words, 2)
        self.low, self.high = (low, low, low), (high, high, high)

    def _take_curve_size(self, words: list[str]) -> None:
        self._take_size(words, _FORMAT_SIZES_1D)
        self.rows_expected = self.size

    def _take_cube_size(self, words: list[str]) -> None:
        self._take_size(words, _FORMAT_SIZES_3D)
        self.is_cube = True
        self.rows_expected = self.size**3
        if self.size > SIZE_MAX:
            raise ImageTooLarge(
                f"{self.name!r} has {self.size!r} points per axis, over the limit of {SIZE_MAX!r}; "
                "export it with 33 or 65."
            )

    def _take_size(self, words: list[str], allowed: range) -> None:
        if self.size:
            raise self._error("a second size is given; export curves and cube as one plain cube")
        if len(words) != 1 or not words[0].isdecimal() or int(words[0]) not in allowed:
            raise self._error(
                f"the size {' '.join(words)!r} is not a whole number "
                f"from {allowed[0]} to {allowed[-1]}; correct it"
            )
        self.size = int(words[0])

    def _floats(self, words: list[str], count: int) -> list[float]:
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != count or not all(map(math.isfinite, values)):
            raise self._error(f"{' '.join(words)!r} should be {count} finite numbers; correct it")
        return values

    def _error(self, problem: str) -> BadParameter:
        return BadParameter(f"{self.name!r}, line {self.number}: {problem}.")


def _cube_of_curves(curves: NDArray[np.float32], low: Triple, high: Triple) -> Lut3D:
    stops = np.linspace(0, 1, len(curves))

    def follow(colours: Colours) -> Colours:
        channels = [np.interp(colours[..., i], stops, curves[:, i]) for i in range(3)]
        return np.stack(channels, axis=-1).astype(np.float32)

    return Lut3D(from_function(follow, _CURVES_AS_CUBE_SIZE).table, low, high)


def _words(triple: Triple) -> str:
    return " ".join(f"{value:.9g}" for value in triple)
