"""The voice of this machine: espeak-ng, which needs no key and no network."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from maquette.core.errors import (
    BadParameter,
    CapabilityMissing,
    OperationCrashed,
    OperationTimedOut,
)
from maquette.core.language import EMBEDDED, Compute
from maquette.core.money import FREE, Usd
from maquette.core.speech import Audio, Speaker, Spoken, Voice
from maquette.speech import espeak, text
from maquette.speech.tool import TOOL

_DEFAULT = "en-us"
_MEDIA_TYPE = "audio/wav"


class EmbeddedSpeaker(Speaker):
    """Speaks with espeak-ng, clear and robotic, in a process of its own."""

    id = EMBEDDED
    title = "espeak-ng on this machine"
    embedded = True
    paid = False

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    def missing(self) -> str | None:
        if not espeak.missing():
            return None
        return (
            f"The embedded voice is not installed. Get it with `{TOOL.command}`, or install the "
            "program espeak-ng."
        )

    def voices(self) -> Sequence[Voice]:
        return sorted(espeak.voices(), key=lambda voice: voice.id != _DEFAULT)

    def estimate(self, text: str) -> Usd:
        return FREE

    async def speak(self, text: str, voice: str = "", rate: float = 1.0, form: str = "") -> Spoken:
        lack = self.missing()
        if lack is not None:
            raise CapabilityMissing(lack)
        if form not in ("", "wav"):
            raise BadParameter(
                f"The embedded voice speaks WAV, not {form[:20]!r}. Ask for wav, or set up a "
                "speech model."
            )
        words = _words_per_minute(rate)
        chosen = self._voice(voice)
        said = _speakable(text)
        try:
            data = await self._compute(espeak.synthesize, said, chosen, words)
        except OperationTimedOut:  # the pool's own words are about pictures
            raise OperationTimedOut(
                "Speaking the text took too long and was stopped. Try it in shorter pieces."
            ) from None
        except OperationCrashed:
            raise OperationCrashed(
                "The process that spoke the text crashed; nothing else was harmed. Try other "
                "words, or another voice."
            ) from None
        return Spoken(Audio(data, _MEDIA_TYPE), self.id, chosen)

    def _voice(self, voice: str) -> str:
        there = self.voices()
        tags = {one.language: one.id for one in reversed(there)}
        known = {**tags, **{one.id: one.id for one in there}}
        chosen = (voice or _DEFAULT).lower()
        if chosen in known:
            return known[chosen]
        near = get_close_matches(chosen[:40], known, n=1)
        example = f"Choose one of {len(there)}, such as {_DEFAULT!r} or 'de'."
        hint = f"Did you mean {near[0]!r}?" if near else example
        raise BadParameter(f"There is no embedded voice {voice[:40]!r}. {hint}")


def _speakable(given: str) -> str:
    return text.speakable(given)


def _words_per_minute(rate: float) -> int:
    text.check_rate(rate)
    words = round(rate * espeak.USUAL_WPM)
    if not espeak.SLOWEST_WPM <= words <= espeak.FASTEST_WPM:
        raise BadParameter(
            f"The embedded voice speaks at {espeak.SLOWEST_WPM / espeak.USUAL_WPM:.2f} to "
            f"{espeak.FASTEST_WPM / espeak.USUAL_WPM:.2f} times its usual speed, not {rate:g}. "
            "Choose a rate in between."
        )
    return words
