"""LAB-28: the embedded voice and the embedded listener, as they really sound and hear."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from maquette.core.errors import BadParameter
from maquette.core.speech import Audio, Transcript
from maquette.jobs.workers import PixelPool
from maquette.pixels.looks import LOOKS
from maquette.speech import espeak, sphinx, wav
from maquette.speech.embedded_listener import SURE, EmbeddedListener
from maquette.speech.embedded_speaker import EmbeddedSpeaker
from maquette.speech.grammar import Grammar
from maquette.speech.resample import resample

P = ParamSpec("P")
R = TypeVar("R")

EXTRA = "voice"
ABSENT = [name for name in ("pocketsphinx", "espeakng_loader") if find_spec(name) is None]
if ABSENT and EXTRA in os.environ.get("MAQUETTE_EXTRAS_REQUIRED", "").replace(",", " ").split():
    pytest.fail(f"MAQUETTE_EXTRAS_REQUIRED names {EXTRA!r}, but {ABSENT} are not installed")
if ABSENT:
    pytest.skip(f"extra {EXTRA!r}: {ABSENT} are not installed", allow_module_level=True)

GRAMMAR = Grammar(tuple(sorted(LOOKS)))
COMMANDS = (
    "run the pipeline",
    "run the pipeline with three candidates",
    "upscale the last picture",
    "remove the background",
    "color the last picture with golden hour",
    "check all pictures",
    "split the picture into layers",
    "export the project",
    "synchronize the project",
    "show the gallery",
    "cancel the last instruction",
    "confirm",
)
TALK = (
    "good morning, how are you today",
    "the weather is nice in Madrid",
    "what time is it",
    "please buy some milk and bread",
    "my dog likes to run in the garden",
    "the project is late again",
    "remove the chair from the kitchen",
    "open the window",
    "seven hundred thousand people live there",
    "I will not confirm that",
    "thank you very much",
    "she sells sea shells by the sea shore",
)
VOICES = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp")


async def here(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Compute in this process."""
    return work(*args, **kwargs)


@cache
def said(text: str, voice: str = "en-us", words_per_minute: int = 150) -> bytes:
    return espeak.synthesize(text, voice, words_per_minute)


def samples(data: bytes) -> NDArray[np.float32]:
    return wav.mono(wav.read(data))


def file_of(sound: NDArray[np.floating], rate: int = 16_000) -> bytes:
    return wav.write((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes(), rate)


def listen(data: bytes) -> Transcript:
    ear = EmbeddedListener(here, LOOKS)
    return asyncio.run(ear.listen(Audio(data, "audio/wav")))


def right(text: str, heard: Transcript) -> bool:
    return heard.command is not None and heard.command == GRAMMAR.read(text)


async def test_speaking_makes_a_sound_of_plausible_length() -> None:
    """Ten words at 175 a minute take some three seconds."""
    spoken = await EmbeddedSpeaker(here).speak("One two three four five six seven eight nine ten.")
    sound = wav.read(spoken.audio.data)
    assert 2 < sound.duration_s < 6
    assert sound.sample_rate_hz == 22_050
    assert 0.02 < float(np.sqrt(np.mean(samples(spoken.audio.data) ** 2))) < 0.5
    assert (spoken.source, spoken.voice, spoken.cost) == ("embedded", "en-us", 0)


async def test_the_rate_is_kept() -> None:
    mouth = EmbeddedSpeaker(here)
    lengths = [
        wav.read((await mouth.speak(TALK[0], rate=rate)).audio.data).duration_s
        for rate in (0.5, 1.0, 2.0)
    ]
    assert lengths[0] > lengths[1] * 1.5 > lengths[2] * 2.2


async def test_the_same_text_gives_the_same_bytes_whoever_spoke_before() -> None:
    """Also in other processes, and after another voice."""
    pool = PixelPool(workers=2, timeout_s=60)
    try:
        mouth = EmbeddedSpeaker(pool.run)
        spoken = await asyncio.gather(
            *(mouth.speak(TALK[0], voice) for voice in ("", "de", "", "en-gb-scotland", "", ""))
        )
    finally:
        await pool.close()
    kept = {one.audio.data for one in spoken if one.voice == "en-us"}
    assert kept == {espeak.synthesize(TALK[0], "en-us", espeak.USUAL_WPM)}


def test_threads_do_not_speak_over_each_other() -> None:
    wanted = [said(one) for one in TALK]
    with ThreadPoolExecutor(8) as threads:
        spoken = list(threads.map(espeak.synthesize, TALK, ["en-us"] * 12, [150] * 12))
    assert spoken == wanted


async def test_voices_are_found_by_id_and_by_language() -> None:
    mouth = EmbeddedSpeaker(here)
    voices = mouth.voices()
    assert voices[0].id == "en-us" and len(voices) > 100
    assert len({one.id for one in voices}) == len(voices)
    british = await mouth.speak("Hello", "en-GB")
    assert british.voice == "en"
    with pytest.raises(BadParameter, match="Did you mean 'en-us'"):
        await mouth.speak("Hello", "en-uss")


def test_every_voice_that_is_listed_can_speak() -> None:
    names = [voice.id for voice in espeak.voices()]
    count = len(names)
    with ThreadPoolExecutor(4) as threads:
        spoken = list(threads.map(espeak.synthesize, ["1 2 3 hello"] * count, names, [175] * count))
    assert all(spoken)


@pytest.mark.parametrize(
    "text",
    [
        "Hello \x01+500s\x01 world\x00 and more",
        '<speak><break time="30s"/><audio src="/etc/passwd"/>Hello</speak>',
        "[[h@'loU]] {}%s%n%n \\x00 `id` $(id) ; | & > <",
        "👩‍🚀🎉 hello 🦜",
        "Z̷̢̛a̶l̴g̷o " * 50,
        "9" * 4096,
        "a" * 4096,
        "؀ مرحبا 你好 שלום",
        "." * 4000 + "a",
        "\ud800 half a pair \udfff",
        "⁠\u202e\u200fhello",
    ],
)
async def test_hostile_text_is_spoken_and_never_obeyed(text: str) -> None:
    """A pause of 30 s would show in the length; 4096 digits take the longest, under 20 minutes."""
    spoken = await EmbeddedSpeaker(here).speak(text)
    length_s = wav.read(spoken.audio.data).duration_s
    assert 0.2 < length_s < (1200 if len(text) > 1000 else 29)


def test_the_commands_are_heard_when_they_are_spoken() -> None:
    """LAB-28: measured 11 of 12 word for word with the default voice; the other stays unsure."""
    heard = {one: listen(said(one)) for one in COMMANDS}
    missed = {one: found for one, found in heard.items() if not right(one, found)}
    assert len(missed) <= 2, missed
    assert all(found.command is None for found in missed.values()), missed
    assert {found.text for found in heard.values()} <= {*COMMANDS, "sync the project", ""}


def test_other_speakers_are_mostly_heard_and_seldom_mistaken() -> None:
    """Measured: of 48 sentences 48 were the nearest guess and 33 sure enough; none was mistaken."""
    clips = [(one, said(one, v, wpm)) for one in COMMANDS for v in VOICES for wpm in (160,)]
    heard = [(one, listen(data)) for one, data in clips]
    mistaken = [(one, got.text) for one, got in heard if got.command and not right(one, got)]
    guesses = [(one, got.text or "".join(got.alternatives)) for one, got in heard]
    nearest = sum(GRAMMAR.read(guess) == GRAMMAR.read(one) for one, guess in guesses)
    found = sum(right(*one) for one in heard)
    assert found >= 28
    assert nearest >= 44
    assert len(mistaken) <= 1, mistaken


def noises() -> dict[str, NDArray[np.floating]]:
    rng = np.random.default_rng(3)
    seconds = np.arange(48_000) / 16_000
    crowd = [np.resize(samples(said(one)), 48_000) for one in TALK]
    return {
        "silence": np.zeros(48_000),
        "nothing": np.zeros(0),
        "a click": np.eye(1, 48_000, 24_000)[0],
        "faint noise": rng.normal(0, 1e-4, 48_000),
        "white noise": rng.normal(0, 0.1, 48_000),
        "loud noise": rng.normal(0, 1.0, 48_000),
        "rumble": np.cumsum(rng.normal(0, 0.003, 48_000)),
        "a hum": 0.3 * np.sin(2 * np.pi * 100 * seconds),
        "a beep": 0.3 * np.sin(2 * np.pi * 1000 * seconds),
        "a siren": 0.3 * np.sin(2 * np.pi * (600 + 400 * np.sin(seconds * 3)) * seconds),
        "a crowd": 0.1 * np.sum(crowd, axis=0),
        "words backwards": samples(said(COMMANDS[1]))[::-1],
        "a constant": np.full(48_000, 0.5),
    }


@pytest.mark.parametrize("name", list(noises()))
def test_noise_is_never_a_command(name: str) -> None:
    heard = listen(file_of(noises()[name]))
    assert heard.command is None and heard.text == ""
    assert heard.confidence is not None and heard.confidence < SURE


@pytest.mark.parametrize("text", TALK)
def test_talk_is_never_a_command(text: str) -> None:
    heard = listen(said(text))
    assert heard.command is None, heard
    assert "commands only" in heard.note


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 1), (48_000, 2)])
def test_other_rates_and_channels_are_heard_alike(rate: int, channels: int) -> None:
    sound = resample(samples(said(COMMANDS[1])), 22_050, rate)
    frames = np.repeat(sound[:, None], channels, axis=1)
    mono = wav.write((frames * 32767).astype("<i2").tobytes(), rate)
    data = mono[:22] + channels.to_bytes(2, "little") + mono[24:]
    heard = listen(data)
    wanted = GRAMMAR.read(COMMANDS[1])
    if rate == 8_000:  # telephone sound lacks what the model listens for: unsure, never wrong
        assert heard.command in (None, wanted)
    else:
        assert heard.command == wanted


@pytest.mark.parametrize("level", [0.02, 0.3, 1.0])
def test_how_loud_it_is_does_not_matter(level: float) -> None:
    sound = samples(said(COMMANDS[3]))
    assert right(COMMANDS[3], listen(file_of(sound / np.abs(sound).max() * level, 22_050)))


def test_what_was_heard_before_changes_nothing() -> None:
    first = sphinx.recognise(said(COMMANDS[0]), GRAMMAR)
    for name in ("loud noise", "a crowd", "nothing"):
        sphinx.recognise(file_of(noises()[name]), GRAMMAR)
    assert sphinx.recognise(said(COMMANDS[0]), GRAMMAR) == first


async def test_listening_in_a_worker_gives_the_same() -> None:
    pool = PixelPool(workers=1, timeout_s=60)
    try:
        ear = EmbeddedListener(pool.run, LOOKS)
        heard = await ear.listen(Audio(said(COMMANDS[2]), "audio/wav"))
    finally:
        await pool.close()
    assert right(COMMANDS[2], heard)
    assert (heard.source, heard.cost) == ("embedded", 0)


async def test_a_profile_that_the_dictionary_lacks_is_said_and_breaks_nothing() -> None:
    ear = EmbeddedListener(here, ["noir", "blorptastic", "lut 33"])
    heard = await ear.listen(Audio(said(COMMANDS[7]), "audio/wav"))
    assert right(COMMANDS[7], heard)
    assert "blorptastic, lut 33" in heard.note


def test_every_word_of_the_grammar_and_every_look_is_known() -> None:
    assert sphinx.recognise(said("confirm"), GRAMMAR).unsaid == ()
