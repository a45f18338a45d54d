"""Minimum barrier distance by raster scans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maquette.pixels.kernels.jit import compiled


@compiled()
def sweep_barriers(
    plane: NDArray[np.float32],
    distance: NDArray[np.float32],
    highest: NDArray[np.float32],
    lowest: NDArray[np.float32],
    sweeps: int,
) -> None:
    """Lower `distance` in place to the barrier distance from its zeros.

    The barrier of a path is its highest minus its lowest value; `highest` and `lowest`, both
    copies of `plane` at first, hold these for the best path found so far to each pixel.
    """
    rows, columns = plane.shape
    for sweep in range(sweeps):
        step = 1 if sweep % 2 == 0 else -1
        for i in range(rows):
            row = i if step > 0 else rows - 1 - i
            for j in range(columns):
                column = j if step > 0 else columns - 1 - j
                value = plane[row, column]
                for axis in range(2):
                    from_row = row - step if axis == 0 else row
                    from_column = column if axis == 0 else column - step
                    if 0 <= from_row < rows and 0 <= from_column < columns:
                        top = max(highest[from_row, from_column], value)
                        bottom = min(lowest[from_row, from_column], value)
                        if top - bottom < distance[row, column]:
                            distance[row, column] = top - bottom
                            highest[row, column] = top
                            lowest[row, column] = bottom
