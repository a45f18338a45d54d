"""The value that every function of the proof provider returns, and how seeds vary it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.imaging.codec import encode

_TURNS = (0x9E3779B97F4A7C15, 0xC13FA9A902A6328F, 0x91E10DA5C79E7B1D, 0xD1B54A32D192ED03)
_CYCLE = 1 << 64


@dataclass(frozen=True)
class Proof:
    """A finished picture that does not pretend to come from a model.

    Attributes
    ----------
    data
        A PNG, sRGB, RGB or RGBA with straight alpha; its text `maquette` says that it is a proof.
    width_px, height_px
        Its size.
    notes
        What was done, in words, for the lineage of the picture.
    """

    data: bytes
    width_px: int
    height_px: int
    notes: dict[str, str]


def proof_of(
    pixels: NDArray[np.uint8],
    *,
    prompt: str,
    seed: int,
    understood: tuple[str, ...],
    notes: Mapping[str, str],
) -> Proof:
    """Encode pixels as a PNG that carries where it came from."""
    origin = {
        "provider": "proof",
        "proof": True,
        "seed": seed,
        "prompt": prompt,
        "understood": list(understood),
    }
    # JSON escapes NUL, surrogates and every other character that a text chunk cannot hold.
    data = encode(pixels, format="png", text={"maquette": json.dumps(origin)})
    return Proof(data, pixels.shape[1], pixels.shape[0], dict(notes))


def variation(seed: int, dial: int) -> float:
    """Return where a dial (0 to 3) stands for a seed, 0 to below 1.

    Consecutive seeds are spread evenly, so that two candidates of one run never look alike by
    bad luck, as they may with random numbers.

    Raises
    ------
    BadParameter
        If the seed is negative.

    References
    ----------
    Weyl, H. (1916). Ueber die Gleichverteilung von Zahlen mod. Eins. doi:10.1007/BF01475864
    """
    if seed < 0:
        raise BadParameter(f"seed {seed!r} is negative; choose zero or more")
    return (seed * _TURNS[dial] % _CYCLE) / _CYCLE
