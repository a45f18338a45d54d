"""What can be said of a picture by measuring it: light, arrangement, parts; see also `palette`.

Nothing here knows things: a face and a plate are blobs of colour. Guesses say so by a confidence.
All functions take (H, W, 3) uint8, sRGB-encoded, never modify it, and are deterministic.
"""

from __future__ import annotations

from typing import Final, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.core.scene import Box, Composition, Light, Region
from maquette.pixels import segment
from maquette.pixels.colour_names import oklab

_Pixels = NDArray[np.uint8]
_Plane = NDArray[np.float64]
_Name = TypeVar("_Name", bound=str)

_WORK_PX: Final = 512
_SUBJECT_PX: Final = 256
"""A box needs no finer outline."""
_LIGHT_PX: Final = 64
_RATIOS: Final = {"1:1": 1.0, "5:4": 1.25, "4:3": 4 / 3, "3:2": 1.5, "16:9": 16 / 9, "2:1": 2.0,
                  "21:9": 21 / 9, "3:1": 3.0}  # fmt: skip
_DETAIL: Final = 12.0
"""Strength of an edge, in grey levels, from which a pixel counts as detail."""
_LEAST_TRUST: Final = 0.1
"""A subject that is trusted less is not told."""


def light(pixels: _Pixels) -> Light:
    """Measure key, contrast and temperature, and guess where the light comes from.

    Parameters
    ----------
    pixels : (H, W, 3) uint8

    Returns
    -------
    Light
        `brightness` and `spread` are Oklab lightness with the toe, 0..1. `warmth` is log2 of red
        over blue of the estimated light, cut to ±4. `direction` is the side towards which the
        picture gets brighter, `behind` where the rim outshines the middle; it knows no shadows,
        so it is a guess, and `direction_confidence` is the share of the variance it explains.

    Raises
    ------
    BadParameter
        A shape or a dtype is not as above.

    References
    ----------
    Finlayson, G. D. & Trezzi, E. (2004). Shades of gray and colour constancy. CIC 12.

    Differs from the paper: the lightest twentieth is left out of the sixth-power mean, since
    lamps and glints are there; nothing is corrected with the colour that is found.
    """
    _check(pixels)
    small = _shrunk(pixels, 4 * _LIGHT_PX)
    lightness = oklab(small)[..., 0]
    dark, middle, bright = (float(one) for one in np.percentile(lightness, (5, 50, 95)))
    spread = min(1.0, max(0.0, bright - dark))
    warmth = _warmth(small, lightness)
    direction, confidence = _direction(_shrunk(pixels, _LIGHT_PX))
    return Light(
        key=_step(middle, ("low", "middle", "high"), (0.33, 0.72)),
        brightness=min(1.0, max(0.0, middle)),
        contrast=_step(spread, ("flat", "soft", "normal", "strong"), (0.2, 0.45, 0.75)),
        spread=spread,
        temperature=_step(warmth, ("cool", "neutral", "warm"), (-0.3, 0.6)),
        warmth=warmth,
        direction=direction,
        direction_confidence=confidence,
    )


def _warmth(small: _Pixels, lightness: _Plane) -> float:
    kept = small[lightness <= np.percentile(lightness, 95)].astype(np.float64)
    linear = (kept / 255) ** 2.2
    red, _, blue = (linear**6).mean(axis=0) ** (1 / 6)
    return float(np.clip(np.log2((red + 1e-3) / (blue + 1e-3)), -4, 4))


def _direction(small: _Pixels) -> tuple[str, float]:
    """Fit a plane and a bowl to the blurred lightness; the one that explains more wins."""
    plane = cv2.GaussianBlur(oklab(small)[..., 0], (0, 0), max(small.shape[:2]) / 8)
    rows, columns = plane.shape
    down, right = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    bowl = down**2 + right**2
    basis = np.stack([np.ones_like(down), down, right, bowl], axis=-1).reshape(-1, 4)
    values = np.asarray(plane, np.float64).ravel()
    varies = float(values.var())
    if varies < 2e-4:
        return "even", 0.0
    tilted, _, _, _ = np.linalg.lstsq(basis[:, :3], values, rcond=None)
    curved, _, _, _ = np.linalg.lstsq(basis[:, [0, 3]], values, rcond=None)
    by_tilt = 1 - float((values - basis[:, :3] @ tilted).var()) / varies
    by_bowl = 1 - float((values - basis[:, [0, 3]] @ curved).var()) / varies
    if by_bowl > max(by_tilt, 0.4) and curved[1] > 0.05:
        return "behind", min(1.0, by_bowl)
    if by_tilt < 0.25 or float(np.hypot(tilted[1], tilted[2])) < 0.03:
        return "even", 0.0
    vertical = "above" if tilted[1] < 0 else "below"
    sideways = "left" if tilted[2] < 0 else "right"
    slope = float(np.degrees(np.arctan2(abs(tilted[1]), abs(tilted[2]))))
    said = sideways if slope < 25 else vertical if slope > 65 else f"{vertical} {sideways}"
    return said, min(1.0, max(0.0, by_tilt))


def regions(pixels: _Pixels, *, seed: int = 0) -> tuple[Region, ...]:
    """Find the likely subject, the busiest ninth of the picture, and ninths that are calm.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
    seed : int
        Of the segmentation's clustering, 0 or more.

    Returns
    -------
    tuple of Region
        At most one `subject`, whose measure is the segmentation's confidence; one `busy` and any
        number of `calm`, whose measure is the share of pixels with detail. Calm parts are where
        lettering would be readable.

    Raises
    ------
    BadParameter
        A shape, a dtype or the seed is not as above.
    """
    _check(pixels)
    small = _shrunk(pixels, _WORK_PX)
    found: list[Region] = []
    cut = segment.foreground(_shrunk(pixels, _SUBJECT_PX), seed=seed)
    if cut.confidence >= _LEAST_TRUST:
        box = box_of(cut.alpha > 127)
        where = place_of((box.left + box.right) / 2, (box.top + box.bottom) / 2)
        found.append(Region(kind="subject", where=where, box=box, measure=cut.confidence))
    detail = _detail(small)
    ninths: list[tuple[float, Region]] = []
    for row, column in np.ndindex(3, 3):
        box = Box(left=column / 3, top=row / 3, right=(column + 1) / 3, bottom=(row + 1) / 3)
        share = float(_part(detail, row, column).mean())
        kind: Literal["busy", "calm"] = "calm" if share < 0.06 else "busy"
        where = place_of((column + 0.5) / 3, (row + 0.5) / 3)
        ninths.append((share, Region(kind=kind, where=where, box=box, measure=share)))
    busiest = max(ninths, key=lambda one: one[0])[1]
    found += [busiest] if busiest.kind == "busy" else []
    found += [one for _, one in sorted(ninths, key=lambda one: one[0]) if one.kind == "calm"]
    return tuple(found)


def composition(pixels: _Pixels, subject: Box | None = None) -> Composition:
    """Measure aspect, weight, symmetry, and a horizon where there is one.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
    subject : Box, optional
        Where the subject is; without it the weight is that of the detail.

    Returns
    -------
    Composition
        `horizon` is where most columns change in the same way from above to below; a tilt of a
        few degrees is tolerated.

    Raises
    ------
    BadParameter
        A shape or a dtype is not as above.
    """
    _check(pixels)
    height_px, width_px = pixels.shape[:2]
    ratio = width_px / height_px
    shape = max(ratio, 1 / ratio)
    nearest = min(_RATIOS, key=lambda name: abs(np.log(shape / _RATIOS[name])))
    turned = nearest if ratio >= 1 else ":".join(reversed(nearest.split(":")))
    way = "" if nearest == "1:1" else " landscape" if ratio > 1 else " portrait"
    small = _shrunk(pixels, 2 * _LIGHT_PX)
    if subject is None:
        at = _weight(_detail(_shrunk(pixels, _WORK_PX)))
    else:
        at = (subject.left + subject.right) / 2, (subject.top + subject.bottom) / 2
    return Composition(
        aspect="square" if nearest == "1:1" else turned + way,
        ratio=ratio,
        layout=_layout(*at),
        symmetry=_symmetry(oklab(small)[..., 0]),
        horizon=_horizon(small),
    )


def _layout(right: float, down: float) -> str:
    if max(abs(right - 0.5), abs(down - 0.5)) < 0.09:
        return "centred"
    across = "left third" if right < 0.42 else "right third" if right > 0.58 else "middle"
    height = "upper" if down < 0.42 else "lower" if down > 0.58 else "middle"
    if across == "middle":
        return f"centred, {height} half" if height != "middle" else "centred"
    return across if height == "middle" else f"{height} {across}"


def _symmetry(lightness: _Plane) -> float:
    """Correlate the halves, left and mirrored right; 1 where there is nothing to tell apart."""
    soft = np.asarray(cv2.GaussianBlur(lightness, (0, 0), 2), np.float64)
    if float(soft.std()) < 5e-3:
        return 1.0
    centred = soft - soft.mean()
    return max(0.0, min(1.0, float((centred * centred[:, ::-1]).mean() / centred.var())))


def _horizon(small: _Pixels) -> float | None:
    """Return the height of the row where most columns step in one way, or None."""
    lab = oklab(small)
    rows = lab.shape[0]
    reach = max(2, rows // 10)
    sums = np.concatenate([np.zeros((1, *lab.shape[1:])), lab.cumsum(axis=0)])
    best, at = 0.0, 0
    for row in range(max(reach, rows // 10), rows - max(reach, rows // 10) + 1):
        above = (sums[row] - sums[row - reach]) / reach
        below = (sums[row + reach] - sums[row]) / reach
        step = below - above
        mean = step.mean(axis=0)
        size = float(np.linalg.norm(mean))
        if size < 0.06:
            continue
        along = step @ (mean / size)
        agreeing = float((along > 0.5 * size).mean())
        if agreeing >= 0.75 and size * agreeing > best:
            best, at = size * agreeing, row
    return at / rows if best > 0 else None


def _detail(small: _Pixels) -> NDArray[np.bool_]:
    grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (0, 0), 0.8)
    values = np.asarray(grey, np.float32)
    across = np.asarray(cv2.Sobel(values, cv2.CV_32F, 1, 0), np.float32) / 4
    down = np.asarray(cv2.Sobel(values, cv2.CV_32F, 0, 1), np.float32) / 4
    return np.hypot(across, down) > _DETAIL


def _part(plane: NDArray[np.bool_], row: int, column: int) -> NDArray[np.bool_]:
    """Return one of nine parts; each has at least one pixel."""
    rows, columns = plane.shape
    top, left = row * rows // 3, column * columns // 3
    return plane[
        top : max(top + 1, (row + 1) * rows // 3),
        left : max(left + 1, (column + 1) * columns // 3),
    ]


def _weight(detail: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the centre of the detail as shares of width and height."""
    down, right = np.nonzero(detail)
    if not len(down):
        return 0.5, 0.5
    rows, columns = detail.shape
    return float((right.mean() + 0.5) / columns), float((down.mean() + 0.5) / rows)


def box_of(mask: NDArray[np.bool_]) -> Box:
    """Return the smallest rectangle round a mask of (H, W) bool, or all where it is empty."""
    rows, columns = mask.shape
    down, right = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(down):
        return Box(left=0, top=0, right=1, bottom=1)
    return Box(
        left=float(right[0] / columns),
        top=float(down[0] / rows),
        right=float((right[-1] + 1) / columns),
        bottom=float((down[-1] + 1) / rows),
    )


def place_of(right: float, down: float) -> str:
    """Name a place, given in shares of width and height, by thirds."""
    height = ("upper", "", "lower")[min(2, int(3 * down))]
    side = ("left", "centre", "right")[min(2, int(3 * right))]
    return f"{height} {side}".strip()


def _step(value: float, names: tuple[_Name, ...], limits: tuple[float, ...]) -> _Name:
    """Return the name of the interval in which the value lies."""
    return names[sum(value > limit for limit in limits)]


def _shrunk(pixels: _Pixels, side_px: int) -> _Pixels:
    rows, columns = pixels.shape[:2]
    scale = min(1.0, side_px / max(rows, columns))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _check(pixels: _Pixels) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadParameter(
            f"pixels are {pixels.shape!r} {pixels.dtype!r}: hand in (H, W, 3) uint8 RGB"
        )
