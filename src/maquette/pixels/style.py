"""Take the colours of one picture over to another by sliced optimal transport."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, UnsupportedImage
from maquette.pixels import lut

Pixels = NDArray[np.uint8]
Colours = NDArray[np.float64]

SAMPLES = 8192
ROTATIONS = 20
PASSES = 3
DIRECTIONS = 64
QUANTILES = 1024
REACHES = ((2.2, 1.0), (6.6, 0.02), (8.0, 0.0005))
"""How samples fill the cube: (sigma in lattice steps, weight); the far ones only fill gaps."""

LINEAR_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
CONES_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def transfer(
    pixels: Pixels,
    references: Sequence[Pixels],
    *,
    strength: float = 1.0,
    keep_luma: float = 0.5,
    seed: int = 0,
) -> Pixels:
    """Give `pixels` the colour distribution of the references.

    The map is fitted in Oklab on a sample of the colours and baked into a smooth 33-point cube,
    so equal colours stay equal and neighbouring ones stay neighbours.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8, sRGB. Never modified.
    references
        One or more pictures of the same kind, any size; each weighs the same.
    strength
        0 changes nothing, 1 is the full transfer.
    keep_luma
        Share of the picture's own lightness that stays, 0..1. At 0 a night scene as reference
        turns day into night.
    seed
        Non-negative. The same seed gives the same bytes on one machine and set of libraries.

    Returns
    -------
    (H, W, 3) uint8, sRGB.

    Raises
    ------
    UnsupportedImage
        When a picture is not RGB uint8.
    BadParameter
        When there is no reference, a share is outside 0..1 or the seed is negative.

    References
    ----------
    Pitié, F., Kokaram, A. C. & Dahyot, R. (2007). Automated colour grading using colour
    distribution transfer. CVIU 107. doi:10.1016/j.cviu.2006.11.011
    Rabin, J., Peyré, G., Delon, J. & Bernot, M. (2011). Wasserstein barycenter and its
    application to texture mixing. SSVM 2011. doi:10.1007/978-3-642-24785-9_37
    Ottosson, B. (2020). A perceptual color space for image processing.

    Differs from the paper: transport acts on samples, and a blurred displacement field replaces
    the later regrain; fitting is repeated on what the blur left over.
    """
    for picture in (pixels, *references):
        _check(picture)
    if not references:
        raise BadParameter("references is empty; give at least one picture to take colours from")
    for name, share in (("strength", strength), ("keep_luma", keep_luma)):
        if not 0 <= share <= 1:
            raise BadParameter(f"{name} {share!r} is outside 0..1; choose a value between them")
    if strength == 0:
        return pixels.copy()
    cube = _fit(pixels, references, keep_luma, _generator(seed))
    return lut.apply(pixels, lut.blend(cube, strength))


def reinhard(pixels: Pixels, reference: Pixels) -> Pixels:
    """Match mean and deviation of each channel: the baseline that `transfer` is measured against.

    Parameters
    ----------
    pixels, reference
        (H, W, 3) uint8, sRGB; sizes may differ.

    Returns
    -------
    (H, W, 3) uint8, sRGB, deterministic.

    Raises
    ------
    UnsupportedImage
        When a picture is not RGB uint8.

    References
    ----------
    Reinhard, E., Ashikhmin, M., Gooch, B. & Shirley, P. (2001). Color transfer between images.
    IEEE CG&A 21(5). doi:10.1109/38.946629

    Differs from the paper: in CIELAB instead of l-alpha-beta, which has no answer for black.
    """
    _check(pixels)
    _check(reference)
    lab, wanted = (
        np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
        for picture in (pixels, reference)
    )
    own, other = lab.reshape(-1, 3), wanted.reshape(-1, 3)
    gain = other.std(axis=0) / np.maximum(own.std(axis=0), np.float32(1e-3))
    matched = (lab - own.mean(axis=0)) * gain + other.mean(axis=0)
    back = np.asarray(cv2.cvtColor(matched.astype(np.float32), cv2.COLOR_LAB2RGB), np.float32)
    return np.rint(np.clip(back, 0, 1) * 255).astype(np.uint8)


def sliced_distance(first: Pixels, second: Pixels, *, seed: int = 0) -> float:
    """Return the sliced 1-Wasserstein distance of two colour distributions, in levels of 0..255.

    The mean, over random directions in sRGB, of the distance between the sorted projections.
    Every pixel counts, and the pictures may differ in size. Raises `UnsupportedImage` when one is
    not RGB uint8.

    References
    ----------
    Bonneel, N., Rabin, J., Peyré, G. & Pfister, H. (2015). Sliced and Radon Wasserstein
    barycenters of measures. JMIV 51. doi:10.1007/s10851-014-0506-3
    """
    _check(first)
    _check(second)
    directions = _generator(seed).standard_normal((DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ranks = (np.arange(QUANTILES) + 0.5) / QUANTILES
    gaps: list[float] = []
    for direction in directions:
        one, two = (
            np.sort(picture.reshape(-1, 3) @ direction)[(ranks * (picture.size // 3)).astype(int)]
            for picture in (first, second)
        )
        gaps.append(float(np.abs(one - two).mean()))
    return float(np.mean(gaps))


def warm() -> None:
    """Compile the kernel that applies the cube, or load it from the cache on disk."""
    lut.warm()


def _check(picture: Pixels) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise UnsupportedImage(
            f"colour transfer needs (H, W, 3) uint8 pixels, not {picture.shape!r} "
            f"{picture.dtype!s}; convert the picture to RGB first"
        )


def _generator(seed: int) -> np.random.Generator:
    if seed < 0:
        raise BadParameter(f"seed {seed!r} is negative; choose zero or more")
    return np.random.default_rng(seed)


def _fit(
    pixels: Pixels, references: Sequence[Pixels], keep_luma: float, rng: np.random.Generator
) -> lut.Lut3D:
    encoded = _sample(pixels, SAMPLES, rng)
    source = _to_oklab(encoded)
    shares = [_sample(picture, -(-SAMPLES // len(references)), rng) for picture in references]
    wanted = rng.permutation(_to_oklab(np.concatenate(shares)))[:SAMPLES]
    lattice = lut.identity().table.astype(np.float64)
    shift = np.zeros_like(lattice)
    for _ in range(PASSES):
        here = source + _interpolated(shift, encoded)
        moved = _transport(here, wanted, rng)
        shift = shift + _spread(encoded, moved - here, len(lattice))
    shift[..., 0] *= 1 - keep_luma
    return lut.Lut3D(_from_oklab(_to_oklab(lattice) + shift).astype(np.float32))


def _sample(picture: Pixels, count: int, rng: np.random.Generator) -> Colours:
    flat = picture.reshape(-1, 3)
    return flat[rng.integers(0, len(flat), count)] / 255.0


def _transport(source: Colours, wanted: Colours, rng: np.random.Generator) -> Colours:
    """Move `source` (n, 3) until every projection is distributed like that of `wanted` (n, 3)."""
    moving = source.copy()
    for _ in range(ROTATIONS):
        axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        projected = moving @ axes
        order = np.argsort(projected, axis=0, kind="stable")
        target = np.empty_like(projected)
        np.put_along_axis(target, order, np.sort(wanted @ axes, axis=0), axis=0)
        moving += (target - projected) @ axes.T
    return moving


def _corners(encoded: Colours, size: int) -> list[tuple[NDArray[np.intp], Colours]]:
    """Return the eight lattice points round each colour, as flat indices, with their weights."""
    position = encoded * (size - 1)
    low = np.minimum(position.astype(np.intp), size - 2)
    rest = position - low
    found: list[tuple[NDArray[np.intp], Colours]] = []
    for bits in np.ndindex(2, 2, 2):
        offset = np.array(bits)
        red, green, blue = (low + offset).T
        weight = np.where(offset, rest, 1 - rest).prod(axis=1)
        found.append(((blue * size + green) * size + red, weight))
    return found


def _interpolated(field: Colours, encoded: Colours) -> Colours:
    flat = field.reshape(-1, 3)
    parts = [flat[index] * weight[:, None] for index, weight in _corners(encoded, len(field))]
    return np.sum(parts, axis=0)


def _spread(encoded: Colours, shift: Colours, size: int) -> Colours:
    """Turn shifts at scattered colours into a smooth field on the lattice (N, N, N, 3)."""
    splats = np.zeros((size**3, 4))
    loaded = np.column_stack([shift, np.ones(len(shift))])
    for index, weight in _corners(encoded, size):
        for channel in range(4):
            splats[:, channel] += np.bincount(index, weight * loaded[:, channel], size**3)
    splats = splats.reshape(size, size, size, 4)
    mixed = np.zeros_like(splats)
    for sigma, weight in REACHES:
        mixed += weight * _blurred(splats, sigma)
    return mixed[..., :3] / np.maximum(mixed[..., 3:], 1e-12)


def _blurred(field: Colours, sigma: float) -> Colours:
    kernel = 2 * round(4 * sigma) + 1
    for axis in range(3):
        lines = np.moveaxis(field, axis, 0)
        flat = np.ascontiguousarray(lines).reshape(len(lines), -1)
        soft = cv2.GaussianBlur(
            flat, (1, kernel), sigmaX=0, sigmaY=sigma, borderType=cv2.BORDER_CONSTANT
        )
        field = np.moveaxis(np.asarray(soft, np.float64).reshape(lines.shape), 0, axis)
    return field


def _to_oklab(encoded: Colours) -> Colours:
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ LINEAR_TO_CONES.T) @ CONES_TO_OKLAB.T


def _from_oklab(oklab: Colours) -> Colours:
    linear = (oklab @ np.linalg.inv(CONES_TO_OKLAB).T) ** 3 @ np.linalg.inv(LINEAR_TO_CONES).T
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
