"""The parts of this room, made for one set of keys."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from maquette.core.language import Compute
from maquette.core.speech import Voices
from maquette.core.wire import WireRules
from maquette.pixels.looks import LOOKS
from maquette.speech.config import SpeechConfig
from maquette.speech.embedded_listener import EmbeddedListener
from maquette.speech.embedded_speaker import EmbeddedSpeaker
from maquette.speech.remote import RemoteListener, RemoteSpeaker


def made(
    config: SpeechConfig | None,
    rules: WireRules,
    compute: Compute,
    get_key: Callable[[str], SecretStr],
) -> Voices:
    """Make who speaks and who listens: a service where a model of it is named, else embedded."""
    speaker, listener = EmbeddedSpeaker(compute), EmbeddedListener(compute, LOOKS)
    if config is None:
        return Voices(speaker, listener)
    return Voices(
        RemoteSpeaker(config, rules, get_key) if config.speak_model else speaker,
        RemoteListener(config, rules, get_key, listener.grammar)
        if config.listen_model
        else listener,
    )
