"""Compiled loops of the painter: follow the flow, lay down paint, draw lines.

Rows of the picture are shared out in bands, and within a band strokes land in their order, so
the result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.pixels.kernels.jit import compiled, prange

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int32]

BANDS = 32
BAND_STRIDE = 13
"""Threads take runs of neighbouring jobs; a stride prime to `BANDS` gives each a fair mixture."""


def brush_layer(
    canvas: FloatArray,
    height: FloatArray,
    reference: FloatArray,
    flow: FloatArray,
    starts: FloatArray,
    colours: FloatArray,
    *,
    path: tuple[float, float, int, int],
    paint: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    """Lay one stroke from each of `starts` in random order.

    `path` is radius in pixels, bend, least and most points; `paint` is opacity, bristle and rim.
    """
    radius_px, bend, least, most = path
    paths = np.zeros((len(starts), most + 1, 2), np.float32)
    counts = np.zeros(len(starts), np.int32)
    radius = np.float32(radius_px)
    turn = np.float32(bend)
    trace_strokes(starts, colours, reference, canvas, flow, radius, turn, least, paths, counts)
    hairs = np.asarray(cv2.GaussianBlur(rng.random((256, 64), np.float32), (5, 1), 0.7), np.float32)
    order = rng.permutation(len(starts)).astype(np.int32)
    opacity, bristle, rim = (np.float32(share) for share in paint)
    lay_strokes(canvas, height, paths, counts, colours, order, hairs, radius, opacity, bristle, rim)


def hatch_layer(
    lines: FloatArray,
    pressure: FloatArray,
    flow: FloatArray,
    *,
    angle_rad: float,
    pen: tuple[float, float, float, float, float],
    rng: np.random.Generator,
) -> None:
    """Add lines along `flow`; `pen` is radius, spacing, length in pixels, opacity and swell."""
    radius_px, spacing_px, length_px, opacity, swell = pen
    starts = hatch_starts(lines.shape, angle_rad, spacing_px, max(4.0, length_px * 0.6), rng)
    step_px = max(1.5, radius_px * 2)
    points = np.zeros((len(starts), max(2, round(length_px / step_px)), 2), np.float32)
    pressures = np.zeros(points.shape[:2], np.float32)
    counts = np.zeros(len(starts), np.int32)
    trace_lines(starts, pressure, flow, np.float32(step_px), points, pressures, counts)
    radius, dark, broad = np.float32(radius_px), np.float32(opacity), np.float32(swell)
    draw_lines(lines, points, pressures, counts, radius, dark, broad)


def hatch_starts(
    shape: tuple[int, ...], angle_rad: float, across_px: float, along_px: float, rng: Any
) -> FloatArray:
    """Return places (n, 2), `across_px` apart from line to line and `along_px` along a line."""
    extent = np.array(shape, np.float32)
    reach = math.hypot(*shape) / 2
    if reach * reach > 100 * math.prod(shape):  # A turned lattice round a ribbon is mostly outside.
        count = math.ceil(math.prod(shape) / (across_px * along_px))
        return (rng.random((count, 2), np.float32) * extent * np.float32(0.9999)).astype(np.float32)
    v, u = np.mgrid[-reach : reach + across_px : across_px, -reach : reach + along_px : along_px]
    u += rng.random(u.shape) * along_px
    v += (rng.random(v.shape) - 0.5) * across_px * 0.5
    sine, cosine = math.sin(angle_rad), math.cos(angle_rad)
    turned = np.stack([u * sine + v * cosine, u * cosine - v * sine], axis=-1).reshape(-1, 2)
    starts = (turned + extent / 2).astype(np.float32)
    return starts[((starts >= 0) & (starts < extent)).all(axis=1)]


@compiled()
def along_flow(
    flow: FloatArray, row: Any, column: Any, heading_row: Any, heading_column: Any
) -> tuple[Any, Any]:
    """Return the flow at a place given in shares of the picture, turned to go on forwards."""
    r = min(int(row * flow.shape[0]), flow.shape[0] - 1)
    c = min(int(column * flow.shape[1]), flow.shape[1] - 1)
    if flow[r, c, 0] * heading_row + flow[r, c, 1] * heading_column < 0:
        return -flow[r, c, 0], -flow[r, c, 1]
    return flow[r, c, 0], flow[r, c, 1]


@compiled(parallel=True)
def trace_strokes(  # noqa: PLR0917 - Numba takes no keywords
    starts: FloatArray,
    colours: FloatArray,
    reference: FloatArray,
    canvas: FloatArray,
    flow: FloatArray,
    step_px: np.float32,
    bend: np.float32,
    min_points: int,
    points: FloatArray,
    counts: IntArray,
) -> None:
    """Fill `points` (n, most, 2) and `counts` (n,) by walking along `flow` while colours help.

    `flow` (h, w, 2) may be smaller than the picture, and its sign means nothing.
    """
    rows, columns = reference.shape[:2]
    for index in prange(starts.shape[0]):
        row, column = starts[index, 0], starts[index, 1]
        points[index, 0, 0] = row
        points[index, 0, 1] = column
        count = 1
        heading_row, heading_column = np.float32(0), np.float32(0)
        while count < points.shape[1]:
            r, c = int(row), int(column)
            if count > min_points:
                painted, offered = np.float32(0), np.float32(0)
                for channel in range(3):
                    wanted = reference[r, c, channel]
                    painted += abs(wanted - canvas[r, c, channel])
                    offered += abs(wanted - colours[index, channel])
                if painted < offered:
                    break
            along_row, along_column = along_flow(
                flow, row / rows, column / columns, heading_row, heading_column
            )
            heading_row = bend * along_row + (1 - bend) * heading_row
            heading_column = bend * along_column + (1 - bend) * heading_column
            length = np.hypot(heading_row, heading_column) + np.float32(1e-6)
            heading_row /= length
            heading_column /= length
            row += heading_row * step_px
            column += heading_column * step_px
            if row < 0 or column < 0 or row >= rows - 1 or column >= columns - 1:
                break
            points[index, count, 0] = row
            points[index, count, 1] = column
            count += 1
        counts[index] = count


@compiled(parallel=True)
def trace_lines(
    starts: FloatArray,
    tone: FloatArray,
    flow: FloatArray,
    step_px: np.float32,
    points: FloatArray,
    pressures: FloatArray,
    counts: IntArray,
) -> None:
    """Walk along `flow` from each start while `tone` (0..1, the pen's pressure) is above zero."""
    rows, columns = tone.shape
    for index in prange(starts.shape[0]):
        row, column = starts[index, 0], starts[index, 1]
        count = 0
        down, right = np.float32(0), np.float32(0)
        while count < points.shape[1] and 0 <= row < rows and 0 <= column < columns:
            pressure = tone[int(row), int(column)]
            if pressure <= 0:
                break
            points[index, count, 0] = row
            points[index, count, 1] = column
            pressures[index, count] = pressure
            count += 1
            down, right = along_flow(flow, row / rows, column / columns, down, right)
            row += down * step_px
            column += right * step_px
        counts[index] = count


@compiled()
def cut_row(start: int, end: int, from_row: Any, column: Any, n0: Any, n1: Any) -> tuple[int, int]:
    """Keep the columns of a row that lie on the side of a joint to which its normal points."""
    if n1 == 0:
        return (start, end) if from_row * n0 >= 0 else (start, start)
    border = math.ceil(column - from_row * n0 / n1)
    return (max(start, border), end) if n1 > 0 else (start, min(end, border))


@compiled(parallel=True, fastmath=True)
def lay_strokes(  # noqa: PLR0917 - Numba takes no keywords
    canvas: FloatArray,
    height: FloatArray,
    points: FloatArray,
    counts: IntArray,
    colours: FloatArray,
    order: IntArray,
    profiles: FloatArray,
    radius_px: np.float32,
    opacity: np.float32,
    bristle: np.float32,
    rim: np.float32,
) -> None:
    """Blend strokes into `canvas` (H, W, 3) and their relief into `height` (H, W), in `order`.

    A row of `profiles` holds the load of each hair across the brush, 0..1. Thin hairs run dry
    towards the end of the stroke; `rim` moves pigment from the middle to the edge.
    """
    rows, columns = height.shape
    band_rows = (rows + BANDS - 1) // BANDS
    hairs = np.float32(profiles.shape[1] - 2)
    nought, one = np.float32(0), np.float32(1)
    half = np.float32(0.5)
    squared_radius = radius_px * radius_px
    to_hair = half * hairs / radius_px
    for job in prange(BANDS):
        band = (job * BAND_STRIDE) % BANDS
        first_row = band * band_rows
        end_row = min(rows, first_row + band_rows)
        normals = np.zeros((points.shape[1], 2), np.float32)
        for turn in range(order.shape[0]):
            index = order[turn]
            count = counts[index]
            stroke = points[index]
            top, bottom = stroke[:count, 0].min(), stroke[:count, 0].max()
            if bottom + radius_px < first_row or top - radius_px >= end_row:
                continue
            # Segments meet at the plane across their joint, so that each pixel belongs to one of
            # them: a bend is neither painted twice nor left open.
            for joint in range(1, count - 1):
                normals[joint, 0] = stroke[joint + 1, 0] - stroke[joint - 1, 0]
                normals[joint, 1] = stroke[joint + 1, 1] - stroke[joint - 1, 1]
            hair_load = profiles[index % profiles.shape[0]]
            segments = max(1, count - 1)
            for segment in range(segments):
                finish = min(segment + 1, count - 1)
                r0, c0 = stroke[segment, 0], stroke[segment, 1]
                r1, c1 = stroke[finish, 0], stroke[finish, 1]
                along_row, along_column = r1 - r0, c1 - c0
                squared_length = along_row * along_row + along_column * along_column
                inverse = one / squared_length if squared_length > 0 else nought
                root = np.sqrt(inverse)
                low = max(first_row, int(min(r0, r1) - radius_px))
                high = min(end_row, int(max(r0, r1) + radius_px) + 2)
                left = max(0, int(min(c0, c1) - radius_px))
                right = min(columns, int(max(c0, c1) + radius_px) + 2)
                for row in range(low, high):
                    from_row = np.float32(row) - r0
                    start, end = left, right
                    if abs(along_row) > np.float32(0.1):
                        middle = c0 + from_row * along_column / along_row
                        breadth = radius_px / (abs(along_row) * root)
                        start = max(left, int(middle - breadth))
                        end = min(right, int(middle + breadth) + 2)
                    if segment > 0:
                        n0, n1 = normals[segment, 0], normals[segment, 1]
                        start, end = cut_row(start, end, from_row, c0, n0, n1)
                    if finish < count - 1:
                        n0, n1 = normals[finish, 0], normals[finish, 1]
                        start, end = cut_row(start, end, np.float32(row) - r1, c1, -n0, -n1)
                    for column in range(start, end):
                        from_column = np.float32(column) - c0
                        share = (from_row * along_row + from_column * along_column) * inverse
                        share = min(max(share, nought), one)
                        off_row = from_row - share * along_row
                        off_column = from_column - share * along_column
                        squared = off_row * off_row + off_column * off_column
                        if squared >= squared_radius:
                            continue
                        across = (along_column * from_row - along_row * from_column) * root
                        place = across * to_hair + half * hairs
                        place = min(max(place, nought), hairs)
                        hair = int(place)
                        rest = place - np.float32(hair)
                        load = hair_load[hair] * (one - rest) + hair_load[hair + 1] * rest
                        progress = (np.float32(segment) + share) / np.float32(segments)
                        wetness = load - (progress * np.float32(0.55) - np.float32(0.05)) * bristle
                        wetness = wetness * np.float32(4) + np.float32(0.6)
                        wetness = min(max(wetness, nought), one)
                        inside = radius_px - np.sqrt(squared)
                        edge = min(one, inside * np.float32(0.7))
                        bulge = squared * (one / squared_radius)
                        alpha = opacity * edge * wetness * (one - rim + rim * bulge * bulge)
                        shade = one + bristle * np.float32(0.22) * (load - half)
                        for channel in range(3):
                            before = canvas[row, column, channel]
                            after = colours[index, channel] * shade
                            canvas[row, column, channel] = before + (after - before) * alpha
                        relief = load * (one - half * bulge)
                        height[row, column] += (relief - height[row, column]) * alpha


@compiled(parallel=True, fastmath=True)
def draw_lines(
    coverage: FloatArray,
    points: FloatArray,
    pressures: FloatArray,
    counts: IntArray,
    radius_px: np.float32,
    opacity: np.float32,
    swell: np.float32,
) -> None:
    """Add lines to `coverage` (H, W): pressure makes them broad (`swell` 1) or dark (`swell` 0)."""
    rows, columns = coverage.shape
    band_rows = (rows + BANDS - 1) // BANDS
    nought, one = np.float32(0), np.float32(1)
    reach = radius_px + one
    for job in prange(BANDS):
        band = (job * BAND_STRIDE) % BANDS
        first_row = band * band_rows
        end_row = min(rows, first_row + band_rows)
        for index in range(counts.shape[0]):
            count = counts[index]
            for segment in range(count - 1):
                r0, c0 = points[index, segment, 0], points[index, segment, 1]
                r1, c1 = points[index, segment + 1, 0], points[index, segment + 1, 1]
                along_row, along_column = r1 - r0, c1 - c0
                press0, press1 = pressures[index, segment], pressures[index, segment + 1]
                inverse = one / (along_row * along_row + along_column * along_column)
                low = max(first_row, int(min(r0, r1) - reach))
                high = min(end_row, int(max(r0, r1) + reach) + 2)
                if low >= high:
                    continue
                left = max(0, int(min(c0, c1) - reach))
                right = min(columns, int(max(c0, c1) + reach) + 2)
                last = segment == count - 2
                for row in range(low, high):
                    from_row = np.float32(row) - r0
                    for column in range(left, right):
                        from_column = np.float32(column) - c0
                        share = (from_row * along_row + from_column * along_column) * inverse
                        if (share < 0 and segment > 0) or (share >= one and not last):
                            continue
                        share = min(max(share, nought), one)
                        off_row = from_row - share * along_row
                        off_column = from_column - share * along_column
                        press = press0 + (press1 - press0) * share
                        broad = radius_px * (one - swell + swell * press)
                        away = np.sqrt(off_row * off_row + off_column * off_column)
                        # Half a pixel of ramp on each side is what a box filter would leave.
                        edge = min(max(broad + np.float32(0.5) - away, nought), one)
                        edge = min(edge, np.float32(2) * broad)
                        alpha = opacity * edge * (swell + (one - swell) * press)
                        coverage[row, column] += (one - coverage[row, column]) * alpha
