"""Hearing commands with PocketSphinx: a search through the grammar, judged by a free one.

The search through the grammar always finds the command that is nearest, whatever was said. So the
same sound is searched once more for any sequence of phones: where the command explains it nearly as
well as free phones do, it was said; where it does much worse, something else was.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from maquette.speech import wav
from maquette.speech.grammar import Grammar, spoken
from maquette.speech.resample import Samples, resample

_PACKAGE = "pocketsphinx"
SAMPLE_RATE_HZ = 16_000
_SHORTEST_S = 0.2
_FAINTEST = 1e-3
"""The largest sample of a recording that is called silent."""
_PEAK = 0.5
_NOISE = 3e-4
_PAUSE_S = 0.2
_SILENCES = frozenset({"SIL", "<sil>", "<s>", "</s>", "(NULL)", "+SPN+", "+NSN+"})
_FRAME = SAMPLE_RATE_HZ // 100
_LOUD = 0.2
"""Of the loudest frames; what is fainter counts as noise."""
_ALSO_SAID = {"noir": "N W AA R"}
"""Beside what the dictionary has."""
_MIDDLE, _STEEPNESS = -32.0, 4.0
_LEAST_COVERED, _ENOUGH_COVERED = 0.7, 0.9
"""Measured with six synthetic speakers at three noise levels: from the middle on, four of five
right sentences are let through, and three of a hundred that are no command."""


@dataclass(frozen=True)
class Heard:
    """The nearest command, and how much speaks for it."""

    text: str
    confidence: float
    unsaid: tuple[str, ...] = ()
    """Profiles whose names the dictionary does not have: they cannot be understood."""
    advantage: float = 0.0
    """Of the grammar over free phones, a frame, in ten-thousandths; never far above 0."""
    covered: float = 0.0
    """The share of the speech that the command's words explain."""


def missing() -> bool:
    """Tell whether PocketSphinx is not here."""
    return importlib.util.find_spec(_PACKAGE) is None


def recognise(data: bytes, grammar: Grammar) -> Heard:
    """Return the command that is nearest to what a WAV file holds; deterministic.

    Raises
    ------
    BadParameter
        If the file is no PCM WAV.
    """
    sound = wav.read(data)
    samples = resample(wav.mono(sound), sound.sample_rate_hz, SAMPLE_RATE_HZ)
    ear = _Ear(grammar)  # anew: a used one hears a little differently
    loudest = float(np.abs(samples).max(initial=0.0))
    if len(samples) < _SHORTEST_S * SAMPLE_RATE_HZ or loudest < _FAINTEST:
        return Heard("", 0.0, ear.unsaid)
    return ear.hear(prepared(samples / loudest))


def prepared(samples: Samples) -> bytes:
    """Return 16-bit samples at one level, with a room's faint noise in and around them.

    The model was trained on rooms: to it, digital silence is stranger than any noise.
    """
    around = np.pad(samples, round(_PAUSE_S * SAMPLE_RATE_HZ))
    noise = np.random.default_rng(0).normal(0, _NOISE, len(around))
    return (np.clip(_PEAK * around + noise, -1, 1) * 32767).astype("<i2").tobytes()


class _Ear:
    """A decoder with both searches."""

    def __init__(self, grammar: Grammar) -> None:
        sphinx = importlib.import_module(_PACKAGE)
        self._decoder: Any = sphinx.Decoder(
            samprate=SAMPLE_RATE_HZ,
            loglevel="FATAL",
            lm=None,
            # Over the whole recording, so that one does not colour how the next is heard.
            cmn="batch",
            # The lattice forgets that a sentence must be complete.
            bestpath=False,
        )
        for word, phones in _ALSO_SAID.items():
            self._decoder.add_word(f"{word}(2)", phones, True)
        known = self._decoder.lookup_word
        self.unsaid = tuple(
            name
            for name in grammar.profiles
            if not spoken(name) or any(known(word) is None for word in spoken(name).split())
        )
        self._grammar = grammar.without(frozenset(self.unsaid))
        self._decoder.add_jsgf_string("commands", self._grammar.jsgf())
        self._decoder.add_allphone_file("phones", sphinx.get_model_path("en-us/en-us-phone.lm.bin"))

    def hear(self, samples: bytes) -> Heard:
        found = self._search("commands", samples)
        hypothesis = self._decoder.hyp()
        text = "" if hypothesis is None else " ".join(str(hypothesis.hypstr).split())
        words = [one for one in found if one.name not in _SILENCES and one.name]
        if not words or self._grammar.read(text) is None:
            return Heard("", 0.0, self.unsaid)
        free = self._search("phones", samples)
        first, last = words[0].first, words[-1].last
        advantage = (_sum(found, first, last) - _sum(free, first, last)) / (last - first + 1)
        covered = _covered(samples, words)
        likely = 1 / (1 + math.exp((_MIDDLE - advantage * 1e4) / _STEEPNESS))
        room = (covered - _LEAST_COVERED) / (_ENOUGH_COVERED - _LEAST_COVERED)
        confidence = round(likely * min(1.0, max(0.0, room)), 3)
        return Heard(text, confidence, self.unsaid, advantage * 1e4, covered)

    def _search(self, name: str, samples: bytes) -> list[_Stretch]:
        decoder = self._decoder
        decoder.activate_search(name)
        decoder.start_utt()
        decoder.process_raw(samples, full_utt=True)
        decoder.end_utt()
        return [
            _Stretch(str(one.word), one.start_frame, one.end_frame, _log(one.ascore))
            for one in decoder.seg() or ()
            if one.start_frame >= 0
        ]


@dataclass(frozen=True)
class _Stretch:
    """A word, a phone or a silence, with the logarithm of how well it fits."""

    name: str
    first: int
    last: int
    fit: float

    @property
    def frames(self) -> int:
        return self.last - self.first + 1


def _covered(samples: bytes, words: list[_Stretch]) -> float:
    """Return the share of the loud frames in which the command has a word."""
    sound = np.frombuffer(samples, "<i2").astype(np.float64)
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME)
    loudness = np.sqrt(np.mean(frames**2, axis=1))
    loud = loudness > _LOUD * np.percentile(loudness, 95)
    inside = np.zeros(len(loud), bool)
    for word in words:
        inside[word.first : word.last + 1] = True
    return float((loud & inside).sum() / max(1, int(loud.sum())))


def _log(fit: float) -> float:
    return math.log(max(float(fit), 1e-300))


def _sum(stretches: list[_Stretch], first: int, last: int) -> float:
    """Add up the fits between two frames, those of stretches that are cut in proportion."""
    return sum(
        one.fit * max(0, min(one.last, last) - max(one.first, first) + 1) / one.frames
        for one in stretches
    )
