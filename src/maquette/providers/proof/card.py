"""Proof cards: a painted backdrop in the colours of the prompt, with the prompt set on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from maquette.core.errors import BadParameter, ImageTooLarge
from maquette.pixels import painterly, resample
from maquette.providers.proof import backdrop
from maquette.providers.proof.grade import coloured, finished
from maquette.providers.proof.lettering import Caption, letter
from maquette.providers.proof.palettes import MOOD_WORDS, palette_for
from maquette.providers.proof.proofs import Proof, proof_of, variation
from maquette.providers.proof.words import Intent, find, read

__all__ = ["MOST_PX", "Proof", "generate", "warm"]

MOST_PX = 4096 * 4096

_PAINTED_PX = 1_500_000
"""Larger cards are painted at this size and enlarged: strokes stay broad, the words sharp."""
_LEAST_SIDE_PX = 16
_CUT_OUT = frozenset({"city", "forms"})
"""Motifs of flat shapes, which gouache suits; it would band a soft sky."""
_BRUSH = 0.5
_UNPAINTED_LOOKS = frozenset({"noir", "sepia", "vivid", "vintage_fade", "bleach_bypass"})
"""Looks applied after painting; the others choose the palette, and twice would be too much."""


def generate(
    *, prompt: str, negative_prompt: str, width_px: int, height_px: int, seed: int
) -> Proof:
    """Compose a proof card.

    Parameters
    ----------
    prompt
        Chooses motif, mood, colours and medium by its words, and is set as the title.
    negative_prompt
        What it names is not used.
    width_px, height_px
        The size of the card, at least 1 and together at most `MOST_PX` pixels.
    seed
        Non-negative. The same arguments give the same bytes on one machine and set of libraries.

    Raises
    ------
    BadParameter
        For a side below one pixel or a negative seed.
    ImageTooLarge
        For more than `MOST_PX` pixels.
    """
    if min(width_px, height_px) < 1:
        raise BadParameter(
            f"a card of {width_px!r} x {height_px!r} px has no pixels; give sides of at least 1"
        )
    if width_px * height_px > MOST_PX:
        raise ImageTooLarge(
            f"a card of {width_px!r} x {height_px!r} px is over {MOST_PX} pixels; ask for less"
        )
    chance = variation(seed, 0)
    unwanted = read(negative_prompt)
    intent = _without(read(prompt), unwanted)
    motifs, motif_words = _named(prompt, negative_prompt, backdrop.MOTIF_WORDS)
    moods, mood_words = _named(prompt, negative_prompt, MOOD_WORDS)
    motif = motifs[0] if motifs else "forms"
    palette = palette_for(moods, tuple(name for name, _ in intent.tints), chance)
    scale = min(1.0, (_PAINTED_PX / (width_px * height_px)) ** 0.5)
    pixels = backdrop.draw(
        motif,
        palette,
        width_px=max(_LEAST_SIDE_PX, round(width_px * scale)),
        height_px=max(_LEAST_SIDE_PX, round(height_px * scale)),
        seed=seed,
    )
    second = "gouache" if motif in _CUT_OUT else "watercolor"
    medium = intent.style or ("oil" if variation(seed, 1) < 0.6 else second)
    pixels = coloured(pixels, _after_painting(intent), warmth=variation(seed, 2) - 0.5)
    strength = min(_BRUSH * (intent.style_amount or 1.0), 1.0)
    pixels = painterly.paint(pixels, style=medium, strength=strength, seed=seed)
    pixels = resample.resize(pixels, width_px=width_px, height_px=height_px)
    pixels = finished(pixels, replace(intent, vignette=intent.vignette + 0.2), seed=seed)
    caption = Caption(prompt, (f"SEED {seed}", f"{width_px} x {height_px}"))
    understood = tuple(dict.fromkeys((*intent.understood, *motif_words, *mood_words)))
    taken = {word for phrase in understood for word in phrase.split()}
    notes = {
        "understood": ", ".join(understood),
        "ignored": ", ".join(word for word in intent.ignored if word not in taken),
        "motif": motif,
        "mood": ", ".join(moods),
        "painted": f"{medium}, strength {strength:.2f}",
    }
    return proof_of(
        letter(pixels, caption),
        prompt=prompt,
        seed=seed,
        understood=understood,
        notes={name: text for name, text in notes.items() if text},
    )


def warm() -> None:
    """Compile the kernels behind cards, or load them from the cache on disk."""
    generate(prompt="", negative_prompt="", width_px=64, height_px=64, seed=0)


def _named(
    prompt: str, negative_prompt: str, vocabulary: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that a prompt asks for, and the phrases that did."""
    refused = {hit.value for hit in find(negative_prompt, vocabulary).hits}
    hits = [
        hit for hit in find(prompt, vocabulary).hits if hit.amount > 0 and hit.value not in refused
    ]
    names = tuple(dict.fromkeys(hit.value for hit in hits))
    return names, tuple(dict.fromkeys(hit.phrase for hit in hits))


def _without(intent: Intent, unwanted: Intent) -> Intent:
    looks = {name for name, _ in unwanted.looks}
    tints = {name for name, _ in unwanted.tints}
    return replace(
        intent,
        style=None if intent.style == unwanted.style else intent.style,
        looks=tuple(look for look in intent.looks if look[0] not in looks),
        tints=tuple(tint for tint in intent.tints if tint[0] not in tints),
        vignette=0.0 if unwanted.vignette else intent.vignette,
        grain=0.0 if unwanted.grain else intent.grain,
    )


def _after_painting(intent: Intent) -> Intent:
    kept = tuple(look for look in intent.looks if look[0] in _UNPAINTED_LOOKS)
    return replace(intent, looks=kept, tints=())
