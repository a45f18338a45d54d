"""What somebody shows of a picture, as pixel code takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maquette.core.errors import BadParameter
from maquette.core.pointing import Pointed

Point = tuple[int, int]
"""(row, column)."""


@dataclass(frozen=True)
class Hints:
    """What somebody showed, in the picture's own pixels."""

    inside: Sequence[Point] = ()
    """On things that are wanted; what belongs to each is added."""
    outside: Sequence[Point] = ()
    """On what is not wanted."""
    box: tuple[int, int, int, int] | None = None
    """(top, left, bottom, right) around one thing, the last two exclusive."""

    def check(self, rows: int, columns: int) -> None:
        """Raise `BadParameter` for what does not fit a picture of that size."""
        if not self.inside and self.box is None:
            raise BadParameter("Nothing was pointed at; give a point on the thing, or a box.")
        for row, column in (*self.inside, *self.outside):
            if not (0 <= row < rows and 0 <= column < columns):
                raise BadParameter(
                    f"The point x={column}, y={row} lies outside the picture of {columns}x{rows} "
                    "px; count from its upper left corner, which is 0, 0."
                )
        if self.box is not None:
            _check_box(self.box, self.inside, rows, columns)


def of(pointed: Pointed) -> Hints:
    """Turn x and y, as people say them, to rows and columns."""
    box = pointed.box
    return Hints(
        inside=[(y, x) for x, y in pointed.points],
        outside=[(y, x) for x, y in pointed.not_points],
        box=None if box is None else (box[1], box[0], box[3], box[2]),
    )


def _check_box(
    box: tuple[int, int, int, int], inside: Sequence[Point], rows: int, columns: int
) -> None:
    top, left, bottom, right = box
    if not (0 <= top < bottom <= rows and 0 <= left < right <= columns):
        raise BadParameter(
            f"The box from x={left}, y={top} to x={right}, y={bottom} is empty or leaves the "
            f"picture of {columns}x{rows} px; draw it inside."
        )
    for row, column in inside:
        if not (top <= row < bottom and left <= column < right):
            raise BadParameter(
                f"The point x={column}, y={row} is wanted but lies outside the box; "
                "draw the box around all of it."
            )
