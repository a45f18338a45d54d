"""The framework's side of an operation: convert, pad, tile, crop; the author writes the maths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import OperationFailed
from maquette.core.operation import Needs, Operation, Result, Work
from maquette.core.raster import Raster

Pixels = NDArray[Any]


def apply(
    operation: Operation[Any], rasters: Mapping[str, Raster], params: Any, work: Work
) -> Result:
    """Run an operation on `image` and whatever else it takes, honouring its `needs`.

    The image is converted to the dtype and alpha layout asked for, padded by reflection to the
    multiple and minimum, cut into overlapping tiles where the operation limits their side, and
    brought back to uint8. Side inputs (masks, references) are handed over whole, so an
    operation that takes some cannot be tiled.

    Raises
    ------
    OperationFailed
        The result has another size than `operation.scale` says.
    """
    needs = operation.needs
    image = rasters["image"].pixels
    alpha = image[..., 3] if image.shape[2] == 4 else None
    pixels = image if needs.alpha == "keep" or alpha is None else image[..., :3]
    prepared = _to_dtype(np.ascontiguousarray(pixels), needs)
    whole = needs.tile_px is None or len(rasters) > 1 or max(prepared.shape[:2]) <= needs.tile_px
    run = _whole if whole else _tiled
    result = run(operation, prepared, rasters, params, work)
    if result.image is None:
        return result
    made = _to_uint8(result.image.pixels)
    if alpha is not None and needs.alpha == "apart" and made.shape[2] == 3:
        made = np.dstack([made, _fit(alpha, made)])
    return Result(Raster(np.ascontiguousarray(made)), result.findings, result.data)


def _whole(
    operation: Operation[Any],
    pixels: Pixels,
    rasters: Mapping[str, Raster],
    params: Any,
    work: Work,
) -> Result:
    height, width = pixels.shape[:2]
    padded = _pad(pixels, operation.needs)
    result = operation.apply({**rasters, "image": Raster(padded)}, params, work)
    if result.image is None:
        return result
    scale = operation.scale(params)
    made = result.image.pixels
    expected = (round(padded.shape[0] * scale), round(padded.shape[1] * scale))
    if made.shape[:2] != expected:
        raise OperationFailed(
            f"{operation.id!r} returned {made.shape[:2]} where {expected} was due."
        )
    cropped = made[: round(height * scale), : round(width * scale)]
    return Result(Raster(np.ascontiguousarray(cropped)), result.findings, result.data)


def _tiled(
    operation: Operation[Any],
    pixels: Pixels,
    _rasters: Mapping[str, Raster],
    params: Any,
    work: Work,
) -> Result:
    """Work on tiles that overlap, and keep the middle of each."""
    needs, scale = operation.needs, operation.scale(params)
    tile = needs.tile_px or max(pixels.shape[:2])
    core = max(tile - 2 * needs.overlap_px, 1)
    height, width = pixels.shape[:2]
    canvas: Pixels | None = None
    for top in range(0, height, core):
        for left in range(0, width, core):
            bottom, right = min(top + core, height), min(left + core, width)
            y0, x0 = max(top - needs.overlap_px, 0), max(left - needs.overlap_px, 0)
            y1, x1 = min(bottom + needs.overlap_px, height), min(right + needs.overlap_px, width)
            part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
            done = _whole(operation, part, {}, params, work).image
            if done is None:
                raise OperationFailed(f"{operation.id!r} returned no picture for a tile.")
            made = done.pixels
            if canvas is None:
                shape = (round(height * scale), round(width * scale), made.shape[2])
                canvas = np.empty(shape, made.dtype)
            rows = slice(round(top * scale), round(bottom * scale))
            columns = slice(round(left * scale), round(right * scale))
            oy, ox = rows.start - round(y0 * scale), columns.start - round(x0 * scale)
            tall, wide = rows.stop - rows.start, columns.stop - columns.start
            canvas[rows, columns] = made[oy : oy + tall, ox : ox + wide]
        work.progress(min(top + core, height) / height)
    return Result(None if canvas is None else Raster(canvas))


def _pad(pixels: Pixels, needs: Needs) -> Pixels:
    height, width = pixels.shape[:2]
    tall, wide = (
        -(-max(side, needs.minimum_px) // needs.multiple_of) * needs.multiple_of
        for side in (height, width)
    )
    if (tall, wide) == (height, width):
        return pixels
    mode = "reflect" if min(height, width) > max(tall - height, wide - width) else "edge"
    return np.pad(pixels, ((0, tall - height), (0, wide - width), (0, 0)), mode=mode)


def _to_dtype(pixels: Pixels, needs: Needs) -> Pixels:
    if needs.dtype == "float32" and pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / np.float32(255)
    if needs.dtype == "uint8" and pixels.dtype != np.uint8:
        return _to_uint8(pixels)
    return pixels


def _to_uint8(pixels: Pixels) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)


def _fit(alpha: Pixels, made: Pixels) -> Pixels:
    height, width = made.shape[:2]
    if alpha.shape == (height, width):
        return alpha
    grown: Any = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(grown)
