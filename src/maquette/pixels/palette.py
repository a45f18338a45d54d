"""The main colours of a picture, and their names."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.core.scene import Swatch
from maquette.pixels.colour_names import name_of, oklab

_Pixels = NDArray[np.uint8]
_Plane = NDArray[np.float64]

_SAMPLES: Final = 12_000
_ALIKE: Final = 0.07
"""Colours nearer than this in Oklab are told as one; three or four just noticeable differences."""
_CLUSTERS: Final = 20
"""More than are told, so that a small part of another hue gets one of its own."""


def palette(pixels: _Pixels, *, count: int = 6, seed: int = 0) -> tuple[Swatch, ...]:
    """Return the main colours with their shares, the largest first.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
    count : int
        The most colours, 1 to 16; similar ones are told as one, so there may be fewer.
    seed : int
        Of the sample of pixels and of the clustering, 0 or more.

    Returns
    -------
    tuple of Swatch
        The shares add up to 1; from a large picture they are estimated on 12,000 pixels, which
        is right to about half a hundredth.

    Raises
    ------
    BadParameter
        A shape, a dtype, the count or the seed is not as above.

    References
    ----------
    Arthur, D. & Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding. SODA '07.
    Ottosson, B. (2020). A perceptual color space for image processing.

    Differs from the paper: more clusters are made than are told, and the most alike are joined.
    """
    _check(pixels)
    if not 1 <= count <= 16 or seed < 0:
        raise BadParameter(f"count {count!r}, seed {seed!r}: choose 1 to 16 colours, a seed from 0")
    flat = _sample(pixels, seed)
    lab = oklab(flat)
    labels = _merged(lab, _clustered(lab.astype(np.float32), seed), count)
    swatches = [_swatch(flat[labels == one], len(flat)) for one in np.unique(labels)]
    return tuple(sorted(swatches, key=lambda one: (-one.share, one.colour)))


def _clustered(samples: NDArray[np.float32], seed: int) -> NDArray[np.int32]:
    start = np.zeros((len(samples), 1), np.int32)
    if len(samples) == 1:  # OpenCV would take a single row for three samples
        return start.ravel()
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.002)
    cv2.setRNGSeed(seed & 0x7FFFFFFF)
    count = min(_CLUSTERS, len(samples))
    _, found, _ = cv2.kmeans(samples, count, start, stop, 1, cv2.KMEANS_PP_CENTERS)
    return np.asarray(found, np.int32).ravel()


def _merged(lab: _Plane, labels: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Join the two nearest clusters, until all differ and there are few enough."""
    while True:
        names, sizes = np.unique(labels, return_counts=True)
        if len(names) == 1:
            return labels
        centres = np.stack([lab[labels == one].mean(axis=0) for one in names])
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        # A small cluster is given up sooner than a large one, unless its colour stands out.
        shares = np.sqrt(np.minimum.outer(sizes, sizes) / len(lab))
        cost = np.where(np.eye(len(names), dtype=bool), np.inf, apart * (0.15 + shares))
        nearest = np.where(np.eye(len(names), dtype=bool), np.inf, apart)
        if nearest.min() < _ALIKE:
            cost = nearest
        elif len(names) <= count:
            return labels
        one, other = np.unravel_index(int(cost.argmin()), cost.shape)
        labels = np.where(labels == names[other], names[one], labels)


def _swatch(colours: _Pixels, total: int) -> Swatch:
    # The median is a colour that is there; a mean between two hues is not.
    red, green, blue = (int(value) for value in np.median(colours, axis=0))
    share = len(colours) / total
    return Swatch(
        colour=f"#{red:02x}{green:02x}{blue:02x}", name=name_of((red, green, blue)), share=share
    )


def monochrome(pixels: _Pixels) -> bool:
    """Tell whether the picture has no colours, or shades of a single faint one, as sepia has."""
    _check(pixels)
    tints = oklab(_sample(pixels, 0))[:, 1:]
    colourless = bool(np.percentile(np.hypot(tints[:, 0], tints[:, 1]), 98) < 0.02)
    spread = tints - np.median(tints, axis=0)
    return colourless or bool(np.percentile(np.hypot(spread[:, 0], spread[:, 1]), 98) < 0.02)


def _sample(pixels: _Pixels, seed: int) -> _Pixels:
    """Return (n, 3): every pixel of a small picture, a fair sample of a large one.

    Scaling down instead would mix colours along every edge.
    """
    flat = pixels.reshape(-1, 3)
    if len(flat) <= _SAMPLES:
        return flat
    return flat[np.random.default_rng(seed).integers(0, len(flat), _SAMPLES)]


def _check(pixels: _Pixels) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadParameter(
            f"pixels are {pixels.shape!r} {pixels.dtype!r}: hand in (H, W, 3) uint8 RGB"
        )
