"""Finding the thing that somebody points at, without a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.pixels.hints import Hints
from maquette.pixels.matte import refine_alpha
from maquette.pixels.segment import Segmentation

_WORK_PX: Final = 320
_LEAST_PX: Final = 16
_LAB_WEIGHTS: Final = (0.7, 1.2, 1.2)
"""Shadows change lightness, so hue counts for more."""
_SWEEPS: Final = 6
_THRESHOLDS: Final = np.arange(2.5, 120, 4)
"""Barriers, in weighted Lab units, at which a region may end."""
_EDGE_LAB: Final = 12.0
"""A step of this height in Lab is an edge without doubt."""
_ROUNDS: Final = 2
_LEAST_SAMPLES: Final = 64
"""GrabCut fits five colours to each side and needs pixels to fit them to."""

_Plane = NDArray[np.float32]
_Mask = NDArray[np.uint8]


def thing(pixels: NDArray[np.uint8], hints: Hints, *, seed: int = 0) -> Segmentation:
    """Find the outline of what is pointed at by colours and edges alone.

    This is a draft: one click finds a part of one colour, such as a face or a sky; more clicks
    add parts, clicks outside hold it back, and a box finds things of many colours.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, sRGB-encoded. Not modified.
    hints : Hints
        At least one point inside, or a box.
    seed : int
        Start of the clustering of colours, 0 or more.

    Returns
    -------
    Segmentation
        `alpha`: (H, W) uint8, 255 = the thing, soft at its edge. `confidence`: 0..1, from what can
        be measured: whether the colours on both sides of the outline differ, whether the outline
        follows edges and whether the inside has few of its own. A picture with a side under 16 px
        at working size has confidence 0. The same arguments give the same bytes.

    Raises
    ------
    BadParameter
        A shape, a dtype, the seed or a hint is not as above.

    References
    ----------
    Zhang, Sclaroff, Lin, Shen, Price, Mech (2015), "Minimum barrier salient object detection at
    80 FPS", doi:10.1109/ICCV.2015.165.
    Rother, Kolmogorov, Blake (2004), "GrabCut: interactive foreground extraction using iterated
    graph cuts", doi:10.1145/1015706.1015720.

    Differs from the paper: barriers are measured from each click in Lab; of the regions that
    thresholds give, the one is taken whose outline lies on the clearest edges over the most
    thresholds; GrabCut starts from these regions and may move their outline by a few pixels at
    working size, twice; with a box it is free inside it.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadParameter(
            f"pixels are {pixels.shape!r} {pixels.dtype!r}: hand in (H, W, 3) uint8 RGB"
        )
    if seed < 0:
        raise BadParameter(f"seed is {seed!r}: choose 0 or more")
    rows, columns = pixels.shape[:2]
    hints.check(rows, columns)
    small, marks = _shrunk(pixels, hints)
    edges, region = _regions(small, marks)
    boxed = hints.box is not None
    cut = _cut_in_box(small, region, marks, seed) if boxed else _cut(small, region, marks, seed)
    enlarged = _as_mask(
        cv2.resize(cut * np.uint8(255), (columns, rows), interpolation=cv2.INTER_CUBIC)
    )
    alpha = refine_alpha(pixels, enlarged, radius_px=max(2, max(rows, columns) // 80))
    return Segmentation(alpha, _confidence(small, edges, cut, boxed=boxed))


def warm() -> None:
    """Compile the kernel, or load it from the disk cache."""
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[8:24, 8:24] = 255
    thing(picture, Hints(((16, 16),)))


@dataclass(frozen=True, eq=False)
class _Marks:
    """The hints at working size."""

    inside: _Mask
    outside: _Mask
    allowed: _Mask

    @property
    def banned(self) -> _Mask:
        return self.outside | (1 - self.allowed)


def _shrunk(pixels: NDArray[np.uint8], hints: Hints) -> tuple[NDArray[np.uint8], _Marks]:
    rows, columns = pixels.shape[:2]
    scale = min(1.0, _WORK_PX / max(rows, columns))
    wide, tall = max(1, round(columns * scale)), max(1, round(rows * scale))
    small = cv2.resize(pixels, (wide, tall), interpolation=cv2.INTER_AREA)
    inside, outside, allowed = np.zeros((3, tall, wide), np.uint8)
    for plane, points in ((inside, hints.inside), (outside, hints.outside)):
        for row, column in points:
            plane[row * tall // rows, column * wide // columns] = 1
    top, left, bottom, right = hints.box or (0, 0, rows, columns)
    down = slice(top * tall // rows, -(-bottom * tall // rows))
    across = slice(left * wide // columns, -(-right * wide // columns))
    allowed[down, across] = 1
    outside[inside == 1] = 0
    return np.asarray(small, np.uint8), _Marks(inside, outside, allowed)


def _regions(small: NDArray[np.uint8], marks: _Marks) -> tuple[_Plane, _Mask]:
    """Return how clear an edge each pixel lies on, 0..1, and what belongs to the clicks."""
    calm = cv2.bilateralFilter(small, 0, 25, 3)
    lab = np.asarray(cv2.cvtColor(calm.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    across = np.asarray(cv2.Sobel(lab, cv2.CV_32F, 1, 0, scale=0.25), np.float32)
    down = np.asarray(cv2.Sobel(lab, cv2.CV_32F, 0, 1, scale=0.25), np.float32)
    height = np.sqrt((across**2 + down**2).sum(axis=-1))
    edges = np.minimum(height / np.float32(_EDGE_LAB), 1).astype(np.float32)
    wide = np.asarray(cv2.dilate(edges, np.ones((3, 3), np.uint8)), np.float32)
    region = np.zeros_like(marks.inside)
    banned = _barriers(lab, marks.banned) if marks.banned.any() else None
    for row, column in np.argwhere(marks.inside):
        click = np.zeros_like(region)
        click[row, column] = 1
        region |= _region_of(click, _barriers(lab, click), wide, banned, marks)
    return edges, region


def _barriers(lab: _Plane, zeros: _Mask) -> _Plane:
    """Minimum barrier distance from the marked pixels."""
    from maquette.pixels.kernels.segment import sweep_barriers  # noqa: PLC0415 - loads Numba

    total, marked = np.zeros(lab.shape[:2], np.float32), zeros == 1
    for channel, weight in enumerate(_LAB_WEIGHTS):
        plane = np.ascontiguousarray(lab[..., channel])
        # What no path has reached has no range either, or it would pass for a start.
        distance = np.full(plane.shape, np.inf, np.float32)
        highest = distance.copy()
        lowest = np.full(plane.shape, -np.inf, np.float32)
        distance[marked] = 0
        highest[marked] = lowest[marked] = plane[marked]
        sweep_barriers(plane, distance, highest, lowest, _SWEEPS)
        total += np.float32(weight) * distance
    return total


def _region_of(
    click: _Mask, near: _Plane, edges: _Plane, banned: _Plane | None, marks: _Marks
) -> _Mask:
    """Grow from a click until the outline lies on the clearest edges; never onto a ban."""
    held = near[marks.outside == 1].min(initial=np.inf)
    limits = [limit for limit in _THRESHOLDS if limit < held] or [_THRESHOLDS[0]]
    best, score, area = click, -1.0, 0
    stood, worth, region = 0, 0.0, click
    for limit in limits:
        grown = _reached(_as_mask(near <= limit), click)
        if int(grown.sum()) == area:
            stood += 1
        else:
            area, stood, region = int(grown.sum()), 1, _filled(grown)
            worth = _clarity(region, edges)
        if worth * (1 + 0.3 * min(stood, 3)) > score:
            best, score = region, worth * (1 + 0.3 * min(stood, 3))
    if banned is not None:
        best = _reached(best & _as_mask(near <= banned) & (1 - marks.banned) | click, click)
    return best


def _clarity(region: _Mask, edges: _Plane) -> float:
    """Say how well a region can be seen; specks and nearly everything count less."""
    outline = _outline(region)
    if not outline.any():
        return 0.0
    share = float(region.mean())
    rim = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]])
    size = min(1.0, share / 0.01) ** 0.5 * min(1.0, (1 - share) / 0.3)
    return float(edges[outline].mean()) * size * (1 - 0.3 * float(rim.mean()))


def _cut(small: NDArray[np.uint8], region: _Mask, marks: _Marks, seed: int) -> _Mask:
    """Let GrabCut find the outline near the region; where it wants further, once more."""
    grain = _grain(region.shape)
    found = region
    for _ in range(2):
        reach = _as_mask(cv2.dilate(found, _disc(4 * grain)))
        labels = np.where(found, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels[reach == 0] = cv2.GC_BGD
        labels[cv2.erode(found, _disc(2 * grain), borderValue=1) == 1] = cv2.GC_FGD
        found = _grabbed(small, labels, found, marks, seed)
        outline = _outline(found)
        stopped = outline & (cv2.dilate(1 - reach, _disc(2)) == 1)
        if stopped.sum() <= 0.1 * outline.sum():
            break
    return found


def _cut_in_box(small: NDArray[np.uint8], region: _Mask, marks: _Marks, seed: int) -> _Mask:
    labels = np.where(marks.allowed, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[cv2.erode(region, _disc(_grain(region.shape)), borderValue=1) == 1] = cv2.GC_FGD
    found = _grabbed(small, labels, marks.allowed, marks, seed, rounds=2 * _ROUNDS)
    if marks.inside.any():
        return found
    _, parts, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=4)
    largest = stats[1:, cv2.CC_STAT_AREA].max(initial=0)
    keep = stats[:, cv2.CC_STAT_AREA] >= 0.1 * largest
    keep[0] = False
    return _filled(_as_mask(keep[np.asarray(parts, np.int32)]))


def _grabbed(
    small: NDArray[np.uint8],
    labels: _Mask,
    before: _Mask,
    marks: _Marks,
    seed: int,
    rounds: int = _ROUNDS,
) -> _Mask:
    """Run GrabCut from the labels; what it cannot be run on stays as it was before."""
    grain = _grain(labels.shape)
    labels[cv2.dilate(marks.outside, _disc(grain)) == 1] = cv2.GC_BGD
    labels[cv2.dilate(marks.inside, _disc(1)) == 1] = cv2.GC_FGD
    labels[marks.banned == 1] = cv2.GC_BGD
    likely = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if min(small.shape[:2]) < _LEAST_PX or min(likely.sum(), (~likely).sum()) < _LEAST_SAMPLES:
        return before & (1 - marks.banned)
    cv2.setRNGSeed(seed & 0x7FFFFFFF)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, (0, 0, 1, 1), *models, rounds, cv2.GC_INIT_WITH_MASK)
    kept = _as_mask((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))
    clean = _as_mask(cv2.morphologyEx(kept, cv2.MORPH_OPEN, _disc(1))) | marks.inside
    if not marks.inside.any():
        return clean
    return _filled(_reached(clean, marks.inside)) & (1 - marks.banned)


def _reached(mask: _Mask, points: _Mask) -> _Mask:
    """Keep the parts that have a marked pixel."""
    _, found = cv2.connectedComponents(mask, connectivity=4)
    labels = np.asarray(found, np.int32)
    wanted = np.unique(labels[points == 1])
    return _as_mask(np.isin(labels, wanted[wanted > 0]))


def _filled(mask: _Mask) -> _Mask:
    """Fill holes below a twentieth of the area."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < 0.05 * int(mask.sum())
    small[0] = False
    return mask | _as_mask(small[np.asarray(labels, np.int32)])


def _outline(mask: _Mask) -> NDArray[np.bool_]:
    """Both sides of the outline; the picture's border is none."""
    outline = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) == 1
    outline[[0, -1], :] = outline[:, [0, -1]] = False
    return np.asarray(outline)


def _disc(radius_px: int) -> _Mask:
    size = (2 * radius_px + 1, 2 * radius_px + 1)
    return _as_mask(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size))


def _grain(shape: tuple[int, ...]) -> int:
    """Length in pixels of what counts as detail of an outline."""
    return max(2, round(0.012 * max(shape[:2])))


def _as_mask(plane: MatLike | NDArray[np.bool_]) -> _Mask:
    return np.asarray(plane).astype(np.uint8, copy=False)


def _confidence(small: NDArray[np.uint8], edges: _Plane, cut: _Mask, *, boxed: bool) -> float:
    """Multiply what speaks for the cut: one bad sign is enough to doubt it."""
    outline = _outline(cut)
    if min(small.shape[:2]) < _LEAST_PX or not outline.any():
        return 0.0
    wide = np.asarray(cv2.dilate(edges, np.ones((3, 3), np.uint8)), np.float32)
    middle = cv2.erode(cut, _disc(3), borderValue=1) == 1
    busy = float(edges[middle].mean()) if middle.any() else 1.0
    if boxed:  # whoever draws a box says that what is in it is one thing
        busy = 0.0
    signs = (
        # The ranges were fitted to composites whose true outline is known.
        _ramp(1 - _shared_colours(small, cut), 0.4, 0.9),
        _ramp(float(wide[outline].mean()), 0.6, 0.95),
        _ramp(1 - busy, 0.2, 0.8),
    )
    return float(np.prod(signs))


def _ramp(value: float, zero_at: float, one_at: float) -> float:
    return min(1.0, max(0.0, (value - zero_at) / (one_at - zero_at)))


def _shared_colours(small: NDArray[np.uint8], cut: _Mask) -> float:
    """Bhattacharyya coefficient of the colours just inside and just outside the outline."""
    reach = _disc(max(4, round(0.06 * max(cut.shape))))
    within = cut - _as_mask(cv2.erode(cut, reach, borderValue=1))
    around = _as_mask(cv2.dilate(cut, reach)) - cut
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    sides: list[NDArray[np.float32]] = []
    for side in (within, around):
        counts = cv2.calcHist([lab], [0, 1, 2], side, [8, 16, 16], [0.0, 256.0] * 3)
        sides.append(np.asarray(counts, np.float32) / np.float32(max(1, int(side.sum()))))
    return float(np.sqrt(sides[0] * sides[1]).sum())
