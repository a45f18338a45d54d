"""Which sizes a model makes, and the nearest one to a size that it does not make."""

from __future__ import annotations

from math import log
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from maquette.core.requests import Side

Wide: TypeAlias = tuple[int, int]
"""(width_px, height_px)"""

SizeRule = (
    Annotated[tuple[tuple[Side, Side], ...], Field(min_length=1)]
    | Literal["any", "multiples-of-16"]
)

STEP_PX = 16
LONGEST_PX = 3840
STEEPEST = 3
FEWEST_PIXELS = 655_360
MOST_PIXELS = 8_294_400
_SHAPE_WEIGHT = 10
"""A changed shape is worse than a changed scale."""


def allowed(rule: SizeRule, size: Wide) -> bool:
    """Say whether a model makes pictures of exactly this size."""
    if rule == "any":
        return True
    if rule != "multiples-of-16":
        return size in rule
    short_px, long_px = sorted(size)
    return (
        short_px % STEP_PX == 0
        and long_px % STEP_PX == 0
        and long_px <= LONGEST_PX
        and long_px <= STEEPEST * short_px
        and FEWEST_PIXELS <= short_px * long_px <= MOST_PIXELS
    )


def nearest(rule: SizeRule, size: Wide) -> Wide:
    """Return the allowed size that keeps the shape best, then the number of pixels."""
    if allowed(rule, size):
        return size
    if isinstance(rule, tuple):
        return min(rule, key=lambda one: _distance(one, size))
    wanted = _within_limits(size)
    shape = size[0] / size[1]
    near: list[Wide] = []
    for height_px in range(STEP_PX, LONGEST_PX + 1, STEP_PX):
        base = round(height_px * shape / STEP_PX)
        near += [(cells * STEP_PX, height_px) for cells in (base - 1, base, base + 1)]
        # A shape beyond the limit is met by the steepest allowed.
        near += [(height_px * STEEPEST, height_px), (height_px // STEEPEST, height_px)]
    fitting = [one for one in near if one[0] > 0 and allowed(rule, one)]
    return min(fitting, key=lambda one: (_distance(one, size, pixels=wanted), one))


def _within_limits(size: Wide) -> int:
    return min(max(size[0] * size[1], FEWEST_PIXELS), MOST_PIXELS)


def _distance(one: Wide, size: Wide, *, pixels: int | None = None) -> float:
    shape = abs(log(one[0] / one[1]) - log(size[0] / size[1]))
    scale = abs(log(one[0] * one[1] / (pixels or size[0] * size[1])))
    return _SHAPE_WEIGHT * shape + scale


def largest(rule: SizeRule) -> tuple[Wide, ...]:
    """Return the sizes among which the dearest is, where the model chooses; none: no bound."""
    if rule == "any":
        return ()
    if rule == "multiples-of-16":
        # A square has the most cells, and this one the most pixels.
        return ((2880, 2880),)
    return rule
