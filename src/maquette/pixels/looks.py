"""Named colour profiles, each a smooth function of the colour alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from maquette.core.errors import BadParameter
from maquette.pixels.lut import Colours, Lut3D, Triple, from_function


@dataclass(frozen=True)
class Look:
    """A named colour profile.

    `function` maps display-encoded sRGB colours (float32, shape (..., 3), 0..1) to as many in the
    same range. It is deterministic and never modifies its input.
    """

    name: str
    description: str
    function: Callable[[Colours], Colours]


def look(name: str) -> Look:
    """Return the look of that name.

    Raises
    ------
    BadParameter
        If there is none; the message suggests the nearest name.
    """
    found = LOOKS.get(name)
    if found is None:
        near = get_close_matches(name, LOOKS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(LOOKS)}."
        raise BadParameter(f"There is no look {name!r}; {hint}")
    return found


@cache
def lut_of(name: str) -> Lut3D:
    """Return the look of that name as a cube of 33 points per axis, made once.

    Raises
    ------
    BadParameter
        If there is no such look.
    """
    return from_function(look(name).function)


def _single(value: ArrayLike) -> Colours:
    """Keep the arithmetic in single precision."""
    return np.asarray(value, np.float32)


def _luma(colours: Colours) -> Colours:
    return _weighed(colours, (0.2126, 0.7152, 0.0722))  # Rec. 709


def _weighed(colours: Colours, weights: Triple) -> Colours:
    """Return the sum of the channels, each times its weight, with one channel left."""
    red, green, blue = (colours[..., i : i + 1] * _single(weights[i]) for i in range(3))
    return _single(red + green + blue)


def _room(colours: Colours) -> Colours:
    """Return 1 in the middle of each channel, falling to 0 at both ends.

    What is scaled by it cannot leave the range, so no look clips, bands or turns a hue there.
    """
    return 4 * colours * (1 - colours)


def _mute(colours: Colours, amount: float) -> Colours:
    """Move towards grey; 1 is grey."""
    return _single(colours + (_luma(colours) - colours) * _single(amount))


def _enrich(colours: Colours, amount: float) -> Colours:
    """Raise the saturation, of vivid colours less; `amount` at most 0.25."""
    return _single(colours + (colours - _luma(colours)) * _room(colours) * _single(amount))


def _contrast(colours: Colours, amount: float) -> Colours:
    """Bend towards an S, keeping black, middle and white; `amount` at most 1."""
    return _single(colours + _room(colours) * (2 * colours - 1) * _single(amount / 4))


def _lift(colours: Colours, tint: Triple) -> Colours:
    """Raise or lower the middle of each channel by its part of `tint`, at most 0.25."""
    return _single(colours + _room(colours) * _single(tint))


def _split_tone(colours: Colours, shadows: Triple, highlights: Triple) -> Colours:
    """Lift dark colours by one tint and light ones by another."""
    light = _luma(colours)
    tint = (1 - light) * _single(shadows) + light * _single(highlights)
    return _single(colours + _room(colours) * tint)


def _fade(colours: Colours, black: float, white: float) -> Colours:
    """Fit the range between a raised black and a lowered white."""
    return _single(_single(black) + colours * _single(white - black))


def _warmth(colours: Colours) -> Colours:
    """Return 0 for blue and green, rising smoothly to 1 for skin, wood and sand."""
    red, green, blue = np.moveaxis(colours, -1, 0)
    lead = np.clip((red - 0.5 * (green + blue)) / 0.4 + 0.1, 0, 1)
    return (lead * lead * (3 - 2 * lead))[..., None]


def _clean(colours: Colours) -> Colours:
    return _enrich(_contrast(_lift(colours, (0.02, 0.02, 0.02)), 0.2), 0.05)


def _cinematic_warm(colours: Colours) -> Colours:
    toned = _split_tone(_mute(colours, 0.08), (-0.05, -0.005, 0.045), (0.085, 0.012, -0.075))
    return _fade(_contrast(toned, 0.45), 0.015, 0.985)


def _cinematic_cool(colours: Colours) -> Colours:
    toned = _split_tone(_mute(colours, 0.16), (-0.06, 0.0, 0.06), (-0.03, 0.015, 0.04))
    return _fade(_contrast(toned, 0.5), 0.015, 0.98)


def _teal_orange(colours: Colours) -> Colours:
    teal = _split_tone(_mute(colours, 0.12), (-0.12, 0.01, 0.05), (-0.08, 0.02, 0.05))
    orange = _split_tone(colours, (0.02, 0.0, -0.03), (0.06, 0.015, -0.06))
    return _contrast(_single(teal + _warmth(colours) * (orange - teal)), 0.45)


def _golden_hour(colours: Colours) -> Colours:
    lit = _split_tone(colours, (0.04, 0.005, -0.02), (0.13, 0.035, -0.13))
    return _contrast(lit, 0.25)


def _moonlight(colours: Colours) -> Colours:
    dim = _lift(_mute(colours, 0.5), (-0.1, -0.07, -0.04))
    night = _split_tone(dim, (-0.06, -0.01, 0.09), (-0.09, 0.0, 0.1))
    return _fade(_contrast(night, 0.35), 0.012, 0.92)


def _film_matte(colours: Colours) -> Colours:
    soft = _split_tone(_mute(colours, 0.16), (-0.02, 0.01, 0.03), (0.04, 0.015, -0.035))
    return _fade(_contrast(soft, 0.3), 0.075, 0.955)


def _vivid(colours: Colours) -> Colours:
    return _contrast(_enrich(_enrich(colours, 0.25), 0.1), 0.2)


def _bleach_bypass(colours: Colours) -> Colours:
    return _fade(_contrast(_mute(colours, 0.58), 0.9), 0.012, 0.99)


def _vintage_fade(colours: Colours) -> Colours:
    aged = _split_tone(_mute(colours, 0.26), (0.06, -0.01, 0.04), (0.06, 0.035, -0.12))
    return _fade(_contrast(aged, 0.1), 0.085, 0.94)


def _noir(colours: Colours) -> Colours:
    # A film with an orange filter: skin glows and skies fall.
    mixed = _weighed(colours, (0.42, 0.46, 0.12))
    return np.repeat(_fade(_contrast(mixed, 0.85), 0.01, 0.99), 3, axis=-1)


def _sepia(colours: Colours) -> Colours:
    grey = np.repeat(_contrast(_luma(colours), 0.3), 3, axis=-1)
    return _fade(_lift(grey, (0.11, -0.005, -0.12)), 0.03, 0.97)


def _catalogue(*looks: tuple[str, str, Callable[[Colours], Colours]]) -> Mapping[str, Look]:
    return MappingProxyType({row[0]: Look(*row) for row in looks})


LOOKS: Mapping[str, Look] = _catalogue(
    ("clean", "A gentle correction: a touch of light, contrast and colour.", _clean),
    ("cinematic_warm", "Amber highlights over cool shadows, like dusk on film.", _cinematic_warm),
    ("cinematic_cool", "Steel-blue shadows and restrained colour.", _cinematic_cool),
    ("teal_orange", "Skin and wood stay warm; everything else leans to teal.", _teal_orange),
    ("golden_hour", "Low sun: light and honey everywhere.", _golden_hour),
    ("moonlight", "Night: dim, blue and muted.", _moonlight),
    ("film_matte", "Lifted blacks and soft colour, like a matte print.", _film_matte),
    ("vivid", "Richer muted colours and more contrast.", _vivid),
    ("bleach_bypass", "Silver left in the film: little colour, hard contrast.", _bleach_bypass),
    ("vintage_fade", "A print that hung in the sun for years.", _vintage_fade),
    ("noir", "Black and white through an orange filter.", _noir),
    ("sepia", "Brown monochrome of an old photograph.", _sepia),
)
"""Every look by name, in the order to show them."""
