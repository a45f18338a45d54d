"""The audio API of OpenAI, and of any server that speaks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError

from maquette import net
from maquette.core.errors import BadParameter, BadProviderReply, CapabilityMissing
from maquette.core.money import Usd
from maquette.core.speech import (
    FORMS,
    MOST_AUDIO_BYTES,
    Audio,
    Listener,
    Speaker,
    Spoken,
    Transcript,
    Voice,
)
from maquette.core.wire import WireRules
from maquette.speech import failures, pricing, text
from maquette.speech.config import SpeechConfig
from maquette.speech.formats import format_of, sound_format
from maquette.speech.grammar import Grammar

_MOST_TRANSCRIPT_BYTES = 1024 * 1024
_MOST_SPOKEN_BYTES = 64 * 1024 * 1024
_GRACE_S = 30.0
"""Beyond the wait for the answer, before one that trickles in is given up."""
_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse",
    "marin", "cedar",
)  # fmt: skip
"""OpenAI's own; which of them a model knows differs, so a name is sent as it was given."""
_LONGEST_VOICE = 200
_LONGEST_NAME, _MOST_NUMBERS = 40, 16


def _today() -> date:
    return datetime.now(UTC).date()


class _Line:
    """The connection that both ends share: one call, on a connection of its own, sent once."""

    def __init__(
        self, config: SpeechConfig, rules: WireRules, secret: Callable[[str], SecretStr]
    ) -> None:
        self.config = config
        self._rules = rules
        self._secret = secret

    def missing(self, model: str, setting: str, today: date) -> str | None:
        config = self.config
        if not model:
            return f"Set MAQUETTE_SPEECH__{setting} to a model of {config.base_url}."
        if config.sends_key and not config.has_key:
            return f"Set the key {config.key_name}, for {config.base_url}."
        return pricing.gone(config, model, today)

    def key(self) -> str | None:
        name = self.config.key_name
        if not self.config.sends_key or name is None:
            return None
        key = self._secret(name).get_secret_value().strip()
        if not key or not key.isascii() or not key.isprintable():
            raise CapabilityMissing(
                f"The key {name} is empty or has characters that no key has, so nothing was sent. "
                "Set it again."
            )
        return key

    async def post(self, path: str, model: str, *, most_bytes: int, **content: Any) -> bytes:
        """Send once and read the whole answer; raise what anything but a 200 means."""
        config, key = self.config, self.key()
        rules = replace(self._rules, most_bytes=min(self._rules.most_bytes, most_bytes))
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        most_s = min(config.wait_s, rules.longest_wait_s) + _GRACE_S
        async with net.client(rules, headers=headers, wait_s=config.wait_s) as http:
            with net.sending(config.base_url, paid=not config.free):
                async with asyncio.timeout(most_s):
                    response = await http.post(f"{config.base_url}/{path}", **content)
        if response.status_code != 200:
            raise failures.translate(
                config, model, response.status_code, response.headers, response.content, key
            )
        return response.content


class RemoteSpeaker(Speaker):
    """Speaks through `POST /audio/speech`."""

    embedded = False

    def __init__(
        self,
        config: SpeechConfig,
        rules: WireRules,
        secret: Callable[[str], SecretStr],
        *,
        today: Callable[[], date] = _today,
    ) -> None:
        self._line = _Line(config, rules, secret)
        self._config = config
        self._today = today
        self.id = config.speak_model
        self.title = f"{config.speak_model} at {urlsplit(config.base_url).netloc}"
        self.paid = not config.free

    def missing(self) -> str | None:
        return self._line.missing(self.id, "SPEAK_MODEL", self._today())

    def voices(self) -> Sequence[Voice]:
        own = _VOICES if self._config.is_openai else ()
        names = dict.fromkeys((self._config.voice, *own))
        return [Voice(name, name.capitalize()) for name in names]

    def estimate(self, text: str) -> Usd:
        return pricing.speaking(self._config, text)

    def priced_by(self) -> Mapping[str, Any] | None:
        return pricing.told(self._config, self.id)

    async def speak(self, text: str, voice: str = "", rate: float = 1.0, form: str = "") -> Spoken:
        _ready(self.missing())
        body = self._body(text, voice or self._config.voice, rate, form)
        cost = self.estimate(body["input"])  # no price: refused here too
        data = await self._line.post(
            "audio/speech",
            self.id,
            most_bytes=_MOST_SPOKEN_BYTES,
            content=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        kind = format_of(data)
        if kind is None:
            raise BadProviderReply(
                f"{self._config.base_url!r} answered with {len(data)} bytes that are no sound; the "
                "call may have been charged. Check MAQUETTE_SPEECH__BASE_URL."
            )
        usage = {"characters": len(body["input"])}
        return Spoken(Audio(data, kind.media_type), self.id, body["voice"], cost, usage)

    def _body(self, given: str, voice: str, rate: float, form: str) -> dict[str, Any]:
        text.check_rate(rate)
        if form and form not in FORMS:
            raise BadParameter(
                f"{form[:20]!r} is no format that is spoken, so nothing was sent. Choose one of: "
                f"{', '.join(FORMS)}."
            )
        if len(voice) > _LONGEST_VOICE or not voice.isprintable():
            raise BadParameter(
                f"{voice[:40]!r} is no name of a voice, so nothing was sent. Choose one of: "
                f"{', '.join(one.id for one in self.voices())}."
            )
        body: dict[str, Any] = {
            "model": self.id,
            "input": text.speakable(given),
            "voice": voice,
            "response_format": form or self._config.speak_format,
        }
        if rate != 1.0:
            body["speed"] = rate
        return body


class Usage(BaseModel, frozen=True):
    """What a reply says that was billed; models that bill tokens say so instead of seconds."""

    type: str = ""
    seconds: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)


class TranscriptReply(BaseModel, frozen=True):
    """The part of a reply that is read."""

    text: str
    usage: Any = None

    def counted(self) -> dict[str, Any] | None:
        """Return the numbers of what was billed, whatever the unit is."""
        given: object = self.usage
        if not isinstance(given, dict):
            return None
        said = cast("dict[str, Any]", given)
        numbers = {
            name[:_LONGEST_NAME]: value
            for name, value in list(said.items())[:_MOST_NUMBERS]
            if type(value) is int or (type(value) is float and isfinite(value))
        }
        return numbers or None

    def seconds(self) -> float | None:
        try:
            usage = Usage.model_validate(self.usage)
        except ValidationError:  # odd words about money must not lose the text that was paid for
            return None
        return usage.seconds if usage.type == "duration" else None


class RemoteListener(Listener):
    """Listens through `POST /audio/transcriptions`.

    `grammar` says which of the texts are commands, as it does for the embedded listener.
    """

    embedded = False

    def __init__(
        self,
        config: SpeechConfig,
        rules: WireRules,
        secret: Callable[[str], SecretStr],
        grammar: Grammar,
        *,
        today: Callable[[], date] = _today,
    ) -> None:
        self._line = _Line(config, rules, secret)
        self._config = config
        self._grammar = grammar
        self._today = today
        self.id = config.listen_model
        self.title = f"{config.listen_model} at {urlsplit(config.base_url).netloc}"
        self.paid = not config.free

    def missing(self) -> str | None:
        return self._line.missing(self.id, "LISTEN_MODEL", self._today())

    def estimate(self, audio: Audio) -> Usd:
        _check_size(audio)
        return pricing.listening(self._config, audio.data)

    def priced_by(self) -> Mapping[str, Any] | None:
        return pricing.told(self._config, self.id)

    async def listen(self, audio: Audio) -> Transcript:
        _ready(self.missing())
        self.estimate(audio)  # no price: refused here too
        kind = sound_format(audio.data)
        fields: Mapping[str, str] = {"model": self.id, "response_format": "json"}
        reply = await self._line.post(
            "audio/transcriptions",
            self.id,
            most_bytes=_MOST_TRANSCRIPT_BYTES,
            data=fields,
            files={"file": (f"recording.{kind.extension}", audio.data, kind.media_type)},
        )
        try:
            said = TranscriptReply.model_validate_json(reply)
        except ValidationError:
            raise BadProviderReply(
                f"{self._config.base_url!r} answered with {len(reply)} bytes that are no "
                "transcript; the call may have been charged. Check MAQUETTE_SPEECH__BASE_URL."
            ) from None
        return Transcript(
            text=text.tidy(said.text),
            source=self.id,
            command=self._grammar.read(said.text),
            cost=pricing.heard(self._config, said.seconds()),
            usage=said.counted(),
        )


def _ready(lack: str | None) -> None:
    if lack is not None:
        raise CapabilityMissing(f"No speech model can be asked, so nothing was sent. {lack}")


def _check_size(audio: Audio) -> None:
    if len(audio.data) > MOST_AUDIO_BYTES:
        raise BadParameter(
            f"The recording has {len(audio.data)} bytes, and at most {MOST_AUDIO_BYTES} are sent; "
            "nothing was sent. Make it shorter, or pack it as MP3, Ogg or WebM."
        )
