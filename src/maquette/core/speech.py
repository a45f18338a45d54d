"""The speech extension points: what speaks a text aloud, and what listens to a recording."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from maquette.core.money import FREE, Usd

CommandType = Literal[
    "pipeline_run", "upscale", "bgremove", "color", "qa", "layers", "export", "sync_s3",
    "show_gallery", "confirm", "cancel",
]  # fmt: skip
"""The types of instructions, and what a voice may also ask of whoever shows them."""

MOST_CHARACTERS = 4096
"""Of one text; the limit of OpenAI's speech API."""
MOST_AUDIO_BYTES = 25_000_000
"""Of one recording; the limit of OpenAI's audio API."""
SLOWEST, FASTEST = 0.25, 4.0
FORMS = ("wav", "mp3", "flac", "opus")
"""What sound may be asked for as."""


@dataclass(frozen=True)
class Audio:
    """A sound file; what it is, its first bytes say."""

    data: bytes
    media_type: str
    sample_rate_hz: int | None = None
    """None: nobody looked."""


@dataclass(frozen=True)
class Voice:
    """A voice that can be asked for by its id."""

    id: str
    title: str
    language: str = ""
    """A language tag such as `en-us`; empty: any."""


@dataclass(frozen=True)
class Spoken:
    """A text as sound, and who spoke it."""

    audio: Audio
    source: str
    voice: str
    cost: Usd | None = FREE
    """None: it cannot be told, so the estimate stands."""
    usage: Mapping[str, Any] | None = None
    """What the call used, as it is billed."""


@dataclass(frozen=True)
class Command:
    """What a sentence asks Maquette to do; to ask is all that it does."""

    type: CommandType
    parameters: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    """Only what was said: `candidates`, `factor`, `profile`, and `target` (`last` or `all`)."""


@dataclass(frozen=True)
class Transcript:
    """What was heard, and who says so."""

    text: str
    """Empty: nothing that could be made out."""
    source: str
    confidence: float | None = None
    """0 to 1; None: a model does not say."""
    alternatives: tuple[str, ...] = ()
    """What it may also have been, the likeliest first."""
    command: Command | None = None
    """None: the text is no command, or it is not certain enough that it is one."""
    note: str = ""
    """What a person should know about this transcript, in a sentence."""
    cost: Usd | None = FREE
    """None: it cannot be told, so the estimate stands."""
    usage: Mapping[str, Any] | None = None
    """What the call used, as its server counts it."""


class Speaker(ABC):
    """Turns a text into sound.

    It sends once and never retries. `speak` is called only by whoever has reserved `estimate`.
    Raise an `InvalidInput` or `SpendRefused` only before anything was sent, and after that a
    `ProviderError`, of which `BadProviderReply` and `OutcomeUnknown` alone may have been charged.
    """

    id: str
    title: str
    embedded: bool
    """It runs on this machine, with what comes with the package or its extra."""
    paid: bool

    def missing(self) -> str | None:
        """Say what has to be installed or configured first; None: ready."""
        return None

    @abstractmethod
    def voices(self) -> Sequence[Voice]:
        """List the voices that are known of, the default first; a server may have more."""

    @abstractmethod
    def estimate(self, text: str) -> Usd:
        """Give an upper bound, purely; raise `PriceUnknown` rather than guess."""

    def priced_by(self) -> Mapping[str, Any] | None:
        """Tell what `estimate` counts by, for the books: `as_of`, `source` and the numbers."""
        return None

    @abstractmethod
    async def speak(self, text: str, voice: str = "", rate: float = 1.0, form: str = "") -> Spoken:
        """Speak the text; `voice` empty is the default one, `rate` is times the usual speed.

        Raise `BadParameter` for a text that is empty or longer than `MOST_CHARACTERS`, for a voice
        that is not there, and for a rate or a `form` (one of `FORMS`) that cannot be had.
        """


class Listener(ABC):
    """Turns a recording into text, and into a command where it is one.

    The rules of `Speaker` for sending, money and errors hold here too.
    """

    id: str
    title: str
    embedded: bool
    paid: bool

    def missing(self) -> str | None:
        """Say what has to be installed or configured first; None: ready."""
        return None

    @abstractmethod
    def estimate(self, audio: Audio) -> Usd:
        """Give an upper bound, purely; raise `PriceUnknown` rather than guess."""

    def priced_by(self) -> Mapping[str, Any] | None:
        """Tell what `estimate` counts by, for the books: `as_of`, `source` and the numbers."""
        return None

    @abstractmethod
    async def listen(self, audio: Audio) -> Transcript:
        """Write down what is said; raise `BadParameter` for what cannot be read or is too long."""


@dataclass(frozen=True)
class Voices:
    """Who speaks and who listens."""

    speaker: Speaker
    listener: Listener
