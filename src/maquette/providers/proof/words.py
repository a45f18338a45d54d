"""What a prompt asks of the proof provider, read with a small and honest vocabulary.

Whole English words and phrases are looked up, in any letter case. A modifier directly before a
phrase weakens or strengthens it ("subtle oil painting", "very warm"); "no", "not" or "without"
before it takes it out ("no grain"). What is not in the vocabulary is not guessed at: it is
listed as ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

Rgb: TypeAlias = tuple[int, int, int]
V = TypeVar("V")

_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*|[,.;:!?()\n]")
_BREAKS = frozenset(",.;:!?()\n")
_LONGEST_PHRASE = 3
_STRONGEST = 2.0
MONOCHROME = frozenset({"noir", "sepia"})


@dataclass(frozen=True)
class Intent:
    """What was understood of a prompt; amounts are 1 when a word stands alone.

    Attributes
    ----------
    style, style_amount
        A key of `maquette.pixels.painterly.STYLES`, or None; the last one named wins.
    looks
        (key of `maquette.pixels.looks.LOOKS`, amount), in the order named.
    tints
        (key of `COLOURS`, amount), in the order named.
    brightness, contrast, saturation, detail
        Signed amounts; `detail` is sharper above 0 and softer below.
    vignette, grain
        Amounts, 0 or more.
    understood, ignored
        The phrases acted on, with their modifiers; the remaining words, fillers left out.
    """

    style: str | None = None
    style_amount: float = 0.0
    looks: tuple[tuple[str, float], ...] = ()
    tints: tuple[tuple[str, float], ...] = ()
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    detail: float = 0.0
    vignette: float = 0.0
    grain: float = 0.0
    understood: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def monochrome(self) -> bool:
        """Whether a look leaves no colours of its own."""
        return any(name in MONOCHROME for name, _ in self.looks)


@dataclass(frozen=True)
class Hit(Generic[V]):
    """A phrase of a vocabulary found in a prompt; `amount` 0 means that it was negated."""

    phrase: str
    value: V
    amount: float


@dataclass(frozen=True)
class Found(Generic[V]):
    """Every hit in order, and the content words that belong to none."""

    hits: tuple[Hit[V], ...]
    rest: tuple[str, ...]


def _phrases(text: str) -> frozenset[str]:
    return frozenset(text.split(", "))


def _vocabulary(rows: Mapping[V, str]) -> Mapping[str, V]:
    """Turn {value: "phrase, phrase"} into {phrase: value}."""
    return {phrase: value for value, phrases in rows.items() for phrase in _phrases(phrases)}


_STYLES = _vocabulary(
    {
        "oil": "oil, oil painting, oil paint, oils, oil on canvas, painterly, painting, painted, "
        "brush strokes, brushstrokes",
        "watercolor": "watercolour, watercolor, watercolours, watercolors, watercolour painting, "
        "watercolor painting, aquarelle",
        "impressionist": "impressionist, impressionism, impressionistic, impressionist painting, "
        "monet",
        "gouache": "gouache, gouache painting, poster paint, tempera",
        "pointillism": "pointillism, pointillist, pointillist painting, dots of paint, seurat",
        "ink": "ink, ink drawing, pen and ink, etching, engraving, cross hatching, crosshatching",
        "pencil": "pencil, pencil drawing, pencil sketch, sketch, sketched, graphite, "
        "charcoal drawing",
    }
)

_LOOKS = _vocabulary(
    {
        "clean": "clean, natural, neutral",
        "cinematic_warm": "cinematic warm, warm cinematic, warm, warmer, cosy, cozy, candlelight, "
        "candlelit, autumn, autumnal, dusk",
        "cinematic_cool": "cinematic cool, cool cinematic, cool, cooler, cold, colder, wintry, "
        "winter, icy",
        "teal_orange": "teal and orange, teal orange, orange and teal, cinematic, cinema, filmic, "
        "movie, blockbuster",
        "golden_hour": "golden hour, golden light, golden, sunset, sunrise, sunlit, magic hour, "
        "evening light, honey",
        "moonlight": "moonlight, moonlit, night, nighttime, nocturnal, nocturne, midnight, "
        "blue hour, day for night",
        "film_matte": "film matte, matte, matt, muted, film, analogue, analog, pastel",
        "vivid": "vivid, vibrant, colourful, colorful, saturated, punchy, rich colours, "
        "rich colors, pop",
        "bleach_bypass": "bleach bypass, gritty, desaturated, harsh",
        "vintage_fade": "vintage fade, vintage, faded, retro, nostalgic, old photo, polaroid",
        "noir": "noir, film noir, black and white, black white, monochrome, grayscale, greyscale, "
        "b w",
        "sepia": "sepia, daguerreotype, antique, old photograph",
    }
)

COLOURS: Mapping[str, Rgb] = MappingProxyType(
    {
        "red": (204, 45, 48),
        "crimson": (170, 24, 60),
        "pink": (235, 130, 165),
        "magenta": (205, 50, 150),
        "coral": (245, 120, 95),
        "orange": (240, 130, 40),
        "amber": (245, 170, 50),
        "yellow": (245, 205, 65),
        "gold": (215, 165, 60),
        "ochre": (196, 138, 52),
        "brown": (125, 80, 50),
        "olive": (120, 125, 60),
        "green": (70, 150, 80),
        "emerald": (20, 140, 100),
        "mint": (150, 220, 190),
        "teal": (20, 140, 145),
        "turquoise": (50, 190, 190),
        "cyan": (60, 200, 225),
        "blue": (50, 100, 195),
        "navy": (30, 45, 100),
        "indigo": (70, 60, 150),
        "purple": (120, 65, 160),
        "violet": (135, 90, 200),
        "lavender": (175, 155, 215),
    }
)
"""Colour words, as sRGB."""

_TINTS = {**{name: name for name in COLOURS}, "neon": "magenta", "aqua": "cyan", "jade": "emerald"}

_ADJUSTMENTS: Mapping[str, tuple[str, float]] = _vocabulary(
    {
        ("brightness", 1.0): "bright, brighter, brighten, lighter, lighten, airy, high key",
        ("brightness", -1.0): "dark, darker, darken, dim, dimmer, low key, moody, gloomy",
        ("contrast", 1.0): "contrast, more contrast, contrasty, high contrast, dramatic",
        ("contrast", -1.0): "less contrast, low contrast, flat, flatter, hazy",
        ("saturation", 1.0): "more colour, more color, more saturation",
        ("saturation", -1.0): "less colour, less color, less saturation",
        ("detail", 1.0): "sharp, sharper, sharpen, crisp, crisper, detailed",
        ("detail", -1.0): "soft, softer, soften, dreamy, soft focus, misty, foggy",
        ("vignette", 1.0): "vignette, vignetting, dark edges",
        ("grain", 1.0): "grain, grainy, film grain, noisy",
    }
)

EFFECTS: Mapping[str, tuple[str, str, float]] = {
    **{phrase: ("style", name, 1.0) for phrase, name in _STYLES.items()},
    **{phrase: ("look", name, 1.0) for phrase, name in _LOOKS.items()},
    **{phrase: ("tint", name, 1.0) for phrase, name in _TINTS.items()},
    **{phrase: ("adjust", *step) for phrase, step in _ADJUSTMENTS.items()},
}
"""What each phrase does: (kind, name, sign)."""

_MODIFIERS: Mapping[str, float] = _vocabulary(
    {
        0.5: "subtle, subtly, slight, slightly, light, lightly, gentle, gently, faint, delicate, "
        "mild, mildly, a bit, a little, a touch of, a hint of, hint of, touch of, somewhat",
        1.5: "strong, strongly, heavy, heavily, bold, boldly, very, much, deep, intense, "
        "intensely, extremely, really, thick",
        0.0: "no, not, without, never, zero, non, don't, do not, avoid, isn't, don't add, "
        "do not add, don't use, do not use",
    }
)

_ARTICLES = frozenset({"a", "an", "the", "any"})
_FILLERS = _phrases(
    "a, an, the, and, or, of, in, on, at, to, with, for, from, by, as, is, are, be, it, its, it's, "
    "this, that, these, those, into, over, under, i, me, my, we, you, your, his, her, their, them, "
    "make, makes, making, made, please, give, turn, look, looks, looking, like, style, styled, "
    "some, more, most, less, than, then, so, very, much, image, picture, photo, photograph, add, "
    "use, should, want, just, but, up, out"
)


def read(prompt: str) -> Intent:
    """Read a prompt; the same prompt always gives the same intent.

    Later words add to earlier ones: two looks are both applied, "brighter, much brighter" adds
    up, within limits.
    """
    found = find(prompt, EFFECTS)
    style, style_amount = None, 0.0
    looks: dict[str, float] = {}
    tints: dict[str, float] = {}
    steps: dict[str, float] = {}
    for hit in found.hits:
        kind, name, sign = hit.value
        if hit.amount == 0:
            continue
        if kind == "style":
            style, style_amount = name, hit.amount
        elif kind == "look":
            looks[name] = max(looks.get(name, 0.0), hit.amount)
        elif kind == "tint":
            tints[name] = max(tints.get(name, 0.0), hit.amount)
        else:
            total = steps.get(name, 0.0) + sign * hit.amount
            steps[name] = min(max(total, -_STRONGEST), _STRONGEST)
    return Intent(
        style=style,
        style_amount=style_amount,
        looks=tuple(looks.items()),
        tints=tuple(tints.items()),
        **steps,
        understood=tuple(dict.fromkeys(hit.phrase for hit in found.hits)),
        ignored=tuple(dict.fromkeys(found.rest)),
    )


def find(prompt: str, vocabulary: Mapping[str, V]) -> Found[V]:
    """Look up the longest phrases of a vocabulary, from left to right.

    Parameters
    ----------
    prompt
        Any text.
    vocabulary
        Lower-case phrases of at most three words, separated by single spaces.
    """
    tokens = [word.replace("\u2019", "'") for word in _TOKEN.findall(prompt.casefold())]
    hits: list[Hit[V]] = []
    rest: list[str] = []
    at = 0
    while at < len(tokens):
        modifier, amount, start = _modifier_at(tokens, at)
        phrase = _phrase_at(tokens, start, vocabulary)
        if phrase is None and modifier:
            # "teal light": no modifier after all, since nothing follows that it could modify.
            modifier, amount, start = "", 1.0, at
            phrase = _phrase_at(tokens, start, vocabulary)
        if phrase is None:
            if tokens[at] not in _FILLERS and tokens[at] not in _BREAKS:
                rest.append(tokens[at])
            at += 1
            continue
        hits.append(Hit(f"{modifier} {phrase}".strip(), vocabulary[phrase], amount))
        at = start + phrase.count(" ") + 1
    return Found(tuple(hits), tuple(rest))


def _modifier_at(tokens: list[str], at: int) -> tuple[str, float, int]:
    """Return the modifiers that begin here, as text, their amount and where they end."""
    said: list[str] = []
    while (phrase := _phrase_at(tokens, at, _MODIFIERS)) is not None:
        said.append(phrase)
        at += phrase.count(" ") + 1
    amount = 1.0
    for phrase in reversed(said):
        # Each one modifies what follows: "very light" is lighter than "light".
        amount = _MODIFIERS[phrase] if amount == 1.0 else amount ** _MODIFIERS[phrase]
    if any(_MODIFIERS[phrase] == 0.0 for phrase in said):
        amount = 0.0
    if said and at < len(tokens) and tokens[at] in _ARTICLES:
        at += 1
    return " ".join(said), min(amount, _STRONGEST), at


def _phrase_at(tokens: list[str], at: int, vocabulary: Mapping[str, object]) -> str | None:
    for length in range(min(_LONGEST_PHRASE, len(tokens) - at), 0, -1):
        phrase = " ".join(tokens[at : at + length])
        if phrase in vocabulary:
            return phrase
    return None
