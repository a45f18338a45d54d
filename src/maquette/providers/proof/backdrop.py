"""Backdrops of proof cards: a landscape or a composition of shapes that suits the prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from maquette.providers.proof import scenery
from maquette.providers.proof.palettes import Palette, to_srgb
from maquette.providers.proof.scenery import Scene, mix


def draw(
    motif: str, palette: Palette, *, width_px: int, height_px: int, seed: int
) -> NDArray[np.uint8]:
    """Compose a backdrop.

    Parameters
    ----------
    motif
        A key of `MOTIFS`.
    palette
        The colours to use.
    width_px, height_px
        The size of the result.
    seed
        Non-negative. The same arguments give the same picture.

    Returns
    -------
    (height_px, width_px, 3) uint8, sRGB.
    """
    canvas = np.zeros((height_px, width_px, 3), np.float32)
    MOTIFS[motif](Scene(canvas, palette, np.random.default_rng(seed)))
    return np.rint(to_srgb(canvas) * 255).astype(np.uint8)


def _mountains(scene: Scene) -> None:
    horizon = scene.chance(0.42, 0.5)
    scenery.sky(scene, horizon)
    scenery.sun(scene, horizon - scene.chance(0.12, 0.26), radius=0.05)
    scenery.ridges(scene, horizon, count=5, relief=0.16, roughness=0.48, lit=0.07, peaks=0.8)


def _hills(scene: Scene) -> None:
    horizon = scene.chance(0.42, 0.52)
    scenery.sky(scene, horizon)
    scenery.sun(scene, horizon - scene.chance(0.06, 0.22), radius=0.06)
    scenery.ridges(scene, horizon, count=6, relief=0.09, roughness=0.32)


def _desert(scene: Scene) -> None:
    horizon = scene.chance(0.4, 0.5)
    scenery.sky(scene, horizon)
    scenery.sun(scene, horizon - scene.chance(0.1, 0.22), radius=0.075)
    scenery.ridges(scene, horizon, count=4, relief=0.13, roughness=0.12, lit=0.22)


def _forest(scene: Scene) -> None:
    horizon = scene.chance(0.32, 0.4)
    scenery.sky(scene, horizon + 0.15)
    scenery.sun(scene, horizon - scene.chance(0.06, 0.14), radius=0.055)
    scenery.ridges(scene, horizon, count=2, relief=0.12, roughness=0.45, span=(0.0, 0.25))
    for share in (0.15, 0.35, 0.55, 0.78, 1.0):
        scenery.conifers(scene, horizon + 0.12 + 0.42 * share, share)


def _sea(scene: Scene) -> None:
    horizon = scene.chance(0.5, 0.58)
    scenery.sky(scene, horizon)
    across = scenery.sun(scene, horizon - scene.chance(0.08, 0.2), radius=0.06)
    scenery.ridges(scene, horizon - 0.02, count=2, relief=0.05, roughness=0.5, span=(0.0, 0.1))
    scenery.water(scene, horizon, across)


def _city(scene: Scene) -> None:
    horizon = scene.chance(0.52, 0.58)
    scenery.sky(scene, horizon)
    scenery.sun(scene, horizon - scene.chance(0.24, 0.34), radius=0.08)
    for share in (0.1, 0.4, 0.7, 1.0):
        scenery.skyline(scene, horizon + 0.28 * share, share)


def _meadow(scene: Scene) -> None:
    horizon = scene.chance(0.38, 0.46)
    scenery.sky(scene, horizon)
    scenery.sun(scene, horizon - scene.chance(0.08, 0.2), radius=0.055)
    scenery.ridges(scene, horizon, count=4, relief=0.08, roughness=0.35, span=(0.0, 0.75))
    scenery.blossoms(scene, horizon + 0.2)


def _cosmos(scene: Scene) -> None:
    palette = scene.palette
    scene.canvas[:] = mix(palette.near, palette.zenith, 0.8 - 0.4 * scene.heights[..., None])
    drift = scenery.noise(scene, 0.9, octaves=5)
    band = np.clip(1 - np.abs(drift) * 0.9, 0, 1) ** 1.5
    scene.lay(mix(palette.far, palette.horizon, 0.6), 0.75 * band)
    heart = np.clip(scenery.noise(scene, 0.5, octaves=4) * 0.6, 0, 1)
    scene.lay(mix(palette.accent, palette.horizon, 0.3), 0.7 * band * heart)
    scenery.stars(scene, count=420, lowest=1.0)
    scenery.planet(scene, scene.chance(0.26, 0.36), scene.chance(0.58, 0.74), radius=0.2)


def _forms(scene: Scene) -> None:
    """Arches and discs, as in a mid-century print: for whatever is no landscape."""
    palette = scene.palette
    paper = mix(palette.horizon, palette.light, 0.6)
    scene.canvas[:] = mix(paper, palette.horizon, 0.7 * scene.heights[..., None])
    side = 1 if scene.rng.random() < 0.5 else -1
    scenery.disc(scene, 0.3, 0.5 + side * 0.2, 0.19, mix(palette.accent, palette.light, 0.08))
    centre = 0.5 - side * scene.chance(0.1, 0.16)
    tones = (
        mix(palette.far, palette.horizon, 0.45),
        mix(palette.far, palette.zenith, 0.35),
        mix(palette.far, palette.near, 0.55),
        mix(palette.accent, palette.horizon, 0.35),
    )
    for tone, radius in zip(tones, (0.36, 0.27, 0.18, 0.09), strict=True):
        scenery.arch(scene, 0.56, centre, radius, tone)
    scenery.ridges(scene, 0.5, count=3, relief=0.08, roughness=0.2, span=(0.4, 1.0))


MOTIFS: Mapping[str, Callable[[Scene], None]] = MappingProxyType(
    {
        "mountains": _mountains,
        "hills": _hills,
        "sea": _sea,
        "desert": _desert,
        "forest": _forest,
        "city": _city,
        "meadow": _meadow,
        "cosmos": _cosmos,
        "forms": _forms,
    }
)
"""What can be drawn, by name."""

MOTIF_WORDS: Mapping[str, str] = MappingProxyType(
    {
        phrase: motif
        for motif, phrases in {
            "mountains": "mountain, mountains, alps, peak, peaks, summit, cliff, cliffs, canyon, "
            "volcano, glacier, alpine, valley",
            "hills": "hill, hills, countryside, field, fields, farm, vineyard, landscape, village, "
            "road, barn, cottage, castle, horizon, savanna",
            "sea": "sea, ocean, beach, coast, island, lake, river, harbour, harbor, boat, boats, "
            "ship, sailboat, sailing, lighthouse, wave, waves, bay, water, whale, fish, surf",
            "desert": "desert, dune, dunes, sahara, sand, camel, oasis, mars, pyramid, pyramids",
            "forest": "forest, forests, woods, tree, trees, jungle, pine, pines, fir, cabin, deer, "
            "fox, bear, wolf, owl",
            "city": "city, cities, street, streets, skyline, building, buildings, tower, town, "
            "architecture, skyscraper, skyscrapers, downtown, metropolis, rooftop, subway, "
            "cyberpunk, tokyo, paris, london, new york",
            "meadow": "meadow, garden, flower, flowers, rose, roses, tulip, tulips, bouquet, "
            "wildflowers, poppies, blossom, blossoms, butterfly, bee",
            "cosmos": "space, galaxy, cosmos, nebula, planet, planets, astronaut, rocket, "
            "universe, spaceship, spacecraft, orbit, comet, starry sky",
        }.items()
        for phrase in phrases.split(", ")
    }
)
"""Words that ask for a motif; a prompt without any gets forms."""
