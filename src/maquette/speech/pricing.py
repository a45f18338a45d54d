"""What a call can cost at most, what it did cost, and which models are gone.

Writing down is bounded by the length of the recording: exactly for plain WAV, and for packed
formats by their size at the densest packing that speech has. That is far above the truth, so the
reply's own count of seconds settles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import ceil
from typing import Any

from maquette.core.errors import BadParameter, PriceUnknown
from maquette.core.money import FREE, Usd
from maquette.speech import wav
from maquette.speech.config import SpeechConfig, SpeechPrice
from maquette.speech.formats import WAV, sound_format

_READ_ON = date(2026, 11, 21)
_PAGES = "https://developers.openai.com/api/docs/models/"
_MILLION = Decimal(1_000_000)

SHIPPED: Mapping[str, SpeechPrice] = {
    "gpt-transcribe": SpeechPrice(
        per_minute=Decimal("0.0045"), date=_READ_ON, source=_PAGES + "gpt-transcribe"
    ),
    "whisper-1": SpeechPrice(
        per_minute=Decimal("0.006"), date=_READ_ON, source=_PAGES + "whisper-1"
    ),
    "tts-1": SpeechPrice(
        per_million_characters=Decimal(15), date=_READ_ON, source=_PAGES + "tts-1"
    ),
    "tts-1-hd": SpeechPrice(
        per_million_characters=Decimal(30), date=_READ_ON, source=_PAGES + "tts-1-hd"
    ),
}
"""OpenAI's models that are priced by the minute or the character. Its others are priced by tokens
that nobody can count beforehand, so they have no upper bound and are refused."""


@dataclass(frozen=True)
class Ending:
    """The day from which a model is refused, and what to do instead."""

    day: date
    instead: str


_TRANSCRIPTIONS_END = Ending(date(2027, 2, 26), "set MAQUETTE_SPEECH__LISTEN_MODEL=gpt-transcribe")
_SPEECH_ENDS = Ending(
    date(2027, 1, 6),
    "OpenAI has no successor at this route: use the embedded voice, or set "
    "MAQUETTE_SPEECH__BASE_URL to another server of the audio API",
)
ENDINGS: Mapping[str, Ending] = {
    "whisper-1": _TRANSCRIPTIONS_END,
    "gpt-4o-transcribe": _TRANSCRIPTIONS_END,
    "gpt-4o-mini-transcribe": _TRANSCRIPTIONS_END,
    "gpt-4o-mini-transcribe-2025-12-15": _TRANSCRIPTIONS_END,
    "gpt-4o-transcribe-diarize": _TRANSCRIPTIONS_END,
    "tts-1": _SPEECH_ENDS,
    "tts-1-hd": _SPEECH_ENDS,
    "gpt-4o-mini-tts": _SPEECH_ENDS,
    "gpt-4o-mini-tts-2025-12-15": _SPEECH_ENDS,
}
"""As its deprecations page says."""


def gone(config: SpeechConfig, model: str, today: date) -> str | None:
    """Say that a model was shut down and what to do; None: it lives."""
    ending = ENDINGS.get(model) if config.is_openai else None
    if ending is None or today < ending.day:
        return None
    return f"{model!r} was shut down on {ending.day:%Y-%m-%d}; {ending.instead}."


def speaking(config: SpeechConfig, text: str) -> Usd:
    """Return what speaking a text costs; raise `PriceUnknown` where the model has no price."""
    if config.free:
        return FREE
    price = _price(config, config.speak_model).per_million_characters
    if price is None:
        raise _unknown(config.speak_model, "for characters")
    return Usd(len(text) * price / _MILLION)


def listening(config: SpeechConfig, data: bytes) -> Usd:
    """Return the most that writing a recording down can cost; raise `PriceUnknown` without one."""
    if config.free:
        return FREE
    return _minutes(config, _longest_s(data))


def heard(config: SpeechConfig, seconds: float | None) -> Usd | None:
    """Return what the seconds that a reply counts cost; None: it does not count them."""
    if config.free:
        return FREE
    return None if seconds is None else _minutes(config, seconds)


def _minutes(config: SpeechConfig, seconds: float) -> Usd:
    price = _price(config, config.listen_model).per_minute
    if price is None:
        raise _unknown(config.listen_model, "for minutes")
    return Usd(ceil(seconds) * price / 60)


def _longest_s(data: bytes) -> float:
    kind = sound_format(data)
    if kind is WAV:
        try:
            return max(1.0, wav.read(data).duration_s)
        except BadParameter:
            pass  # a packed WAV, which a server may read all the same
    return max(1.0, len(data) * 8 / kind.least_bits_per_s)


def told(config: SpeechConfig, model: str) -> dict[str, Any] | None:
    """Say what a model costs, and who says so; None: it costs nothing, or nobody says."""
    if config.free:
        return None
    try:
        price = _price(config, model)
    except PriceUnknown:
        return None
    rates = price.model_dump(mode="json", exclude_none=True, exclude={"date", "source"})
    return {"as_of": price.date.isoformat(), "source": price.source, **rates}


def _price(config: SpeechConfig, model: str) -> SpeechPrice:
    found = config.prices.get(model) or (SHIPPED.get(model) if config.is_openai else None)
    if found is None:
        raise _unknown(model, "by the minute or character")
    return found


def _unknown(model: str, unit: str) -> PriceUnknown:
    return PriceUnknown(
        f"The speech model {model!r} has no price {unit}, so it is refused; nothing was sent. Give "
        "it one in MAQUETTE_SPEECH__PRICES, or set MAQUETTE_SPEECH__FREE=true where calls cost "
        "nothing."
    )
