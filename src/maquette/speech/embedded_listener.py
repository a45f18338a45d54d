"""The ear of this machine: a small grammar of commands, which needs no key and no network."""

from __future__ import annotations

from collections.abc import Iterable

from maquette.core.errors import (
    BadParameter,
    CapabilityMissing,
    OperationCrashed,
    OperationTimedOut,
)
from maquette.core.language import EMBEDDED, Compute
from maquette.core.money import FREE, Usd
from maquette.core.speech import MOST_AUDIO_BYTES, Audio, Listener, Transcript
from maquette.speech import sphinx, wav
from maquette.speech.formats import WAV, sound_format
from maquette.speech.grammar import Grammar
from maquette.speech.tool import TOOL

LONGEST_S = 60.0
SURE, SURE_TO_CONFIRM = 0.5, 0.75
"""From this confidence on a command is reported; below it, it is only an alternative. To confirm
may spend money, so it takes more."""
ONLY_COMMANDS = (
    "The embedded listener knows a few English commands only; for free speech set up a speech "
    "model."
)


class EmbeddedListener(Listener):
    """Understands the sentences of the grammar, and nothing else, in a worker process."""

    id = EMBEDDED
    title = "A grammar of English commands on this machine (PocketSphinx)"
    embedded = True
    paid = False

    def __init__(self, compute: Compute, profiles: Iterable[str] = ()) -> None:
        self._compute = compute
        self.grammar = Grammar(tuple(sorted(set(profiles))))

    def missing(self) -> str | None:
        if not sphinx.missing():
            return None
        return f"The embedded listener is not installed. Get it with `{TOOL.command}`."

    def estimate(self, audio: Audio) -> Usd:
        return FREE

    async def listen(self, audio: Audio) -> Transcript:
        lack = self.missing()
        if lack is not None:
            raise CapabilityMissing(lack)
        check(audio)
        try:
            heard = await self._compute(sphinx.recognise, audio.data, self.grammar)
        except OperationTimedOut:
            raise OperationTimedOut(
                "Listening took too long and was stopped. Send a shorter recording."
            ) from None
        except OperationCrashed:
            raise OperationCrashed(
                "The worker process that listened died; nothing else was harmed. Record it again."
            ) from None
        return self._transcript(heard)

    def _transcript(self, heard: sphinx.Heard) -> Transcript:
        command = self.grammar.read(heard.text)
        confirms = command is not None and command.type == "confirm"
        sure = command is not None and heard.confidence >= (SURE_TO_CONFIRM if confirms else SURE)
        note = ONLY_COMMANDS
        if heard.unsaid:
            note += f" It cannot understand these profiles: {', '.join(heard.unsaid)}."
        return Transcript(
            text=heard.text if sure else "",
            source=self.id,
            confidence=heard.confidence,
            alternatives=() if sure or not heard.text else (heard.text,),
            command=command if sure else None,
            note=note,
        )


def check(audio: Audio) -> None:
    """Raise `BadParameter` for a recording that is not a short PCM WAV."""
    if len(audio.data) > MOST_AUDIO_BYTES:
        raise BadParameter(
            f"The recording has {len(audio.data)} bytes, and at most {MOST_AUDIO_BYTES} are read. "
            "Send a shorter one."
        )
    kind = sound_format(audio.data)
    if kind is not WAV:
        raise BadParameter(
            f"The recording is {kind.media_type}, and the embedded listener reads PCM WAV only. "
            "Send WAV (the browser must record it so), or set up a speech model."
        )
    length_s = wav.read(audio.data).duration_s
    if length_s > LONGEST_S:
        raise BadParameter(
            f"The recording lasts {length_s:.0f} s, and the embedded listener takes at most "
            f"{LONGEST_S:.0f} s. Say one command at a time."
        )
