"""Texts to be spoken, made harmless."""

from __future__ import annotations

import math
import unicodedata

from maquette.core.errors import BadParameter
from maquette.core.speech import FASTEST, MOST_CHARACTERS, SLOWEST

_UNSPEAKABLE = frozenset({"Cc", "Cs", "Cn", "Co"})
"""Controls (espeak-ng takes some as commands), halves of pairs, what is no character at all."""


def tidy(text: str) -> str:
    """Return the text in one line, without what is no character to read or to say."""
    kept = "".join(" " if unicodedata.category(one) in _UNSPEAKABLE else one for one in text)
    return " ".join(kept.split())


def speakable(text: str) -> str:
    """Return the text without what no voice can say; raise `BadParameter` where little is left."""
    if len(text) > MOST_CHARACTERS:
        raise BadParameter(
            f"The text has {len(text)} characters and one call speaks at most {MOST_CHARACTERS}; "
            "nothing was sent. Split it at the end of a sentence."
        )
    kept = tidy(text)
    if not kept:
        raise BadParameter("There is no text to speak, so nothing was sent. Write a few words.")
    return kept


def check_rate(rate: float) -> None:
    """Raise `BadParameter` for a rate that nothing speaks at."""
    if not (math.isfinite(rate) and SLOWEST <= rate <= FASTEST):
        raise BadParameter(
            f"The rate {rate!r} is not between {SLOWEST:g} and {FASTEST:g} times the usual speed, "
            "so nothing was sent. Choose one in between; 1 is the usual speed."
        )
