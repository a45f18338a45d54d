"""Measure how colourful, how bright and how opaque a picture is, in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, UnsupportedImage

_Plane: TypeAlias = NDArray[np.uint8]

_SKEW_BYTES = 8
_STRIPE_PX = 128 * 1024  # a stripe and its planes stay in a second-level cache

_SAMPLED_PX = 512 * 1024  # luma of larger pictures is sampled
_ROW_STEP = 4
_ONE_THREAD_PX = 64 * 1024
_FLAT_STD = 4


@dataclass(frozen=True)
class AlphaRange:
    """The least, greatest and mean alpha of a picture, 0..255."""

    min: int
    max: int
    mean: float


@dataclass(frozen=True)
class Measurement:
    """What `measure` found; every figure but `over_threshold` and `alpha` is in levels, 0..255.

    Chroma is the largest channel minus the smallest: 0 for grey. Luma is Rec. 601's, of the
    encoded values. Pixels of alpha 0 count nowhere but in `alpha`, since the colour under them is
    not seen; if all are, every other figure is 0.

    All figures are exact but luma's of pictures over 512 Kpx: they are sampled, every fourth row,
    unless the picture may be flat, its luma's standard deviation under 4 levels. A sample with the
    share p of the pixels has at most 1/√p times their standard deviation; where that leaves a
    doubt, every row is counted.
    """

    max_chroma: int
    mean_chroma: float
    over_threshold: float
    """Share of the pixels, 0..1, whose chroma is over the threshold."""
    mean_chroma_excess: float
    """Mean over all pixels of what their chroma has over the threshold, or 0."""
    luma_mean: float
    luma_std: float
    luma_min: int
    luma_max: int
    alpha: AlphaRange | None
    """`None` for a picture without an alpha channel."""


def measure(pixels: NDArray[np.uint8], *, chroma_threshold: int) -> Measurement:
    """Measure chroma, luma and alpha of a picture; deterministic, exact as `Measurement` says.

    Parameters
    ----------
    pixels : ndarray, shape (H, W), (H, W, 3) or (H, W, 4), uint8
        Grey, RGB or RGBA with straight alpha. Never modified.
    chroma_threshold
        Largest chroma, 0..255, that still passes as grey.

    Raises
    ------
    BadParameter
        If the threshold is outside 0..255.
    UnsupportedImage
        If `pixels` is empty or of another shape or type.

    References
    ----------
    ITU-R Recommendation BT.601-7 (2011), for the luma weights.
    """
    if not 0 <= chroma_threshold <= 255:
        raise BadParameter(
            f"chroma_threshold {chroma_threshold!r} is out of range; give a level from 0 to 255."
        )
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if (
        pixels.dtype != np.uint8
        or pixels.size == 0
        or pixels.ndim not in (2, 3)
        or (pixels.ndim == 3 and channels not in (3, 4))
    ):
        raise UnsupportedImage(
            f"Pixels of shape {pixels.shape!r} and type {pixels.dtype.name!r} cannot be measured; "
            "convert them to grey, RGB or RGBA, 8 bits, and not empty."
        )
    height, width = pixels.shape[:2]
    rows = min(height, max(1, _STRIPE_PX // width // _ROW_STEP * _ROW_STEP))
    stripes = [pixels[top : top + rows] for top in range(0, height, rows)]
    scratch = _planes(channels + 1, rows, width)
    luma = _LumaTally(_ROW_STEP if height * width > _SAMPLED_PX else 1)
    tally = _Tally(chroma_threshold, scratch, luma)
    for stripe in stripes:
        tally.add(np.ascontiguousarray(stripe))
    if luma.least_std(tally.visible) < _FLAT_STD:
        luma = _count_all(stripes, scratch[0])
    return tally.result(luma, height * width, has_alpha=channels == 4)


def _planes(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Make planes once: fresh ones per stripe would take longer than the arithmetic."""
    # The skew keeps OpenCV from splitting into equally aligned planes, which it writes past the
    # cache.
    skewed = np.empty((count, height * width + _SKEW_BYTES), np.uint8)
    return skewed[:, : height * width].reshape(count, height, width)


def _count_all(stripes: Sequence[_Plane], scratch: _Plane) -> _LumaTally:
    luma = _LumaTally(1)
    for stripe in stripes:
        shown = None
        if stripe.ndim == 3 and stripe.shape[2] == 4:
            shown = np.asarray(cv2.inRange(stripe[..., 3], (1,), (255,)), np.uint8)
        luma.add(np.ascontiguousarray(stripe), shown, scratch)
    return luma


def _to_luma(stripe: NDArray[np.uint8], luma: _Plane) -> None:
    code = cv2.COLOR_RGBA2GRAY if stripe.shape[2] == 4 else cv2.COLOR_RGB2GRAY
    # Over 64 Kpx OpenCV would wake a second thread, which takes longer than the work.
    middle = len(stripe) // 2 if luma.size > _ONE_THREAD_PX else 0
    for part in (slice(middle), slice(middle, None)):
        if luma[part].size:
            cv2.cvtColor(stripe[part], code, luma[part])


def _total(plane: _Plane) -> int:
    return int(cv2.sumElems(plane)[0])


class _LumaTally:
    """Exact whole-number sums over every `step`-th row of the stripes so far."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.count = self.sum = self.squares = 0
        self.min, self.max = 255, 0

    def add(self, stripe: NDArray[np.uint8], shown: _Plane | None, scratch: _Plane) -> None:
        """Count a stripe, grey or in colour; `shown` is 255 where its pixels are, else 0."""
        stripe = stripe[:: self.step]
        luma = stripe
        if stripe.ndim == 3:
            luma = scratch[: len(stripe)]
            _to_luma(stripe, luma)
        low, high, _, _ = cv2.minMaxLoc(luma)
        if shown is None:
            self.count += luma.size
        else:
            # Hidden pixels at 0 add nothing to a sum or the maximum; the minimum needs them at 255.
            shown = shown[:: self.step]
            self.count += cv2.countNonZero(shown)
            low = cv2.minMaxLoc(cv2.bitwise_or(luma, cv2.bitwise_not(shown)))[0]
            cv2.bitwise_and(luma, shown, luma)
            high = cv2.minMaxLoc(luma)[1]
        self.min = min(self.min, int(low))
        self.max = max(self.max, int(high))
        self.sum += _total(luma)
        # Some builds square a root; rounding makes the whole number whole again.
        self.squares += round(cv2.norm(luma, cv2.NORM_L2SQR))

    @property
    def std(self) -> float:
        count = max(1, self.count)
        return math.sqrt(count * self.squares - self.sum**2) / count

    def least_std(self, population: int) -> float:
        """Return what the standard deviation of all `population` pixels cannot be under."""
        if self.count == population:
            return math.inf
        return math.sqrt(self.count / population) * self.std


class _Tally:
    """Exact whole-number sums over the stripes so far."""

    def __init__(self, chroma_threshold: int, planes: NDArray[np.uint8], luma: _LumaTally) -> None:
        self.threshold = chroma_threshold
        self.planes = planes
        self.luma = luma
        self.visible = 0
        self.chroma_max = self.chroma_sum = self.over = self.excess_sum = 0
        self.alpha_min, self.alpha_max, self.alpha_sum = 255, 0, 0

    def add(self, stripe: NDArray[np.uint8]) -> None:
        if stripe.ndim == 2:
            self.visible += stripe.size
            self.luma.add(stripe, None, stripe)
            return
        red, green, blue, chroma, *alpha = self.planes[:, : len(stripe)]
        cv2.split(stripe, [red, green, blue, *alpha])
        cv2.max(red, green, chroma)
        cv2.max(chroma, blue, chroma)
        cv2.min(red, green, red)
        cv2.min(red, blue, red)
        cv2.subtract(chroma, red, chroma)
        shown = None
        if alpha and self._add_alpha(alpha[0]):
            shown = alpha[0]
            cv2.threshold(shown, 0, 255, cv2.THRESH_BINARY, shown)
            cv2.bitwise_and(chroma, shown, chroma)
        self.visible += chroma.size if shown is None else cv2.countNonZero(shown)
        self._add_chroma(chroma, scratch=red)
        self.luma.add(stripe, shown, scratch=green)

    def _add_alpha(self, alpha: _Plane) -> bool:
        """Return whether the colour of some pixel is hidden."""
        low, high, _, _ = cv2.minMaxLoc(alpha)
        self.alpha_min = min(self.alpha_min, int(low))
        self.alpha_max = max(self.alpha_max, int(high))
        self.alpha_sum += _total(alpha)
        return low == 0

    def _add_chroma(self, chroma: _Plane, scratch: _Plane) -> None:
        high = int(cv2.minMaxLoc(chroma)[1])
        self.chroma_max = max(self.chroma_max, high)
        self.chroma_sum += _total(chroma)
        if high > self.threshold:
            cv2.threshold(chroma, self.threshold, 0, cv2.THRESH_TOZERO, scratch)
            over = cv2.countNonZero(scratch)
            self.over += over
            self.excess_sum += _total(scratch) - over * self.threshold

    def result(self, luma: _LumaTally, total: int, *, has_alpha: bool) -> Measurement:
        count = max(1, self.visible)
        return Measurement(
            max_chroma=self.chroma_max,
            mean_chroma=self.chroma_sum / count,
            over_threshold=self.over / count,
            mean_chroma_excess=self.excess_sum / count,
            luma_mean=luma.sum / max(1, luma.count),
            luma_std=luma.std,
            luma_min=luma.min if self.visible else 0,
            luma_max=luma.max,
            alpha=AlphaRange(self.alpha_min, self.alpha_max, self.alpha_sum / total)
            if has_alpha
            else None,
        )
