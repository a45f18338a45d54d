"""Which sizes are asked for: whole latents, neither absurdly small nor over the memory."""

from __future__ import annotations

from typing import TypeAlias

Wide: TypeAlias = tuple[int, int]
"""(width_px, height_px)."""

STEP_PX = 8
"""One latent; servers round other sizes, each in its own way."""
LEAST_PX = 64
MOST_PX = 2048


def allowed(size: Wide) -> bool:
    """Tell whether a size is asked for as it is."""
    return all(LEAST_PX <= side <= MOST_PX and side % STEP_PX == 0 for side in size)


def nearest(size: Wide) -> Wide:
    """Return the allowed size next to one, in its proportions where the limits let them be."""
    scale = min(1.0, MOST_PX / max(size))
    if min(size) * scale < LEAST_PX:
        scale = min(LEAST_PX / min(size), MOST_PX / max(size))
    width, height = (
        min(MOST_PX, max(LEAST_PX, int(side * scale / STEP_PX + 0.5) * STEP_PX)) for side in size
    )
    return width, height
