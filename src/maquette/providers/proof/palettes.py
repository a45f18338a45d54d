"""Colours for proof cards, chosen by the mood, light and colour words of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.pixels.style import CONES_TO_OKLAB, LINEAR_TO_CONES
from maquette.providers.proof.words import COLOURS, Rgb

Colour = NDArray[np.floating[Any]]

_TINT_SHARE = 0.72
_TINT_CHROMA = 0.07


@dataclass(frozen=True, eq=False)
class Palette:
    """Six colours in Oklab, each of shape (3,).

    The sky runs from `zenith` to `horizon`, `light` is the sun or moon, `far` and `near` are the
    land, `accent` is used sparingly.
    """

    zenith: Colour
    horizon: Colour
    light: Colour
    far: Colour
    near: Colour
    accent: Colour


def to_oklab(rgb: Colour) -> Colour:
    """Convert sRGB (..., 3), 0..1, to Oklab, in which mixtures stay clean.

    References
    ----------
    Ottosson, B. (2020). A perceptual color space for image processing.
    https://bottosson.github.io/posts/oklab/
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ LINEAR_TO_CONES.T) @ CONES_TO_OKLAB.T


def to_srgb(lab: Colour) -> Colour:
    """Convert Oklab (..., 3) to sRGB, clipped to 0..1; the inverse of `to_oklab`."""
    linear = ((lab @ np.linalg.inv(CONES_TO_OKLAB).T) ** 3) @ np.linalg.inv(LINEAR_TO_CONES).T
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def oklab(colour: Rgb) -> Colour:
    """Convert one 8-bit sRGB colour to Oklab."""
    return to_oklab(np.array(colour) / 255)


def _palette(*six: str) -> Palette:
    return Palette(*(oklab((*bytes.fromhex(colour),)[:3]) for colour in six))  # pyright: ignore[reportArgumentType] - three bytes are an Rgb


MOODS: Mapping[str, Palette] = MappingProxyType(
    {
        "dawn": _palette("7c97bd", "f7cdb9", "ffeacb", "a795b5", "34365a", "ea8a6a"),
        "day": _palette("5499c7", "dcebee", "fffae6", "8db2c0", "254b45", "ecb24a"),
        "golden": _palette("93a3a6", "fad692", "fff3c9", "cf9e63", "4b2e24", "d9622f"),
        "sunset": _palette("3f3c70", "f68d60", "ffd887", "8d5170", "211c3a", "ff6f59"),
        "night": _palette("0c1738", "33557f", "eef2ff", "2a4874", "080f20", "f2c879"),
        "mist": _palette("6d7b85", "cfd6d6", "f3f4ef", "9ca8ab", "2d383d", "c98d5b"),
        "winter": _palette("88a9c8", "ecf1f4", "ffffff", "b4c6d8", "415a70", "c9604f"),
        "spring": _palette("8dc3d9", "f8e9dd", "fffaec", "a8c9a3", "38604b", "ea8ba6"),
        "autumn": _palette("90a0a3", "f3dcb2", "fff3d4", "c58a52", "47281f", "cb4a2c"),
        "neon": _palette("150d33", "c8408f", "9af4ff", "50308d", "0d0922", "35d6e6"),
        "dusk": _palette("1a3f52", "e7ae78", "ffe5ba", "3a6b78", "0d2029", "f08c48"),
    }
)
"""Palettes by the mood they paint."""

MOOD_WORDS: Mapping[str, str] = MappingProxyType(
    {
        phrase: mood
        for mood, phrases in {
            "dawn": "dawn, sunrise, morning, calm, peaceful, serene, quiet, pastel, tender",
            "day": "day, daylight, noon, summer, sunny, bright, blue sky, clean, fresh, vivid",
            "golden": "golden hour, golden light, golden, warm, honey, candlelight, cosy, cozy, "
            "nostalgic, vintage, evening light",
            "sunset": "sunset, dramatic, romantic, fiery, fire, passion, volcano",
            "night": "night, midnight, moonlight, moonlit, moon, stars, starry, dark, noir, "
            "nocturnal, space, galaxy, cosmos, blue hour",
            "mist": "mist, misty, fog, foggy, rain, rainy, storm, stormy, cloudy, grey, gray, "
            "moody, melancholy, lonely, haze, hazy, overcast",
            "winter": "winter, snow, snowy, ice, icy, frozen, cold, arctic, frost",
            "spring": "spring, blossom, blossoms, garden, flowers, happy, joyful, fairytale, "
            "dreamy",
            "autumn": "autumn, fall, harvest, rustic, october, wood, coffee",
            "neon": "neon, cyberpunk, synthwave, futuristic, sci fi, vaporwave, nightclub",
            "dusk": "dusk, twilight, evening, cinematic, mysterious, epic",
        }.items()
        for phrase in phrases.split(", ")
    }
)

_UNSAID = ("dawn", "golden", "dusk", "spring", "mist", "sunset", "day", "autumn")


def palette_for(moods: tuple[str, ...], colours: tuple[str, ...], chance: float) -> Palette:
    """Mix the palettes of some moods and lean them towards some colours.

    Parameters
    ----------
    moods
        Keys of `MOODS`; the first counts most. Without any, `chance` chooses.
    colours
        Keys of `COLOURS`: the first for sky and distance, the second for what is near.
    chance
        0 to below 1; also turns every hue a little, so that candidates differ.
    """
    first = MOODS[moods[0] if moods else _UNSAID[int(chance * len(_UNSAID))]]
    second = MOODS[moods[1]] if len(moods) > 1 else first
    turn_rad = (chance - 0.5) * (0.3 if moods else 0.12)
    above = oklab(COLOURS[colours[0]]) if colours else None
    below = oklab(COLOURS[colours[1]]) if len(colours) > 1 else above
    mixed: dict[str, Colour] = {}
    for part in (field.name for field in fields(Palette)):
        colour = 0.65 * getattr(first, part) + 0.35 * getattr(second, part)
        lean = above if part in {"zenith", "horizon", "far"} else below
        mixed[part] = _turned(colour, turn_rad) if lean is None else _leaning(colour, lean, part)
    return Palette(**mixed)


def _turned(colour: Colour, angle_rad: float) -> Colour:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    lightness, a, b = colour
    return np.array([lightness, a * cos - b * sin, a * sin + b * cos])


def _leaning(colour: Colour, towards: Colour, part: str) -> Colour:
    """Keep the lightness; the light itself leans least, the accent becomes the colour."""
    if part == "accent":
        return towards
    hue = towards[1:] / (np.hypot(*towards[1:]) + 1e-9)
    chroma = max(np.hypot(*colour[1:]), min(_TINT_CHROMA, np.hypot(*towards[1:])))
    share = 0.25 if part == "light" else _TINT_SHARE
    return np.array([colour[0], *((1 - share) * colour[1:] + share * chroma * hue)])
