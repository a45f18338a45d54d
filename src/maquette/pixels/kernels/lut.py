"""Tetrahedral interpolation in a colour cube, in fixed point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maquette.pixels.kernels.jit import compiled, prange

FRACTION_BITS = 14
"""Bits after the point of a position between two lattice points."""

LEVEL_BITS = 6
"""Bits after the point of a table entry, whose unit is one level of 255."""

ENTRY_STRIDE = 4
"""Table entries from one lattice point to the next along red; three are colours, one is padding."""

_CHUNK_PX = 32_768
_ONE = 1 << FRACTION_BITS
_SHIFT = FRACTION_BITS + LEVEL_BITS
_HALF = 1 << (_SHIFT - 1)


@compiled(parallel=True)
def tetrahedral(
    pixels: NDArray[np.uint8],
    result: NDArray[np.uint8],
    table: NDArray[np.int16],
    corner: NDArray[np.uint32],
    fraction: NDArray[np.int32],
    size: int,
) -> None:
    """Fill `result` (n, 3 or 4) with the colours of `pixels` (n, 3 or 4) looked up in `table`.

    `table` is flat, ordered blue, green, red, `ENTRY_STRIDE`. For each channel and level,
    `corner` (3, 256) is the table offset of the lattice point below, and `fraction` (3, 256) the
    way to the next one. A fourth channel is copied.
    """
    count, channels = pixels.shape
    # Indices are unsigned throughout: for signed ones the compiler must allow for counting from
    # the end, which makes the whole kernel a third slower.
    red_step = np.uint32(ENTRY_STRIDE)
    green_step = np.uint32(ENTRY_STRIDE * size)
    blue_step = np.uint32(ENTRY_STRIDE * size * size)
    for chunk in prange((count + _CHUNK_PX - 1) // _CHUNK_PX):
        for index in range(chunk * _CHUNK_PX, min(count, (chunk + 1) * _CHUNK_PX)):
            pixel = np.uint64(index)
            red, green, blue = pixels[pixel, 0], pixels[pixel, 1], pixels[pixel, 2]
            origin = corner[0, red] + corner[1, green] + corner[2, blue]
            opposite = origin + red_step + green_step + blue_step
            dr, dg, db = fraction[0, red], fraction[1, green], fraction[2, blue]
            # The path from origin to opposite walks the axes by falling fraction.
            if dr >= dg:
                if dg >= db:
                    high, middle, low = dr, dg, db
                    second, third = origin + red_step, opposite - blue_step
                elif dr >= db:
                    high, middle, low = dr, db, dg
                    second, third = origin + red_step, opposite - green_step
                else:
                    high, middle, low = db, dr, dg
                    second, third = origin + blue_step, opposite - green_step
            elif db >= dg:
                high, middle, low = db, dg, dr
                second, third = origin + blue_step, opposite - red_step
            elif db >= dr:
                high, middle, low = dg, db, dr
                second, third = origin + green_step, opposite - red_step
            else:
                high, middle, low = dg, dr, db
                second, third = origin + green_step, opposite - blue_step
            for channel in range(np.uint32(3)):
                level = (
                    (_ONE - high) * table[origin + channel]
                    + (high - middle) * table[second + channel]
                    + (middle - low) * table[third + channel]
                    + low * table[opposite + channel]
                    + _HALF
                ) >> _SHIFT
                result[pixel, channel] = min(max(level, 0), 255)
            if channels == 4:
                result[pixel, 3] = pixels[pixel, 3]
