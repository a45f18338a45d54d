"""What backdrops are made of: sky, light, ridges, trees, water, houses, flowers, stars, shapes.

Everything is drawn in Oklab, so that mixtures stay clean. Heights are shares of the canvas,
0 at the top; other lengths are in units of its shorter side, so that shapes keep their form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from maquette.providers.proof.palettes import Colour, Palette

Plane = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Scene:
    """A canvas (H, W, 3) in Oklab, which every function here paints on, and what it draws from."""

    canvas: NDArray[np.float32]
    palette: Palette
    rng: Generator

    @property
    def unit_px(self) -> int:
        return min(self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        return self.canvas.shape[0], self.canvas.shape[1]

    @property
    def heights(self) -> Plane:
        """Where each row lies, 0..1 from the top, as a column (H, 1)."""
        return ((np.arange(self.shape[0], dtype=np.float32) + 0.5) / self.shape[0])[:, None]

    def lay(self, colour: Colour | Plane, cover: Plane) -> None:
        """Cover the canvas with a colour where `cover` (H, W), 0..1, says."""
        share = np.clip(cover, 0, 1).astype(np.float32)[..., None]
        self.canvas[:] += (np.asarray(colour, np.float32) - self.canvas) * share

    def distance(self, height: float, across: float) -> Plane:
        """Return how far each pixel is from a point, in short sides."""
        rows, columns = np.ogrid[: self.shape[0], : self.shape[1]]
        down = (rows + 0.5 - height * self.shape[0]) / self.unit_px
        along = (columns + 0.5 - across * self.shape[1]) / self.unit_px
        return np.hypot(down, along).astype(np.float32)

    def chance(self, least: float, most: float) -> float:
        return float(self.rng.uniform(least, most))


def mix(first: Colour | Plane, second: Colour | Plane, share: float | Plane) -> Plane:
    """Go from one colour (0) to another (1)."""
    return np.asarray(first + (second - first) * share, np.float32)


def step(edge: Plane | float, soft: float, value: Plane) -> Plane:
    """Rise smoothly from 0 to 1 while `value` passes `edge`, over a width of `soft`."""
    way = np.clip((value - edge) / soft + 0.5, 0, 1)
    return way * way * (3 - 2 * way)


def noise(scene: Scene, grain: float, *, octaves: int = 4, stretch: float = 1.0) -> Plane:
    """Return clouds of mean 0 and deviation about 1; `stretch` draws them out sideways."""
    total = np.zeros(scene.shape, np.float32)
    for octave in range(octaves):
        grain_px = max(1.0, scene.unit_px * grain / 2**octave)
        coarse = (
            max(2, round(scene.shape[0] / grain_px) + 1),
            max(2, round(scene.shape[1] / (grain_px * stretch)) + 1),
        )
        field = scene.rng.standard_normal(coarse, np.float32)
        size = (scene.shape[1], scene.shape[0])
        total += np.float32(0.55**octave) * cv2.resize(field, size, interpolation=cv2.INTER_CUBIC)
    return total / np.float32(max(float(total.std()), 1e-3))


def profile(scene: Scene, grain: float, roughness: float, *, peaks: float = 0.0) -> Plane:
    """Return a ragged line, one value about -1..1 for each column; `peaks` 1 makes tops sharp."""
    columns = np.arange(scene.shape[1]) / scene.unit_px
    total = np.zeros(scene.shape[1])
    weight = 1.0
    for octave in range(7):
        knots = scene.rng.uniform(-1, 1, int(columns[-1] / grain * 2**octave) + 3)
        position = columns / grain * 2**octave + scene.rng.random()
        below = np.minimum(position.astype(int), len(knots) - 2)
        way = position - below
        way = way * way * (3 - 2 * way)
        wave = knots[below] * (1 - way) + knots[below + 1] * way
        total += weight * (wave + peaks * (1 - 3 * np.abs(wave) - wave))
        weight *= roughness
    return total


def sky(scene: Scene, horizon: float) -> None:
    """Paint the zenith down to the horizon, with long clouds that catch the light."""
    palette = scene.palette
    fall = np.clip(scene.heights / horizon, 0, 1.15)[..., None] ** 1.25
    scene.canvas[:] = mix(palette.zenith, palette.horizon, fall)
    drift = noise(scene, 0.5, octaves=5, stretch=2.6)
    lit = step(0.35, 1.5, drift) * (0.25 + 0.75 * scene.heights / horizon)
    scene.lay(mix(palette.horizon, palette.light, 0.5), 0.62 * lit)
    shade = step(0.6, 1.2, -drift) * (1 - 0.6 * scene.heights / horizon)
    scene.lay(mix(palette.zenith, palette.far, 0.5), 0.3 * shade)


def sun(scene: Scene, height: float, radius: float) -> float:
    """Put up a sun or moon with its glow; returns where across the canvas it stands, 0..1."""
    across = scene.chance(0.2, 0.4) if scene.rng.random() < 0.5 else scene.chance(0.6, 0.8)
    away = scene.distance(height, across)
    palette = scene.palette
    scene.lay(mix(palette.horizon, palette.light, 0.6), 0.6 * np.exp(-away / 0.3))
    scene.lay(palette.light, 0.55 * np.exp(-((away / (2.1 * radius)) ** 2)))
    scene.lay(palette.light, step(-radius, 0.006, -away))
    return across


def ridges(
    scene: Scene,
    horizon: float,
    *,
    count: int,
    relief: float,
    roughness: float,
    span: tuple[float, float] = (0.0, 1.0),
    lit: float = 0.05,
    peaks: float = 0.0,
) -> None:
    """Stack ridges from far to near; `span` is their part of the way, `lit` the light on them."""
    palette = scene.palette
    for number in range(count):
        share = span[0] + (span[1] - span[0]) * (number + 1) / count
        line = horizon + (1.02 - horizon) * share**1.3 * 0.72
        reach = relief * (0.55 + 0.6 * share) * scene.unit_px / scene.shape[0]
        top = line - reach * profile(scene, 0.3 + 0.5 * share, roughness, peaks=peaks)
        land(scene, top, mix(palette.far, palette.near, share**1.15), 1 - share, lit=lit)


def land(
    scene: Scene,
    top: Plane,
    colour: Plane,
    haze: float,
    *,
    lit: float = 0.0,
    feet: float | None = None,
) -> None:
    """Fill below a line `top` (W,) of heights.

    Slopes to the left take light. Haze lies below the height `feet`, or follows the line.
    """
    palette = scene.palette
    depth = scene.heights - top[None, :]
    sunk = depth if feet is None else scene.heights - np.float32(feet) + np.zeros_like(depth)
    texture = noise(scene, 0.22, octaves=4, stretch=1.6)[..., None]
    slope = np.gradient(cv2.GaussianBlur(top[None, :], (0, 0), scene.unit_px / 36)[0])
    tilt = np.clip(-slope * scene.shape[0], -1, 1)[None, :] * np.exp(-depth / 0.1)
    tone = colour + np.zeros_like(scene.canvas)
    tone[..., :1] += lit * tilt[..., None] + 0.016 * texture
    foot = (0.5 * haze * step(0.1, 0.25, sunk))[..., None]
    tone = mix(tone, mix(palette.horizon, palette.far, 0.4), foot)
    scene.lay(tone, np.clip(depth * scene.shape[0] + 0.5, 0, 1))


def conifers(scene: Scene, ground: float, share: float) -> None:
    """Stand a row of firs on uneven ground; `share` 0 is far, 1 near."""
    height_px, width_px = scene.shape
    rise = 0.035 * profile(scene, 0.6, 0.4)
    top = np.broadcast_to(ground + rise, (width_px,)).astype(np.float64).copy()
    size = 0.05 + 0.24 * share**1.4
    columns = np.arange(width_px) / scene.unit_px
    at = -size
    while at < columns[-1] + size:
        at += size * scene.chance(0.1, 0.3)
        tall = size * scene.chance(0.55, 1.25)
        away = np.abs(columns - at) / (0.17 * tall)
        branch = 1 - away + 0.1 * np.abs((away * 5 + scene.rng.random()) % 1 - 0.5)
        crown = np.where(away < 1, branch * tall, 0) * scene.unit_px / height_px
        foot = ground + float(rise[min(max(int(at * scene.unit_px), 0), width_px - 1)])
        top = np.where(crown > 0, np.minimum(top, foot - crown), top)
    palette = scene.palette
    tone = mix(palette.far, palette.near, 0.25 + 0.75 * share)
    land(scene, top, tone, 1 - share, feet=ground - 0.12)


def water(scene: Scene, horizon: float, across: float) -> None:
    """Lay a sea below the horizon, with swell and the path of light under the sun."""
    palette = scene.palette
    depth = np.clip((scene.heights - horizon) / (1 - horizon), 0, 1)
    below = np.clip((scene.heights - horizon) * scene.shape[0] + 0.5, 0, 1)
    tone = mix(mix(palette.horizon, palette.far, 0.55), palette.near, depth[..., None] ** 0.7)
    # Waves grow towards the shore: noise is sampled in a plane seen from above.
    swell = _in_perspective(scene, noise(scene, 0.09, octaves=3, stretch=5.0), horizon)
    tone = tone + np.zeros_like(scene.canvas)
    tone[..., 0] += 0.035 * swell * (0.35 + depth)
    scene.lay(tone, below * np.ones(scene.shape))
    columns = np.arange(scene.shape[1])[None, :] / scene.shape[1]
    aside = np.abs(columns - across) * scene.shape[1] / scene.unit_px
    path = np.exp(-((aside / (0.05 + 0.2 * depth)) ** 2)) * (1 - 0.55 * depth)
    scene.lay(palette.light, below * path * (0.18 + 0.75 * step(0.15, 1.1, swell)))


def _in_perspective(scene: Scene, plane: Plane, horizon: float) -> Plane:
    depth = np.clip((scene.heights[:, 0] - horizon) / (1 - horizon), 0.004, 1)
    rows = ((1 - 0.12 / (depth + 0.12)) * 1.12 * (scene.shape[0] - 1)).astype(np.intp)
    return plane[np.clip(rows, 0, scene.shape[0] - 1)]


def skyline(scene: Scene, ground: float, share: float) -> None:
    """Build a row of houses; near rows are higher, darker and have lit windows."""
    height_px, width_px = scene.shape
    palette, unit = scene.palette, scene.unit_px
    top = np.full(width_px, ground)
    blocks: list[tuple[int, int, float]] = []
    at_px = -int(scene.rng.integers(0, max(2, unit // 20)))
    while at_px < width_px:
        wide_px = max(2, round(unit * scene.chance(0.05, 0.13) * (0.7 + 0.5 * share)))
        tall = scene.chance(0.1, 0.36) * (1.25 - 0.45 * share) * unit / height_px
        left, right = max(0, at_px), max(0, at_px + wide_px)
        top[left:right] = ground - tall
        blocks.append((left, min(right, width_px), ground - tall))
        if scene.rng.random() < 0.3:
            notch = wide_px // 4
            top[left + notch : max(left + notch, right - notch)] -= 0.05 * unit / height_px
        at_px += wide_px + (int(scene.rng.integers(0, max(2, unit // 40))) if share < 1 else 0)
    tone = mix(palette.far, palette.near, 0.15 + 0.85 * share)
    land(scene, top, tone, 1 - share, feet=ground - 0.16)
    if share > 0.3:
        for block in blocks:
            _windows(scene, *block, share)


def _windows(scene: Scene, left: int, right: int, top: float, share: float) -> None:
    cell = max(3, round(scene.unit_px * 0.017 * (0.6 + 0.5 * share)))
    first = round(top * scene.shape[0]) + cell
    glow = mix(scene.palette.light, scene.palette.accent, 0.35)
    for row in range(first, scene.shape[0] - cell, cell * 2):
        for column in range(left + cell, right - cell, round(cell * 1.7)):
            if scene.rng.random() < 0.24:
                pane = scene.canvas[row : row + cell, column : column + max(1, cell * 2 // 3)]
                pane[:] = mix(pane, glow, scene.chance(0.35, 0.95))


def blossoms(scene: Scene, top: float) -> None:
    """Scatter flowers, small far away and large near."""
    palette, unit = scene.palette, scene.unit_px
    height_px, width_px = scene.shape
    tones = (
        palette.accent,
        palette.light,
        mix(palette.accent, palette.light, 0.5),
        mix(palette.accent, palette.near, 0.3),
    )
    count = round(1500 * width_px / unit)
    for depth in np.sort(scene.rng.random(count) ** 0.8):
        radius_px = unit * (0.0025 + 0.014 * depth**1.6) * scene.chance(0.6, 1.3)
        row = (top + (1.03 - top) * depth) * height_px
        column = scene.rng.random() * width_px
        tone = tones[scene.rng.choice(4, p=(0.5, 0.17, 0.23, 0.1))]
        axes = (max(1, round(radius_px)), max(1, round(radius_px * 0.75)))
        cv2.ellipse(
            scene.canvas,
            (round(column), round(row)),
            axes,
            0,
            0,
            360,
            tuple(float(part) for part in tone),
            -1,
            cv2.LINE_AA,
        )


def stars(scene: Scene, count: int, lowest: float) -> None:
    """Set stars above a height, most of them faint."""
    height_px, width_px = scene.shape
    for _ in range(round(count * width_px * height_px / scene.unit_px**2)):
        row = int(scene.rng.random() * lowest * height_px)
        column = int(scene.rng.random() * width_px)
        brightness = scene.rng.random() ** 3
        radius_px = max(1, round(scene.unit_px * (0.0009 + 0.003 * brightness)))
        tone = mix(scene.canvas[row, column], scene.palette.light, 0.3 + 0.7 * brightness)
        cv2.circle(
            scene.canvas,
            (column, row),
            radius_px,
            tuple(float(part) for part in tone),
            -1,
            cv2.LINE_AA,
        )


def planet(scene: Scene, height: float, across: float, radius: float) -> None:
    """Hang up a ball, banded and lit from one side."""
    palette = scene.palette
    away = scene.distance(height, across) / radius
    lit = scene.distance(height - 0.75 * radius, across - 0.45 * radius) / radius
    bands = noise(scene, 0.12, octaves=4, stretch=5.0)[..., None]
    surface = mix(palette.accent, palette.horizon, np.clip(0.5 + 0.22 * bands, 0, 1))
    surface = mix(surface, palette.near, np.clip((lit - 0.35) / 1.25, 0, 0.96)[..., None])
    scene.lay(palette.horizon, 0.35 * np.exp(-np.clip(away - 1, 0, 9) / 0.09) * (away >= 1))
    scene.lay(surface, np.clip((1 - away) * radius * scene.unit_px + 0.5, 0, 1))


def disc(scene: Scene, height: float, across: float, radius: float, colour: Plane) -> None:
    """Cut a disc out of coloured paper."""
    away = scene.distance(height, across)
    shade = noise(scene, 0.25)[..., None] * np.array([0.012, 0, 0], np.float32)
    scene.lay(colour + shade, np.clip((radius - away) * scene.unit_px + 0.5, 0, 1))


def arch(scene: Scene, height: float, across: float, radius: float, colour: Plane) -> None:
    """Cut an arch out of coloured paper: a half disc standing on walls down to the edge."""
    columns = np.arange(scene.shape[1])[None, :] / scene.shape[1]
    aside = np.abs(columns - across) * scene.shape[1] / scene.unit_px
    away = np.where(scene.heights < height, scene.distance(height, across), aside)
    shade = noise(scene, 0.25)[..., None] * np.array([0.012, 0, 0], np.float32)
    scene.lay(colour + shade, np.clip((radius - away) * scene.unit_px + 0.5, 0, 1))
