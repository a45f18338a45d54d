"""Words for colours: the nearest of a small table, in a perceptual space."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maquette.pixels.style import CONES_TO_OKLAB, LINEAR_TO_CONES

Rgb: TypeAlias = tuple[int, int, int]

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "black": "#0a0a0a",
        "charcoal": "#36383b",
        "slate grey": "#5f6b78",
        "grey": "#808080",
        "silver grey": "#b4b6b8",
        "pale grey": "#d8d9da",
        "white": "#fafafa",
        "ivory": "#f6efdc",
        "cream": "#f3e2b9",
        "beige": "#d9c4a0",
        "sand": "#c6a677",
        "tan": "#b38a5d",
        "taupe": "#85766a",
        "ochre": "#c4842b",
        "caramel": "#a8672f",
        "light brown": "#9c7758",
        "chestnut": "#87583b",
        "brown": "#74482a",
        "umber": "#55402f",
        "dark brown": "#36231a",
        "terracotta": "#bb5e3f",
        "rust": "#973c1c",
        "brick red": "#8b2f2a",
        "burgundy": "#5c1524",
        "crimson": "#b01530",
        "red": "#d8261e",
        "vermilion": "#e8502a",
        "orange": "#f08a1d",
        "amber": "#f3b02f",
        "gold": "#d1a326",
        "yellow": "#f4dd35",
        "pale yellow": "#f7ee9f",
        "lime green": "#9acb3a",
        "olive": "#6f7035",
        "moss green": "#52602f",
        "sage green": "#9fac8b",
        "green": "#2f8f43",
        "dark green": "#1c4029",
        "mint green": "#a6dcc0",
        "emerald": "#159a68",
        "teal": "#17777b",
        "turquoise": "#38bfbb",
        "cyan": "#37d3e8",
        "pale blue": "#b9d7ea",
        "sky blue": "#6db3e3",
        "steel blue": "#4c7ca4",
        "blue": "#2459c4",
        "cobalt blue": "#173f96",
        "dark blue": "#2b4870",
        "navy blue": "#182a52",
        "midnight blue": "#101a30",
        "slate blue": "#565f93",
        "indigo": "#3d2a7d",
        "violet": "#7a44c2",
        "purple": "#6c2479",
        "plum": "#5a3150",
        "lavender": "#bfb2e0",
        "mauve": "#a67f9c",
        "magenta": "#c92a93",
        "pink": "#ee8fb2",
        "pale pink": "#f4cfd3",
        "salmon": "#ee9480",
        "coral": "#f26d5b",
        "peach": "#f6c49d",
    }
)
"""Common English names, each with a typical colour; the choice is ours, after the CSS names."""


_TOE = 0.206, 0.03
"""Ottosson's constants of the toe; with them lightness agrees with that of CIELAB."""


def oklab(colours: ArrayLike) -> NDArray[np.float64]:
    """Convert sRGB to Oklab with the toe, which keeps near-blacks from lying far apart.

    Parameters
    ----------
    colours : (..., 3), 0..255
        Display-encoded sRGB.

    Returns
    -------
    (..., 3) float64
        Lightness 0..1 with middle grey at 0.5, then green-red and blue-yellow, each within about
        ±0.4.

    References
    ----------
    Ottosson, B. (2020). A perceptual color space for image processing; (2021). Okhsv and Okhsl.
    """
    encoded = np.asarray(colours, np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lab = np.cbrt(linear @ LINEAR_TO_CONES.T) @ CONES_TO_OKLAB.T
    bend, floor = _TOE
    scale = (1 + bend) / (1 + floor)
    lifted = scale * lab[..., 0] - bend
    root = np.sqrt(np.maximum(0, lifted**2 + 4 * floor * scale * lab[..., 0]))
    lab[..., 0] = np.clip((lifted + root) / 2, 0, 1)
    return lab


def parsed(colour: str) -> Rgb:
    """Return the channels of `#rrggbb`."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


_TABLE = oklab([parsed(colour) for colour in NAMES.values()])


def name_of(colour: Rgb) -> str:
    """Return the name whose colour is nearest in Oklab."""
    distances = np.linalg.norm(_TABLE - oklab(colour), axis=1)
    return list(NAMES)[int(distances.argmin())]
