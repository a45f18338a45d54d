"""Measure how colourful, how bright and how opaque a picture is, in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, UnsupportedImage

_Plane: TypeAlias = NDArray[np.uint8]

_SKEW_BYTES = 8
_STRIPE_PX = 128 * 1024  # a stripe and its planes stay in a second-level cache

_SAMPLED_PX = 256 * 1024  # larger pictures are sampled
_ROW_STEP = 4
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

    Luma of more than 256 Kpx is sampled, every fourth row, unless its spread is so small that it
    matters: a `luma_std` that is under 4 levels, sampled or not, is never reported of a sample. A
    sample holding the share p of the pixels has at most 1/√p times their standard deviation, so
    where that leaves any doubt, all rows are counted. Chroma and alpha are always exact.
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
    rows = min(height, max(1, _STRIPE_PX // width))
    tally = _Tally(chroma_threshold, channels, (rows, width))
    for top in range(0, height, rows):
        tally.add(np.ascontiguousarray(pixels[top : top + rows]))
    return tally.result(height * width, has_alpha=channels == 4)


def _to_luma(stripe: NDArray[np.uint8], luma: _Plane) -> None:
    code = cv2.COLOR_RGBA2GRAY if stripe.shape[2] == 4 else cv2.COLOR_RGB2GRAY
    # Over 64 Kpx OpenCV would wake a second thread, which takes longer than the work.
    middle = len(stripe) // 2
    for half in (slice(middle), slice(middle, None)):
        if luma[half].size:
            cv2.cvtColor(stripe[half], code, luma[half])


def _total(plane: _Plane) -> int:
    return int(cv2.sumElems(plane)[0])


class _Tally:
    """Exact whole-number sums over the stripes so far."""

    def __init__(self, chroma_threshold: int, channels: int, stripe_shape: tuple[int, int]) -> None:
        self.threshold = chroma_threshold
        # Fresh planes per stripe would take longer than the arithmetic. The skew keeps OpenCV from
        # splitting into equally aligned planes, which it writes past the cache.
        area = stripe_shape[0] * stripe_shape[1]
        skewed = np.empty((channels + 1, area + _SKEW_BYTES), np.uint8)
        self.planes = skewed[:, :area].reshape(channels + 1, *stripe_shape)
        self.visible = 0
        self.chroma_max = self.chroma_sum = self.over = self.excess_sum = 0
        self.luma_min, self.luma_max = 255, 0
        self.luma_sum = self.luma_squares = 0
        self.alpha_min, self.alpha_max, self.alpha_sum = 255, 0, 0

    def add(self, stripe: NDArray[np.uint8]) -> None:
        if stripe.ndim == 2:
            self.visible += stripe.size
            self._add_luma(stripe)
            return
        red, green, blue, chroma, *alpha = self.planes[:, : len(stripe)]
        cv2.split(stripe, [red, green, blue, *alpha])
        cv2.max(red, green, chroma)
        cv2.max(chroma, blue, chroma)
        cv2.min(red, green, red)
        cv2.min(red, blue, red)
        cv2.subtract(chroma, red, chroma)
        luma = green
        _to_luma(stripe, luma)
        hidden = bool(alpha) and self._add_alpha(alpha[0])
        if hidden:
            self._hide(alpha[0], chroma, luma)
        else:
            self.visible += luma.size
        self._add_chroma(chroma, scratch=red)
        self._add_luma(luma, low_known=hidden)

    def _add_alpha(self, alpha: _Plane) -> bool:
        """Return whether the colour of some pixel is hidden."""
        low, high, _, _ = cv2.minMaxLoc(alpha)
        self.alpha_min = min(self.alpha_min, int(low))
        self.alpha_max = max(self.alpha_max, int(high))
        self.alpha_sum += _total(alpha)
        return low == 0

    def _hide(self, alpha: _Plane, chroma: _Plane, luma: _Plane) -> None:
        """Set hidden pixels to 0, which adds nothing to a sum or a maximum."""
        cv2.threshold(alpha, 0, 255, cv2.THRESH_BINARY, alpha)
        self.visible += cv2.countNonZero(alpha)
        cv2.bitwise_and(chroma, alpha, chroma)
        cv2.bitwise_and(luma, alpha, luma)
        # For the minimum they must be 255.
        cv2.bitwise_not(alpha, alpha)
        cv2.bitwise_or(luma, alpha, alpha)
        self.luma_min = min(self.luma_min, int(cv2.minMaxLoc(alpha)[0]))

    def _add_chroma(self, chroma: _Plane, scratch: _Plane) -> None:
        high = int(cv2.minMaxLoc(chroma)[1])
        self.chroma_max = max(self.chroma_max, high)
        self.chroma_sum += _total(chroma)
        if high > self.threshold:
            cv2.threshold(chroma, self.threshold, 0, cv2.THRESH_TOZERO, scratch)
            over = cv2.countNonZero(scratch)
            self.over += over
            self.excess_sum += _total(scratch) - over * self.threshold

    def _add_luma(self, luma: _Plane, *, low_known: bool = False) -> None:
        low, high, _, _ = cv2.minMaxLoc(luma)
        if not low_known:
            self.luma_min = min(self.luma_min, int(low))
        self.luma_max = max(self.luma_max, int(high))
        self.luma_sum += _total(luma)
        # Some builds square a root; rounding makes the whole number whole again.
        self.luma_squares += round(cv2.norm(luma, cv2.NORM_L2SQR))

    def result(self, total: int, *, has_alpha: bool) -> Measurement:
        count = max(1, self.visible)
        spread = count * self.luma_squares - self.luma_sum**2
        return Measurement(
            max_chroma=self.chroma_max,
            mean_chroma=self.chroma_sum / count,
            over_threshold=self.over / count,
            mean_chroma_excess=self.excess_sum / count,
            luma_mean=self.luma_sum / count,
            luma_std=math.sqrt(spread) / count,
            luma_min=self.luma_min if self.visible else 0,
            luma_max=self.luma_max,
            alpha=AlphaRange(self.alpha_min, self.alpha_max, self.alpha_sum / total)
            if has_alpha
            else None,
        )
