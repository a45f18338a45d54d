"""What somebody points at in a picture."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

Pixel = Annotated[int, Field(ge=0, le=65534)]
Side = Annotated[int, Field(ge=0, le=65535)]
MOST_POINTS = 32


class Pointed(BaseModel, frozen=True, extra="forbid"):
    """Points and a box, in pixels of the picture, from its upper left corner."""

    points: tuple[tuple[Pixel, Pixel], ...] = Field(default=(), max_length=MOST_POINTS)
    """(x, y) on what is wanted; what belongs to each is added."""
    not_points: tuple[tuple[Pixel, Pixel], ...] = Field(default=(), max_length=MOST_POINTS)
    """(x, y) on what is not wanted."""
    box: tuple[Side, Side, Side, Side] | None = None
    """(left, top, right, bottom) around one thing; the last two are exclusive."""
