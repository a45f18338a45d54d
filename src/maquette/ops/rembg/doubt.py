"""How far a network's mask can be trusted, by what can be measured of it."""

from __future__ import annotations

from math import prod
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.findings import Finding
from maquette.ops.rembg.session import Seen

DOUBTFUL: Final = 0.5
"""Below this confidence the cutout is reported as doubtful."""


def confidence(seen: Seen) -> float:
    """Multiply what speaks for a mask, 0..1: one bad sign is enough to doubt it."""
    return prod(_signs(seen).values())


def findings(model: str, seen: Seen) -> tuple[Finding, ...]:
    """Say what speaks most against a mask that is not to be trusted."""
    signs = _signs(seen)
    sure = prod(signs.values())
    if sure >= DOUBTFUL:
        return ()
    worst = min(signs, key=lambda sign: signs[sign])
    message = (
        f"The cutout by rembg's {model!r} is doubtful, confidence {sure:.2f}: {worst}. "
        "Check it, or choose another model or backend."
    )
    return (
        Finding(
            code="doubtful_cutout",
            severity="soft",
            message=message,
            measured=sure,
            limit=DOUBTFUL,
        ),
    )


def _signs(seen: Seen) -> dict[str, float]:
    """Return what may be wrong, with 1 where it is not so and 0 where it surely is."""
    share = float(seen.mask.mean()) / 255
    undecided = _undecided(seen.mask)
    strength = _ramp(seen.highest, 0.2, 0.7)
    return {
        "the model found hardly anything to keep": min(strength, _ramp(share, 0.0, 0.01)),
        "it kept nearly everything": _ramp(1 - share, 0.0, 0.02),
        f"{undecided:.0%} of what it kept is neither inside nor outside": 1
        - _ramp(undecided, 0.1, 0.5),
    }


def _undecided(mask: NDArray[np.uint8]) -> float:
    """Return how large the areas without a decision are, against the subject; edges are none."""
    between = ((mask > 25) & (mask < 230)).astype(np.uint8)
    radius_px = max(1, round(max(mask.shape) / 100))
    window = np.ones((2 * radius_px + 1,) * 2, np.uint8)
    areas = np.asarray(cv2.morphologyEx(between, cv2.MORPH_OPEN, window), np.uint8)
    return float(areas.sum()) / max(1.0, float((mask > 25).sum()))


def _ramp(value: float, zero_at: float, one_at: float) -> float:
    return min(1.0, max(0.0, (value - zero_at) / (one_at - zero_at)))
