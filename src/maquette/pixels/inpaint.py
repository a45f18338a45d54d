"""Filling holes with texture from the rest of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter

_PATCH_RADIUS: Final = 3
_LEAST_SOURCES: Final = 32
"""Fewer whole patches than this to copy from, and diffusion looks better than repetition."""
_ROUNDS: Final = (10, 6, 3, 2)
"""Search-and-vote rounds from the coarsest level on; finer levels repeat the last figure."""
_SETTLED: Final = 0.4
"""Mean change of a round, in levels of 255, below which a pyramid level is finished."""
_SOFTNESS: Final = 0.4
"""Towards 0 the best patch over a pixel decides alone (crisp); towards 1 they blend (blurred)."""
_DISTRUST: Final = 1.8
"""Loss of weight per pixel into the hole; less than 1.5 leaves ragged rims."""
_NEAR_REACH_PX: Final = 64
"""Random search on the finer levels, where the coarser one has already found the region."""


@dataclass(frozen=True)
class _Level:
    """One pyramid level: pixels, hole, patch centres to fill and patch centres to copy from."""

    pixels: NDArray[np.uint8]
    hole: NDArray[np.bool_]
    targets: NDArray[np.int32]
    usable: NDArray[np.bool_]
    sources: NDArray[np.int32]


@dataclass(frozen=True)
class _Filled:
    """The finished state of a level, from which the next finer one starts."""

    pixels: NDArray[np.uint8]
    matches: NDArray[np.int32]
    index: NDArray[np.int32]


def fill(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], *, seed: int = 0) -> NDArray[np.uint8]:
    """Fill the masked holes with texture found elsewhere in the picture.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, sRGB-encoded. Not modified.
    mask : (H, W) uint8
        Above 127 is a hole. An empty mask returns a copy.
    seed : int
        Start of the random search, 0 or more.

    Returns
    -------
    (H, W, 3) uint8
        Equal to `pixels`, byte for byte, outside the holes. The same arguments give the same
        bytes. Holes far from each other are filled each from its own surroundings. Where fewer
        than 32 whole 7 x 7 patches remain to copy from, colours are diffused inwards instead
        (Telea); where nothing remains, the hole becomes the mean colour of `pixels`.

    Raises
    ------
    BadParameter
        A shape, a dtype or the seed is not as above.

    References
    ----------
    Barnes, Shechtman, Finkelstein, Goldman (2009), "PatchMatch: a randomized correspondence
    algorithm for structural image editing", doi:10.1145/1531326.1531330.
    Wexler, Shechtman, Irani (2007), "Space-time completion of video",
    doi:10.1109/TPAMI.2007.60.
    Telea (2004), "An image inpainting technique based on the fast marching method",
    doi:10.1080/10867651.2004.10487596.

    Differs from the paper: votes are a weighted mean, not mean shift, on the scale of the mean cost
    of the patches over each pixel; a level ends early when a round changes little; patches that
    reach past the border of the picture are not used.
    """
    _check(pixels, mask, seed)
    hole = mask > 127
    result = pixels.copy()
    if not hole.any():
        return result
    if hole.all():
        result[:] = np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8)
        return result
    for box in _clusters(hole):
        inside = hole[box]
        result[box][inside] = _fill_cluster(pixels[box], inside, seed)[inside]
    return result


def warm() -> None:
    """Compile the kernels, or load them from the disk cache."""
    pixels = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3).astype(np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[12:18, 12:18] = 255
    fill(pixels, mask)


def _check(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], seed: int) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadParameter(
            f"pixels are {pixels.shape!r} {pixels.dtype!r}: hand in (H, W, 3) uint8 RGB"
        )
    if mask.shape != pixels.shape[:2] or mask.dtype != np.uint8:
        raise BadParameter(
            f"mask is {mask.shape!r} {mask.dtype!r}: hand in uint8 of shape {pixels.shape[:2]!r}"
        )
    if seed < 0:
        raise BadParameter(f"seed is {seed!r}: choose 0 or more")


def _clusters(hole: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    """Yield disjoint boxes, each with the surroundings its holes need; together all holes."""
    rows, columns = hole.shape
    area = hole.astype(np.uint8)
    count = -1
    while True:
        found, _, stats, _ = cv2.connectedComponentsWithStats(area, connectivity=8)
        if found == count:
            break
        grown = np.zeros_like(area)
        for left, top, width, height, _ in stats[1:].tolist():
            # Later rounds merge boxes that overlap; they have their margin already.
            margin = int(np.clip(1.2 * max(width, height), 96, 512)) if count < 0 else 0
            grown[
                max(0, top - margin) : top + height + margin,
                max(0, left - margin) : left + width + margin,
            ] = 1
        area, count = grown, found
    for left, top, width, height, _ in stats[1:].tolist():
        yield slice(top, min(rows, top + height)), slice(left, min(columns, left + width))


def _fill_cluster(
    pixels: NDArray[np.uint8], hole: NDArray[np.bool_], seed: int
) -> NDArray[np.uint8]:
    levels = _pyramid(np.ascontiguousarray(pixels), hole)
    if not levels:
        return _diffuse(pixels, hole)
    filled: _Filled | None = None
    for depth, level in enumerate(reversed(levels)):
        random = np.random.default_rng((seed, depth))
        filled = _solve(level, filled, _ROUNDS[min(depth, len(_ROUNDS) - 1)], random)
    assert filled is not None
    return filled.pixels


def _diffuse(pixels: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.asarray(
        cv2.inpaint(
            np.ascontiguousarray(pixels), hole.astype(np.uint8), _PATCH_RADIUS, cv2.INPAINT_TELEA
        ),
        np.uint8,
    )


def _pyramid(pixels: NDArray[np.uint8], hole: NDArray[np.bool_]) -> list[_Level]:
    """Halve until a patch can see across the hole; finest first, empty without any source."""
    levels: list[_Level] = []
    level = _level(pixels, hole)
    while level is not None:
        levels.append(level)
        deepest = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3).max()
        if deepest <= 2 * _PATCH_RADIUS or min(level.hole.shape) < 8 * _PATCH_RADIUS:
            break
        level = _level(*_halve(level.pixels, level.hole))
    return levels


def _halve(
    pixels: NDArray[np.uint8], hole: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Average the known pixels only; a block is a hole when most of it is."""
    size = (hole.shape[1] // 2, hole.shape[0] // 2)
    known = (~hole).astype(np.float32)
    total = cv2.resize(pixels * known[..., None], size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    halved = total / np.maximum(share, 1e-3)[..., None]
    return np.clip(np.rint(halved), 0, 255).astype(np.uint8), share < 0.5


def _level(pixels: NDArray[np.uint8], hole: NDArray[np.bool_]) -> _Level | None:
    """Sort the patch centres; None when there is too little to copy from."""
    if min(hole.shape) <= 2 * _PATCH_RADIUS:
        return None
    whole = np.zeros_like(hole)
    inner = (slice(_PATCH_RADIUS, -_PATCH_RADIUS),) * 2
    whole[inner] = True
    window = np.ones((2 * _PATCH_RADIUS + 1,) * 2, np.uint8)
    touched = cv2.dilate(hole.astype(np.uint8), window).astype(np.bool_)
    usable = whole & ~touched
    sources = np.argwhere(usable).astype(np.int32)
    if len(sources) < _LEAST_SOURCES:
        return None
    return _Level(pixels, hole, np.argwhere(whole & touched).astype(np.int32), usable, sources)


def _solve(
    level: _Level, coarser: _Filled | None, rounds: int, random: np.random.Generator
) -> _Filled:
    """Alternate between finding the best patches and voting for colours."""
    from maquette.pixels.kernels import inpaint as kernels  # noqa: PLC0415 - loads Numba

    rows, columns = level.hole.shape
    index = np.full((rows, columns), -1, np.int32)
    index[tuple(level.targets.T)] = np.arange(len(level.targets), dtype=np.int32)
    matches = _first_matches(level, coarser, random)
    pixels = _first_guess(level, coarser)
    flat = pixels.reshape(rows, 3 * columns)
    holes = np.argwhere(level.hole).astype(np.int32)
    trust = _trust(level)
    costs = np.empty(len(level.targets), np.int32)
    voted = np.empty((len(holes), 3), np.float32)
    reach_px = max(rows, columns) if coarser is None else _NEAR_REACH_PX
    state = np.uint64(random.integers(1, 2**63))
    for _ in range(rounds):
        kernels.measure(flat, level.targets, matches, costs)
        for step in (1, -1):
            state = np.uint64(
                kernels.search(
                    flat, level.usable, level.targets, index, matches, costs, state, step, reach_px
                )
            )
        kernels.vote(flat, holes, index, matches, costs, trust, _SOFTNESS, voted)
        change = float(np.abs(voted - pixels[level.hole]).mean())
        pixels[level.hole] = np.rint(voted).astype(np.uint8)
        if change < _SETTLED:
            break
    return _Filled(pixels, matches, index)


def _trust(level: _Level) -> NDArray[np.float32]:
    """Patches deep in the hole are guesses about guesses and weigh less."""
    touched = np.zeros(level.hole.shape, np.uint8)
    touched[tuple(level.targets.T)] = 1
    depth_px = cv2.distanceTransform(touched, cv2.DIST_L2, 3)[tuple(level.targets.T)]
    return np.power(_DISTRUST, -depth_px).astype(np.float32)


def _first_guess(level: _Level, coarser: _Filled | None) -> NDArray[np.uint8]:
    if coarser is None:
        return _diffuse(level.pixels, level.hole)
    pixels = level.pixels.copy()
    size = (level.hole.shape[1], level.hole.shape[0])
    enlarged = cv2.resize(coarser.pixels, size, interpolation=cv2.INTER_LINEAR)
    pixels[level.hole] = enlarged[level.hole]
    return pixels


def _first_matches(
    level: _Level, coarser: _Filled | None, random: np.random.Generator
) -> NDArray[np.int32]:
    """Twice the coarser level's matches where they are usable here, random ones elsewhere."""
    matches = level.sources[random.integers(0, len(level.sources), len(level.targets))]
    if coarser is None:
        return matches
    last = np.array(coarser.index.shape) - 1
    found = coarser.index[tuple(np.minimum(level.targets // 2, last).T)]
    doubled = coarser.matches[found] * 2 + level.targets % 2
    doubled = np.minimum(doubled, np.array(level.hole.shape) - 1).astype(np.int32)
    good = (found >= 0) & level.usable[tuple(doubled.T)]
    matches[good] = doubled[good]
    return matches
