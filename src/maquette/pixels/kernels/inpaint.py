"""PatchMatch search and voting on one pyramid level.

Pictures arrive flattened to (rows, 3 * columns) `uint8`, so that one row of a patch is one
contiguous run of bytes and the innermost loop becomes vector instructions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maquette.pixels.kernels.jit import compiled

PATCH_RADIUS = 3
"""Patches are 7 x 7 pixels."""

_RUN_BYTES = 3 * (2 * PATCH_RADIUS + 1)
_FARTHEST = 2**31 - 1


@compiled()
def _next_random(state: np.uint64) -> np.uint64:
    """Xorshift64: three shifts, no table, the same on every machine."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    return state


@compiled()
def _patch_distance(
    flat: NDArray[np.uint8], row: int, column: int, other_row: int, other_column: int, limit: int
) -> int:
    """Sum of squared differences of two patches; anything >= `limit` may be cut short."""
    total = np.int32(0)
    start = 3 * (column - PATCH_RADIUS)
    other_start = 3 * (other_column - PATCH_RADIUS)
    for down in range(-PATCH_RADIUS, PATCH_RADIUS + 1):
        run = flat[row + down, start : start + _RUN_BYTES]
        other_run = flat[other_row + down, other_start : other_start + _RUN_BYTES]
        for i in range(_RUN_BYTES):
            difference = np.int32(run[i]) - np.int32(other_run[i])
            total += difference * difference
        if total >= limit:
            break
    return int(total)


@compiled()
def measure(
    flat: NDArray[np.uint8],
    targets: NDArray[np.int32],
    matches: NDArray[np.int32],
    costs: NDArray[np.int32],
) -> None:
    """Write to `costs` the distance between each target patch and its match."""
    for k in range(targets.shape[0]):
        costs[k] = _patch_distance(
            flat, targets[k, 0], targets[k, 1], matches[k, 0], matches[k, 1], _FARTHEST
        )


@compiled()
def search(  # noqa: PLR0917 - Numba takes no keywords
    flat: NDArray[np.uint8],
    usable: NDArray[np.bool_],
    targets: NDArray[np.int32],
    index: NDArray[np.int32],
    matches: NDArray[np.int32],
    costs: NDArray[np.int32],
    state: np.uint64,
    step: int,
    reach_px: int,
) -> np.uint64:
    """One PatchMatch sweep: propagation along `step` (+1 or -1), then random search.

    `targets` are in scan order and `index` maps a pixel to its place there, or to -1. `matches`
    and `costs` are improved in place; the random state after the sweep is returned.
    """
    rows, columns = usable.shape
    count = targets.shape[0]
    for q in range(count):
        k = q if step > 0 else count - 1 - q
        row = targets[k, 0]
        column = targets[k, 1]
        best = int(costs[k])
        best_row = int(matches[k, 0])
        best_column = int(matches[k, 1])
        for axis in range(2):
            down = step if axis == 0 else 0
            right = step - down
            neighbour = index[row - down, column - right]
            if neighbour >= 0:
                try_row = int(matches[neighbour, 0]) + down
                try_column = int(matches[neighbour, 1]) + right
                if usable[try_row, try_column]:
                    cost = _patch_distance(flat, row, column, try_row, try_column, best)
                    if cost < best:
                        best, best_row, best_column = cost, try_row, try_column
        reach = reach_px
        while reach >= 1:
            state = _next_random(state)
            width = np.uint64(2 * reach + 1)
            try_row = best_row + int((state & np.uint64(0xFFFFFFFF)) % width) - reach
            try_column = best_column + int((state >> np.uint64(32)) % width) - reach
            if 0 <= try_row < rows and 0 <= try_column < columns and usable[try_row, try_column]:
                cost = _patch_distance(flat, row, column, try_row, try_column, best)
                if cost < best:
                    best, best_row, best_column = cost, try_row, try_column
            reach //= 2
        costs[k] = best
        matches[k, 0] = best_row
        matches[k, 1] = best_column
    return state


@compiled(fastmath=True)
def vote(
    flat: NDArray[np.uint8],
    holes: NDArray[np.int32],
    index: NDArray[np.int32],
    matches: NDArray[np.int32],
    costs: NDArray[np.int32],
    trust: NDArray[np.float32],
    softness: float,
    voted: NDArray[np.float32],
) -> None:
    """Write to `voted` (one colour per hole pixel) the weighted mean of what its patches say.

    A patch weighs `trust * exp(-cost / scale)`, where the scale is `softness` times the mean cost
    of the patches over that very pixel: near the rim all of them are costly.
    """
    rows, columns = index.shape
    for k in range(holes.shape[0]):
        row = holes[k, 0]
        column = holes[k, 1]
        first_row = max(0, row - PATCH_RADIUS)
        end_row = min(rows, row + PATCH_RADIUS + 1)
        first_column = max(0, column - PATCH_RADIUS)
        end_column = min(columns, column + PATCH_RADIUS + 1)
        voices = 0
        cost_sum = np.float32(0)
        least = _FARTHEST
        for r in range(first_row, end_row):
            for c in range(first_column, end_column):
                centre = index[r, c]
                if centre >= 0:
                    voices += 1
                    cost_sum += np.float32(costs[centre])
                    least = min(least, int(costs[centre]))
        scale = np.float32(softness) * cost_sum / np.float32(voices) + np.float32(1)
        total = np.float32(0)
        red = np.float32(0)
        green = np.float32(0)
        blue = np.float32(0)
        for r in range(first_row, end_row):
            for c in range(first_column, end_column):
                centre = index[r, c]
                if centre >= 0:
                    excess = np.float32(int(costs[centre]) - least)
                    weight = trust[centre] * np.exp(-excess / scale) + np.float32(1e-20)
                    from_row = matches[centre, 0] + row - r
                    from_byte = 3 * (matches[centre, 1] + column - c)
                    total += weight
                    red += weight * flat[from_row, from_byte]
                    green += weight * flat[from_row, from_byte + 1]
                    blue += weight * flat[from_row, from_byte + 2]
        voted[k, 0] = red / total
        voted[k, 1] = green / total
        voted[k, 2] = blue / total
