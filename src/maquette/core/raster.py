"""The one picture type that operations see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from maquette.core.errors import UnsupportedImage


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Pixels with their meaning: sRGB, straight alpha.

    Attributes
    ----------
    pixels : ndarray of shape (H, W, C), uint8 in [0, 255] or float32 in [0, 1], read-only
        C is 1 (a mask, 255 = edit, foreground or opaque), 3 (RGB) or 4 (RGBA).
        Rows first: `pixels[row, column]`.
    """

    pixels: NDArray[Any]

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] not in (1, 3, 4) or str(dtype) not in ("uint8", "float32"):
            raise UnsupportedImage(
                f"A raster is (H, W, 1|3|4) uint8 or float32, not {shape} {dtype}."
            )
        view = self.pixels.view()
        view.flags.writeable = False
        object.__setattr__(self, "pixels", view)

    @property
    def height_px(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width_px(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[2])

    @property
    def has_alpha(self) -> bool:
        return self.channels == 4
