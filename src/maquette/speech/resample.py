"""Changing the sample rate, with a low-pass that lets nothing fold back."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_CROSSINGS = 24
"""Zero crossings of the sinc on each side."""
_BETA = 9.0
_PASS = 0.92
"""The corner, as a share of the lower of the two Nyquist frequencies."""
_MOST_PHASES = 1000
"""All usual pairs of rates have far fewer; others take the nearest ratio, wrong by some 1e-6."""


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Change the sample rate by a rational factor, in phases.

    Parameters
    ----------
    samples : array of shape (N,), float32
        One channel.
    from_hz, to_hz : int
        Both positive.

    Returns
    -------
    array of shape (ceil(N · to_hz / from_hz),), float32; for odd rates a few samples more or less
        The input itself is not touched. Deterministic. What lies before the first and after the
        last sample is taken as silence.

    References
    ----------
    J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function", 1974: a
    windowed sinc, here evaluated once for each of the phases of the rational factor.
    """
    if from_hz == to_hz or not len(samples):
        return samples.copy()
    most = max(1, int(_MOST_PHASES * min(1.0, from_hz / to_hz)))
    up, down = Fraction(to_hz, from_hz).limit_denominator(most).as_integer_ratio()
    corner = _PASS * min(1.0, to_hz / from_hz)
    half = ceil(_CROSSINGS / corner)
    padded = np.pad(samples, (half, half + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    result = np.empty(-(-len(samples) * up // down), np.float32)
    for first in range(min(up, len(result))):
        whole, part = divmod(first * down, up)
        count = len(result[first::up])
        taps = _taps(half, part / up, corner)
        result[first::up] = windows[whole : whole + (count - 1) * down + 1 : down] @ taps
    return result


def _taps(half: int, shift: float, corner: float) -> Samples:
    """Return the windowed sinc around a point `shift` samples after the middle one."""
    distance = np.arange(-half, half + 1) - shift
    inside = np.clip(1 - (distance / (half + 1)) ** 2, 0, 1)
    taps = corner * np.sinc(corner * distance) * np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA)
    return (taps / taps.sum()).astype(np.float32)
