"""A large picture through a network, in tiles that overlap and fade into each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import OperationFailed

Network: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(H, W, 3) in [0, 1] to (factor * H, factor * W, 3), which may overshoot."""


@dataclass(frozen=True)
class Tiling:
    """How much the network sees at once, and how much of it only as surroundings."""

    largest_px: int
    """The side of a tile with its surroundings; memory grows with its square."""
    overlap_px: int
    """What a tile sees on each side beyond its own part. Even, so that networks that fold 2x2
    pixels fold the same ones in every tile. Neighbours fade into each other over the inner half."""


def enlarge(
    pixels: NDArray[np.uint8],
    network: Network,
    factor: int,
    tiling: Tiling,
    *,
    wanted: NDArray[np.bool_] | None = None,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> NDArray[np.uint8]:
    """Run a network over a picture, tile by tile.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        Not modified. Its border is mirrored outwards, so that an edge has surroundings too.
    network, factor
        What enlarges a tile, and how many times.
    wanted : (H, W) bool
        A tile without any is left black and costs nothing.
    progress
        Is told the fraction that is done after each tile.

    Returns
    -------
    (H * factor, W * factor, 3) uint8

    Raises
    ------
    OperationFailed
        The network returned another size than it should, or values that are no numbers.
    """
    height, width = pixels.shape[:2]
    margin, fade = tiling.overlap_px, tiling.overlap_px // 2
    around = _mirrored(pixels, margin)
    rows = reaches(edges(height, tiling), fade)
    columns = reaches(edges(width, tiling), fade)
    result = np.zeros((height * factor, width * factor, 3), np.uint8)
    done = 0
    for top, bottom in rows:
        strip = np.zeros(((bottom - top) * factor, width * factor, 3), np.uint8)
        for left, right in columns:
            if wanted is None or wanted[top:bottom, left:right].any():
                rest = margin - fade
                seen = around[
                    top + fade : bottom + fade + 2 * rest, left + fade : right + fade + 2 * rest
                ]
                made = _run(network, seen, factor)[rest * factor :, rest * factor :]
                piece = made[: strip.shape[0], : (right - left) * factor]
                _lay(strip.swapaxes(0, 1), piece.swapaxes(0, 1), left * factor, 2 * fade * factor)
            done += 1
            progress(done / (len(rows) * len(columns)))
        _lay(result, strip, top * factor, 2 * fade * factor)
    return result


def edges(side_px: int, tiling: Tiling) -> list[int]:
    """Divide a side into as few parts as may be, all about as long, each from an even pixel on."""
    most = tiling.largest_px - 2 * tiling.overlap_px - 2  # rounding moves an edge by one at most
    count = -(-side_px // most)
    return [2 * round(part * side_px / (2 * count)) for part in range(count)] + [side_px]


def reaches(edges_px: Sequence[int], fade_px: int) -> list[tuple[int, int]]:
    """Return from where to where each part is drawn: a little beyond its neighbours' edges."""
    side = edges_px[-1]
    return [
        (max(start - fade_px, 0), min(stop + fade_px, side)) for start, stop in pairwise(edges_px)
    ]


def _mirrored(pixels: NDArray[np.uint8], margin_px: int) -> NDArray[np.uint8]:
    around = ((margin_px, margin_px), (margin_px, margin_px), (0, 0))
    return np.pad(pixels, around, mode="symmetric")


def _run(network: Network, seen: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    made = network(seen.astype(np.float32) / np.float32(255))
    due = (seen.shape[0] * factor, seen.shape[1] * factor, 3)
    if made.shape != due:
        raise OperationFailed(
            f"The network returned {made.shape!r} where {due!r} was due; its weights are not what "
            "their name says."
        )
    if not np.isfinite(made).all():
        raise OperationFailed(
            "The network returned values that are no numbers; its weights are damaged or do not "
            "suit this device. Get them again, or choose another model."
        )
    return (np.clip(made, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)


def _lay(canvas: NDArray[np.uint8], piece: NDArray[np.uint8], start: int, fade: int) -> None:
    """Draw rows over a canvas; all but the first piece fade in over what is there."""
    soft = 0 if start == 0 else min(fade, len(piece))
    share = ((np.arange(soft, dtype=np.float32) + np.float32(0.5)) / max(fade, 1))[:, None, None]
    before = canvas[start : start + soft].astype(np.float32)
    mixed = before + (piece[:soft] - before) * share
    canvas[start : start + soft] = np.rint(mixed).astype(np.uint8)
    canvas[start + soft : start + len(piece)] = piece[soft:]
