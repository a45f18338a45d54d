"""Colour cubes: any colour change that depends on the colour alone, as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from maquette.core.errors import BadParameter, UnsupportedImage

Triple: TypeAlias = tuple[float, float, float]
Colours: TypeAlias = NDArray[np.float32]

STANDARD_SIZE = 33
"""Lattice points per axis of the cubes made here; smooth looks stay within two levels."""

_PILLOW_SIZE_MAX = 65
_TABLE_LIMIT = 2.0  # what the fixed-point entries can hold


@dataclass(frozen=True, eq=False)
class Lut3D:
    """A colour cube.

    Attributes
    ----------
    table : ndarray, shape (N, N, N, 3), float32
        Output colours, indexed ``[blue, green, red]``; 0 is black and 1 is full. Values outside
        are allowed between lattice points and clipped after interpolation. Read-only.
    domain_min, domain_max : (red, green, blue)
        Input colours of the first and the last lattice point; colours outside are clamped.
    """

    table: Colours
    domain_min: Triple = (0.0, 0.0, 0.0)
    domain_max: Triple = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        shape = self.table.shape
        if len(shape) != 4 or shape[0] < 2 or shape != (shape[0],) * 3 + (3,):
            raise BadParameter(
                f"A colour cube of shape {shape!r} is no cube; give a table of shape (N, N, N, 3), "
                "N at least 2."
            )
        if not np.isfinite(self.table).all():
            raise BadParameter("The colour cube holds NaN or infinity; give finite values.")
        if not all(low < high for low, high in zip(self.domain_min, self.domain_max, strict=True)):
            raise BadParameter(
                f"The domain {self.domain_min!r} to {self.domain_max!r} is empty; "
                "make each minimum less than its maximum."
            )
        own = np.array(self.table, dtype=np.float32, order="C")
        own.setflags(write=False)
        object.__setattr__(self, "table", own)

    @property
    def size(self) -> int:
        """Lattice points per axis."""
        return self.table.shape[0]

    @property
    def covers_unit(self) -> bool:
        """Whether every colour from 0 to 1 lies inside the domain."""
        return max(self.domain_min) <= 0.0 and min(self.domain_max) >= 1.0


def identity(size: int = STANDARD_SIZE) -> Lut3D:
    """Return the cube of `size` points per axis that changes nothing."""
    if size < 2:
        raise BadParameter(f"A colour cube cannot have {size!r} points per axis; give at least 2.")
    return Lut3D(_lattice(size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))


def from_function(function: Callable[[Colours], Colours], size: int = STANDARD_SIZE) -> Lut3D:
    """Tabulate a colour function.

    Parameters
    ----------
    function
        Takes display-encoded colours (float32, shape (..., 3), 0..1) and returns as many.
    size
        Lattice points per axis.
    """
    return Lut3D(function(identity(size).table.copy()))


def blend(lut: Lut3D, strength: float) -> Lut3D:
    """Return the cube between no change (`strength` 0) and `lut` (`strength` 1).

    Raises
    ------
    BadParameter
        If `strength` is outside 0..1.
    """
    if not 0.0 <= strength <= 1.0:
        raise BadParameter(f"strength {strength!r} is out of range; give a number from 0 to 1.")
    if not lut.covers_unit:
        # Colours outside the domain are clamped by the cube, but not by "no change".
        lut = _on_unit_domain(lut)
    neutral = _lattice(lut.size, lut.domain_min, lut.domain_max)
    mixed: Colours = neutral + ((lut.table - neutral) * np.float32(strength)).astype(np.float32)
    return Lut3D(mixed, lut.domain_min, lut.domain_max)


def apply(pixels: NDArray[np.uint8], lut: Lut3D) -> NDArray[np.uint8]:
    """Look every colour up in a cube, interpolating tetrahedrally.

    Without Numba the same cube goes through Pillow (trilinear, slower); the two agree within
    two levels.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3) or (H, W, 4), uint8
        RGB or RGBA in the encoding that the cube expects. Never modified.
    lut
        The cube; entries are clipped to -2..2 before interpolation, results to 0..255.

    Returns
    -------
    ndarray, shape and dtype of `pixels`
        Alpha, straight, passes through untouched. Deterministic, for any number of threads.

    Raises
    ------
    UnsupportedImage
        If `pixels` is not RGB or RGBA of 8 bits.

    References
    ----------
    Kasson, J. M., Nin, S. I., Plouffe, W. and Hafner, J. L. (1995), "Performing color space
    conversions with three-dimensional linear interpolation", Journal of Electronic Imaging 4(3),
    doi:10.1117/12.208656.

    Differs from the paper: positions and entries are fixed-point numbers (14 and 6 bits after
    the point), which costs less than 0.05 level.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise UnsupportedImage(
            f"Pixels of shape {pixels.shape!r} and type {pixels.dtype.name!r} have no colours to "
            "look up; convert them to RGB or RGBA, 8 bits."
        )
    try:
        return _apply_with_numba(pixels, lut)
    except ImportError:
        return _apply_with_pillow(pixels, lut)


def sample(lut: Lut3D, colours: Colours) -> Colours:
    """Look float colours (..., 3) up in a cube, trilinearly and without clipping the result.

    The precise path for a few colours; `apply` is the fast one for pictures.
    """
    low = np.array(lut.domain_min, np.float32)
    span = np.array(lut.domain_max, np.float32) - low
    position = np.clip((colours - low) / span, 0, 1) * (lut.size - 1)
    corner = np.minimum(position.astype(np.intp), lut.size - 2)
    red, green, blue = np.moveaxis(corner, -1, 0)
    to_red, to_green, to_blue = np.moveaxis((position - corner)[..., None], -2, 0)

    def along_red(db: int, dg: int) -> Colours:
        left = lut.table[blue + db, green + dg, red]
        return left + to_red * (lut.table[blue + db, green + dg, red + 1] - left)

    near = along_red(0, 0) + to_green * (along_red(0, 1) - along_red(0, 0))
    far = along_red(1, 0) + to_green * (along_red(1, 1) - along_red(1, 0))
    return (near + to_blue * (far - near)).astype(np.float32)


def warm() -> None:
    """Compile or load the kernel of `apply`."""
    apply(np.zeros((1, 1, 3), np.uint8), identity(2))


def _lattice(size: int, low: Triple, high: Triple) -> Colours:
    axes = [np.linspace(*ends, size, dtype=np.float32) for ends in zip(low, high, strict=True)]
    blue, green, red = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return np.stack([red, green, blue], axis=-1)


def _on_unit_domain(lut: Lut3D) -> Lut3D:
    return from_function(lambda colours: sample(lut, colours), _PILLOW_SIZE_MAX)


def _apply_with_numba(pixels: NDArray[np.uint8], lut: Lut3D) -> NDArray[np.uint8]:
    from maquette.pixels.kernels import lut as kernel  # noqa: PLC0415 - Numba is slow to load

    size = lut.size
    levels = np.clip(lut.table, -_TABLE_LIMIT, _TABLE_LIMIT) * np.float32(255)
    table = np.zeros((size, size, size, kernel.ENTRY_STRIDE), np.int16)
    table[..., :3] = np.rint(levels * (1 << kernel.LEVEL_BITS))

    low = np.array(lut.domain_min)[:, None]
    span = np.array(lut.domain_max)[:, None] - low
    position = np.clip((np.arange(256) / 255 - low) / span, 0, 1) * (size - 1)
    below = np.minimum(position.astype(np.int32), size - 2)
    fraction = np.rint((position - below) * (1 << kernel.FRACTION_BITS)).astype(np.int32)
    steps = kernel.ENTRY_STRIDE * np.array([1, size, size**2])[:, None]

    flat = np.ascontiguousarray(pixels).reshape(-1, pixels.shape[2])
    result = np.empty_like(flat)
    corner = (below * steps).astype(np.uint32)
    kernel.tetrahedral(flat, result, table.reshape(-1), corner, fraction, size)
    return result.reshape(pixels.shape)


def _apply_with_pillow(pixels: NDArray[np.uint8], lut: Lut3D) -> NDArray[np.uint8]:
    unit = lut.domain_min == (0.0, 0.0, 0.0) and lut.domain_max == (1.0, 1.0, 1.0)
    if not unit or lut.size > _PILLOW_SIZE_MAX:
        lut = _on_unit_domain(lut)
    cube = ImageFilter.Color3DLUT(lut.size, lut.table.reshape(-1).tolist())
    return np.array(Image.fromarray(np.ascontiguousarray(pixels)).filter(cube))
