"""Photographs repainted in strokes: brushes for oil to watercolour, lines for ink and pencil."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from maquette.core.errors import BadParameter, UnsupportedImage

Field = NDArray[np.floating[Any]]

MOST_WORKING_PX = 4_000_000
LEAST_WORKING_PX = 1_000_000
NOMINAL_SIDE_PX = 1024.0
PAPER = np.array([0.975, 0.963, 0.93], np.float32)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Strokes:
    """Shape and place of strokes, which start on a jittered grid `spacing` radii apart.

    `points` (least, most) are steps of one radius; `bend` (0..1) is how fast they turn into the
    flow; `tolerance` is the error, summed over channels, that is left alone.
    """

    radii_px: tuple[float, ...]
    spacing: float
    bend: float
    points: tuple[int, int]
    tolerance: float


@dataclass(frozen=True)
class Paint:
    """How paint sits and is mixed, all 0..1 but `saturation` and `tones`, the steps of lightness.

    `rim` draws pigment to the edge of a stroke, `grain` into the paper; `jitter` varies colours.
    """

    opacity: float
    bristle: float
    jitter: float
    saturation: float
    rim: float = 0.0
    impasto: float = 0.0
    grain: float = 0.0
    tones: int = 0


@dataclass(frozen=True)
class Brushwork:
    """Layers of ever finer strokes; `paper` (0..1) shines through. Lengths are for 1024 x 1024."""

    strokes: Strokes
    paint: Paint
    paper: float = 0.0


@dataclass(frozen=True)
class Pen:
    """`swell` 1 turns pressure into breadth (a nib), 0 into darkness (a lead)."""

    radius_px: float
    spacing_px: float
    length_px: float
    opacity: float
    swell: float

    def scaled(self, scale: float) -> tuple[float, float, float, float, float]:
        radius_px, spacing_px = max(0.6, self.radius_px * scale), max(2.0, self.spacing_px * scale)
        return radius_px, spacing_px, self.length_px * scale, self.opacity, self.swell


@dataclass(frozen=True)
class Linework:
    """Hatches, each (angle in degrees, darkness 0..1 where it begins), over a wash of 0..1.

    Lengths in pixels are those of a 1024 x 1024 picture; `tooth` is the paper's grain, 0..1.
    """

    pen: Pen
    hatches: tuple[tuple[float, float], ...]
    ink: tuple[float, float, float]
    wash: float
    tooth: float = 0.0


STYLES: Mapping[str, Brushwork | Linework] = MappingProxyType(
    {
        "oil": Brushwork(
            Strokes((32, 16, 8, 4), spacing=0.9, bend=0.85, points=(3, 12), tolerance=0.10),
            Paint(opacity=0.95, bristle=0.55, impasto=0.55, jitter=0.04, saturation=1.06),
        ),
        "impressionist": Brushwork(
            Strokes((20, 11, 6.5), spacing=0.85, bend=0.7, points=(3, 7), tolerance=0.09),
            Paint(opacity=0.92, bristle=0.5, impasto=0.45, jitter=0.15, saturation=1.2),
        ),
        "watercolor": Brushwork(
            Strokes((40, 20, 10, 5), spacing=1.0, bend=0.8, points=(3, 14), tolerance=0.14),
            Paint(opacity=0.6, bristle=0.08, rim=0.45, grain=0.75, jitter=0.06, saturation=1.3),
            paper=0.2,
        ),
        "gouache": Brushwork(
            Strokes((34, 17, 9, 4), spacing=0.9, bend=0.9, points=(4, 12), tolerance=0.12),
            Paint(opacity=1.0, bristle=0.12, grain=0.1, jitter=0.02, saturation=1.12, tones=9),
        ),
        "pointillism": Brushwork(
            Strokes((20, 14, 8), spacing=1.25, bend=1.0, points=(0, 0), tolerance=0.12),
            Paint(opacity=0.97, bristle=0.1, impasto=0.2, jitter=0.26, saturation=1.25),
            paper=0.02,
        ),
        "ink": Linework(
            Pen(radius_px=1.5, spacing_px=6.5, length_px=70, opacity=0.92, swell=1.0),
            hatches=((45, 0.36), (-50, 0.58), (5, 0.74), (80, 0.86)),
            ink=(0.07, 0.07, 0.11),
            wash=0.45,
        ),
        "pencil": Linework(
            Pen(radius_px=1.6, spacing_px=4.5, length_px=60, opacity=0.42, swell=0.25),
            hatches=((40, 0.22), (55, 0.42), (-40, 0.58), (50, 0.72), (10, 0.84)),
            ink=(0.17, 0.17, 0.19),
            wash=0.35,
            tooth=0.6,
        ),
    }
)


def paint(
    pixels: NDArray[np.uint8], *, style: str = "oil", strength: float = 0.7, seed: int = 0
) -> NDArray[np.uint8]:
    """Repaint a photograph in strokes.

    Strokes scale with the picture. It is painted at 1 to 4 megapixels (a small one at most
    doubled) and the painting resized to fit, which bounds memory and time for large ones.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8, sRGB.
    style
        A key of `STYLES`.
    strength
        0 gives the photograph back unchanged; 1 is the boldest, with the largest strokes.
    seed
        Non-negative. The same seed gives the same bytes on one machine and set of libraries.

    Returns
    -------
    (H, W, 3) uint8, sRGB.

    Raises
    ------
    UnsupportedImage, BadParameter
        When `pixels` is not RGB uint8; for a bad style, strength or seed.

    References
    ----------
    Hertzmann, A. (1998). Painterly rendering with curved brush strokes of multiple sizes.
    SIGGRAPH '98. doi:10.1145/280814.280951
    Bousseau, A., Kaplan, M., Thollot, J. & Sillion, F. (2006). Interactive watercolor rendering
    with temporal coherence and abstraction. NPAR '06. doi:10.1145/1124728.1124751

    Differs from the paper: strokes follow a smoothed structure tensor, start at a random place in
    their grid cell, carry bristles and are lit as relief. Hatching is our own.
    """
    medium = _checked(pixels, style, strength, seed)
    if strength == 0:
        return pixels.copy()
    area = pixels.shape[0] * pixels.shape[1]
    zoom = math.sqrt(min(max(area, min(LEAST_WORKING_PX, 4 * area)), MOST_WORKING_PX) / area)
    photograph = _resize(pixels, zoom) / np.float32(255)
    scale = zoom * math.sqrt(area) / NOMINAL_SIDE_PX * (0.45 + 0.75 * strength)
    rng = np.random.default_rng(seed)
    if isinstance(medium, Brushwork):
        painting = _brush(photograph, medium, strength, scale, rng)
    else:
        painting = _draw(photograph, medium, scale, rng)
    return _blended(pixels, painting, 1 - (1 - strength) ** 3)


def warm() -> None:
    """Compile the kernels, or load them from the cache on disk."""
    for style in ("oil", "ink"):
        paint(np.zeros((8, 8, 3), np.uint8), style=style)


def _checked(pixels: Any, style: str, strength: float, seed: int) -> Brushwork | Linework:
    medium = STYLES.get(style)
    if medium is None:
        near = difflib.get_close_matches(style.lower(), STYLES, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise BadParameter(f"unknown style {style!r}; {hint}choose one of {', '.join(STYLES)}")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise UnsupportedImage(
            f"painting needs (H, W, 3) uint8 pixels, not {pixels.shape!r} {pixels.dtype!s}; "
            "convert the picture to RGB first"
        )
    if not 0 <= strength <= 1:
        raise BadParameter(f"strength {strength!r} is outside 0..1; choose a value between them")
    if seed < 0:
        raise BadParameter(f"seed {seed!r} is negative; choose zero or more")
    return medium


def _flow(luma: Field, scale: float) -> tuple[Field, Field]:
    """Return (cos, sin) of twice the angle in which forms run, and how clearly; at half size."""
    half = _resize(luma, 0.5)
    across = np.asarray(cv2.Sobel(half, cv2.CV_32F, 1, 0), np.float32)
    down = np.asarray(cv2.Sobel(half, cv2.CV_32F, 0, 1), np.float32)
    moments = np.stack([down * down - across * across, -2 * across * down], axis=-1)
    energy = _blur(across * across + down * down, 4 * scale)
    near = _blur(moments, 4 * scale)
    # Smooth places, whose own gradient is noise, borrow a direction from their surroundings.
    wide = near + np.float32(0.03) * _blur(near, 40 * scale)
    doubled = wide / (np.linalg.norm(wide, axis=-1, keepdims=True) + np.float32(1e-12))
    return doubled, np.linalg.norm(near, axis=-1) / (energy + np.float32(0.02))


def _blended(pixels: NDArray[np.uint8], painting: Field, share: float) -> NDArray[np.uint8]:
    finished = np.rint(np.clip(painting, 0, 1) * np.float32(255)).astype(np.uint8)
    how = cv2.INTER_AREA if finished.size > pixels.size else cv2.INTER_CUBIC
    finished = cv2.resize(finished, (pixels.shape[1], pixels.shape[0]), interpolation=how)
    return np.asarray(cv2.addWeighted(finished, share, pixels, 1 - share, 0), np.uint8)


def _directions(doubled: Field, turn_rad: float = 0.0) -> Field:
    angle = np.arctan2(doubled[..., 1], doubled[..., 0]) / 2 + np.float32(turn_rad)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


def _resize(field: NDArray[Any], zoom: float) -> Field:
    size = (max(1, round(field.shape[1] * zoom)), max(1, round(field.shape[0] * zoom)))
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(field, size, interpolation=how), np.float32)


def _blur(field: Field, sigma_px: float) -> Field:
    """Gaussian blur, done on a reduced copy where that cannot be seen."""
    reduction = max(1, int(sigma_px / 2))
    small = _resize(field, 1 / reduction) if reduction > 1 else field
    small = cv2.GaussianBlur(small, (0, 0), max(0.5, sigma_px / reduction))
    if reduction > 1:
        small = cv2.resize(small, (field.shape[1], field.shape[0]))
    return np.asarray(small, np.float32)


def _noise(shape: tuple[int, ...], grain_px: float, rng: Generator) -> Field:
    size = tuple(max(1, round(side / max(1.0, grain_px))) for side in shape)
    return np.asarray(cv2.resize(rng.standard_normal(size, np.float32), shape[::-1]), np.float32)


def _brush(photo: Field, medium: Brushwork, strength: float, scale: float, rng: Generator) -> Field:
    from maquette.pixels.kernels import painterly as kernels  # noqa: PLC0415 - loads Numba

    strokes, paint = medium.strokes, medium.paint
    target = photo + (PAPER - photo) * medium.paper
    canvas = _blur(target, 16 * scale)
    canvas += (PAPER - canvas) * (0.5 if medium.paper else 0.0)
    height = np.full(canvas.shape[:2], 0.4, np.float32)
    flow = _directions(_flow(photo @ LUMA, scale)[0])
    for level, nominal_px in enumerate(strokes.radii_px):
        radius_px = max(1.5, nominal_px * scale)
        reference = _blur(target, radius_px / 2)
        tolerance = strokes.tolerance * (0.35 + 0.9 * strength) if level else -1.0
        difference = cv2.absdiff(reference, canvas)
        starts = _starts(difference, strokes.spacing * radius_px, tolerance, rng)
        colours = _mixed(reference[tuple(starts.astype(np.intp).T)], paint, rng)
        layer = (canvas, height, reference, flow, starts, colours)
        sits = (paint.opacity, paint.bristle, paint.rim)
        path = (radius_px, strokes.bend, *strokes.points)
        kernels.brush_layer(*layer, path=path, paint=sits, rng=rng)
    return _finish(canvas, height, paint, scale, rng)


def _starts(difference: Any, spacing_px: float, tolerance: float, rng: Generator) -> Field:
    error = cv2.transform(difference, np.ones((1, 3), np.float32))
    extent = np.array(error.shape[:2], np.float32)
    grid = np.ceil(extent / spacing_px).astype(int)
    cells = cv2.resize(error, (grid[1], grid[0]), interpolation=cv2.INTER_AREA).reshape(grid)
    chosen = np.argwhere(cells > tolerance).astype(np.float32)
    jittered = (chosen + rng.random(chosen.shape, np.float32)) * (extent / grid)
    return np.minimum(jittered, extent - np.float32(0.01)).astype(np.float32)


def _mixed(colours: Field, paint: Paint, rng: Generator) -> Field:
    luma = (colours @ LUMA)[:, None]
    chroma = (colours - luma) * np.float32(paint.saturation)
    chroma += (rng.random(colours.shape, np.float32) - np.float32(0.5)) * paint.jitter
    chroma -= (chroma @ LUMA)[:, None]
    if paint.tones:
        luma = luma * 0.4 + np.rint(luma * paint.tones) / paint.tones * 0.6
    luma = luma + (rng.random(luma.shape, np.float32) - np.float32(0.5)) * (paint.jitter / 2)
    return np.clip(luma + chroma, 0, 1).astype(np.float32)


def _finish(canvas: Field, height: Field, paint: Paint, scale: float, rng: Generator) -> Field:
    """Light the relief; let pigment gather in the paper's grain and along edges."""
    if paint.impasto:
        slope = cv2.Sobel(height, cv2.CV_32F, 1, 0) + cv2.Sobel(height, cv2.CV_32F, 0, 1)
        light = 1 - np.float32(paint.impasto * 0.18) * np.clip(slope, -1.2, 1.2)
        canvas = canvas * light[..., None]
    if paint.grain:
        luma = canvas @ LUMA
        pooled = np.clip(_blur(luma, 5 * scale) - luma, -0.05, 0.2)
        grain = 0.16 * _noise(luma.shape, 2 * scale, rng)
        grain += 0.24 * _noise(luma.shape, 60 * scale, rng)
        density = paint.grain * (grain + 3 * pooled)
        canvas = canvas - (canvas - canvas * canvas) * density[..., None]
    return canvas


def _draw(photograph: Field, medium: Linework, scale: float, rng: Generator) -> Field:
    from maquette.pixels.kernels import painterly as kernels  # noqa: PLC0415 - loads Numba

    luma = photograph @ LUMA
    black, white = np.percentile(luma[::4, ::4], (1, 99)).astype(np.float32)
    level = (luma - black) / max(white - black, np.float32(0.4))
    dark = np.clip(1 - level * 1.5 + _blur(level, 20 * scale) * 0.5, 0, 1)
    doubled, coherence = _flow(luma, scale)
    first_rad = math.radians(medium.hatches[0][0])
    slant = np.array([math.cos(2 * first_rad), math.sin(2 * first_rad)], np.float32)
    form = np.clip(coherence * np.float32(1.5) - np.float32(0.25), 0, 1)[..., None]
    field = form * doubled + (1 - form) * slant
    lines = np.zeros_like(luma)
    hatch = partial(kernels.hatch_layer, lines, pen=medium.pen.scaled(scale), rng=rng)
    for angle_deg, threshold in medium.hatches:
        angle_rad = math.radians(angle_deg)
        pressure = np.clip((dark - np.float32(threshold)) * 3, 0, 1)
        hatch(pressure, _directions(field, angle_rad - first_rad), angle_rad=angle_rad)
    outline = _blur(level, 2.6 * scale) - _blur(level, 1.3 * scale)
    pressure = np.clip(outline * 11 - np.float32(0.12), 0, 1)
    hatch(pressure, _directions(doubled), angle_rad=0.0)
    if medium.tooth:
        grain = _noise(luma.shape, 1.6 * scale, rng) * np.float32(0.5) + np.float32(0.3)
        lines = lines * (1 - np.float32(medium.tooth) * np.clip(grain, 0, 1))
    wash = np.float32(medium.wash) * np.clip(_blur(dark, 2 * scale) * 1.15 - np.float32(0.15), 0, 1)
    cover = 1 - (1 - lines) * (1 - wash)
    return PAPER + (np.array(medium.ink, np.float32) - PAPER) * cover[..., None]
