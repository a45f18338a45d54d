"""From a network's small mask to an alpha of the picture's size whose edge follows the picture."""

from __future__ import annotations

from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from io import StringIO
from math import sqrt
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.pixels import matte

_SURE_OUT, _SURE_IN = 10, 245
_BAND: Final = 3 / 320
"""The edge may lie this far from where the mask has it, as a share of the longer side."""
_REACH: Final = 12 / 320
"""Radius of the guided filter, likewise: it has to span the band."""
_EPSILON: Final = 1e-5

_MATTING_PX: Final = 2**20
"""Matting takes 3 s and 0.5 GB where a sixth of so many pixels is unknown, and grows faster than
their number."""
_LEAST_PX: Final = 16
_MOST_UNKNOWN_PX: Final = 400_000
"""Up to here it takes 11 s and 1 GB; where more is unknown it would only guess."""
_TOLERANCE, _MOST_ROUNDS = 1e-4, 1000
_DROPPED: Final = 1e-3
"""Numbers of the factorisation under this are dropped: half the memory of pymatting's own 1e-4, and
a quarter of the time, for the same alpha."""
_MOST_NUMBERS: Final = 40_000_000
"""The most unknown pixels need 20 million; pymatting takes room for 250 million, 4 GB, before
it knows how many it needs."""

_Plane = NDArray[np.uint8]


class Edges(NamedTuple):
    """An alpha, and how its edge was found."""

    alpha: _Plane
    way: str
    """`closed-form` or `guided`."""


def fitted(pixels: NDArray[np.uint8], mask: _Plane, *, matting: bool) -> Edges:
    """Enlarge a mask to the picture's size and let its edge follow the picture.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB, sRGB-encoded. Not modified.
    mask : (h, w) uint8
        255 = subject; any size, the whole picture squeezed into it. Not modified.
    matting : bool
        Solve for the alpha of the uncertain band. Else, or where that cannot be solved, it is
        filtered with the picture as guide.

    Returns
    -------
    Edges
        `alpha`: (H, W) uint8, straight; 0 and 255 beyond the band. Deterministic.

    References
    ----------
    Levin, Lischinski, Weiss (2008), "A closed-form solution to natural image matting",
    doi:10.1109/TPAMI.2007.1177.
    He, Sun, Tang (2013), "Guided image filtering", doi:10.1109/TPAMI.2012.213.

    Differs from the paper: the matte is solved at one megapixel at most, and the guided filter
    carries it to full size.
    """
    trimap = _trimap(mask, pixels.shape)
    soft = _resized(mask, pixels.shape)
    solved = _matted(pixels, soft, trimap) if matting else None
    if solved is None:
        radius_px = max(2, round(_REACH * max(pixels.shape[:2])))
        soft = matte.guided_filter(pixels, soft, radius_px=radius_px, epsilon=_EPSILON)
        return Edges(_known_kept(_cleaned(soft), trimap), "guided")
    return Edges(_known_kept(_cleaned(solved), trimap), "closed-form")


def _trimap(mask: _Plane, shape: tuple[int, ...]) -> _Plane:
    """Return 255 where surely inside, 0 where surely outside, 128 between."""
    radius_px = max(1, round(_BAND * max(mask.shape)))
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1,) * 2)
    inside = _resized(cv2.erode(_where(mask > _SURE_IN), window), shape)
    outside = _resized(cv2.erode(_where(mask < _SURE_OUT), window), shape)
    return np.where(inside == 255, 255, np.where(outside == 255, 0, 128)).astype(np.uint8)


def _matted(pixels: NDArray[np.uint8], soft: _Plane, trimap: _Plane) -> _Plane | None:
    """Solve for alpha around the unknown pixels; None where that is not possible."""
    rows, columns = (np.flatnonzero((trimap == 128).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    margin_px = max(_LEAST_PX, round(_REACH * max(trimap.shape)))
    box = (
        slice(max(0, int(rows[0]) - margin_px), int(rows[-1]) + margin_px + 1),
        slice(max(0, int(columns[0]) - margin_px), int(columns[-1]) + margin_px + 1),
    )
    solved = _solved(pixels[box], trimap[box])
    if solved is None:
        return None
    made = soft.copy()
    made[box] = solved
    return made


def _solved(pixels: NDArray[np.uint8], trimap: _Plane) -> _Plane | None:
    height, width = trimap.shape
    scale = min(1.0, sqrt(_MATTING_PX / (height * width)))
    small_shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    size = (small_shape[1], small_shape[0])
    known = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)
    levels = set(np.unique(known).tolist())
    unknown_px = int(np.count_nonzero(known == 128))
    if min(small_shape) < _LEAST_PX or levels != {0, 128, 255} or unknown_px > _MOST_UNKNOWN_PX:
        return None
    picture = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    alpha = _closed_form(picture / np.float64(255), known)
    if alpha is None or scale == 1.0:
        return alpha
    large = np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    radius_px = max(2, round(4 / scale))
    return matte.guided_filter(pixels, large, radius_px=radius_px, epsilon=_EPSILON)


def _closed_form(picture: NDArray[np.float64], known: NDArray[Any]) -> _Plane | None:
    estimate: Any = import_module("pymatting.alpha.estimate_alpha_cf").estimate_alpha_cf
    decompose: Any = import_module("pymatting.preconditioner.ichol").ichol
    trimap = np.where(known == 255, 1.0, np.where(known == 0, 0.0, 0.5))
    try:
        # It prints advice to its own developers.
        with redirect_stdout(StringIO()):
            alpha = estimate(
                picture,
                trimap,
                preconditioner=partial(
                    decompose, discard_threshold=_DROPPED, max_nnz=_MOST_NUMBERS
                ),
                cg_kwargs={"rtol": _TOLERANCE, "maxiter": _MOST_ROUNDS},
            )
    except ValueError:
        return None
    return _to_uint8(alpha * 255) if np.isfinite(alpha).all() else None


def _known_kept(alpha: _Plane, trimap: _Plane) -> _Plane:
    return np.where(trimap == 128, alpha, trimap).astype(np.uint8)


def _cleaned(alpha: _Plane) -> _Plane:
    """Stretch a little: a haze that nobody sees still hinders cropping to the subject."""
    return _to_uint8((alpha.astype(np.float32) - _SURE_OUT) * (255 / (_SURE_IN - _SURE_OUT)))


def _resized(plane: Any, shape: tuple[int, ...]) -> _Plane:
    height, width = shape[:2]
    shrinks = height < plane.shape[0] and width < plane.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=way), np.uint8)


def _where(inside: NDArray[np.bool_]) -> _Plane:
    return inside.astype(np.uint8) * np.uint8(255)


def _to_uint8(values: NDArray[Any]) -> _Plane:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
