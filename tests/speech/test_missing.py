"""LAB-28: without the extra nothing breaks, and everybody says what to get."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from maquette.core.errors import (
    BadParameter,
    CapabilityMissing,
    OperationCrashed,
    OperationFailed,
    OperationTimedOut,
)
from maquette.core.language import Compute
from maquette.core.speech import Audio
from maquette.speech import espeak, wav
from maquette.speech.embedded_listener import EmbeddedListener
from maquette.speech.embedded_speaker import EmbeddedSpeaker
from maquette.speech.tool import TOOL
from maquette.testing.standin_audio import tone

P = ParamSpec("P")
R = TypeVar("R")

PROGRAM = """#!{python} -I
import pathlib, struct, sys
here = pathlib.Path({folder!r})
said = sys.stdin.buffer.read()
(here / "argv").write_text("|".join(sys.argv[1:]))
(here / "said").write_bytes(said)
if "--voices" in sys.argv:
    print("Pty Language       Age/Gender VoiceName          File                 Other Languages")
    print(" 5  de              --/M      German             gmw/de")
    print(" 2  en-us           --/M      English_(America)  gmw/en-US            (en 3)")
    sys.exit()
if b"crash" in said:
    import os
    os.abort()
if b"fail" in said:
    sys.exit("no such thing")
sound = struct.pack("<h", 9000) * len(said) if b"quiet" not in said else bytes(200)
head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 22050, 44100, 2, 16)
sys.stdout.buffer.write(b"RIFF" + struct.pack("<I", 0x7ffff024) + b"WAVE" + head)
sys.stdout.buffer.write(b"data" + struct.pack("<I", 0x7ffff000) + sound)
"""


async def here(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Compute in this process."""
    return work(*args, **kwargs)


async def crashing(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: ARG001
    raise OperationCrashed("The worker process died (exit -11). The picture may be too large.")


async def endless(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: ARG001
    raise OperationTimedOut("It was stopped after 300 s. Try a smaller picture.")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installation without the extra and without the program; return an empty folder on PATH."""
    monkeypatch.setattr("maquette.speech.espeak._LOADER", "no_such_package")
    monkeypatch.setattr("maquette.speech.sphinx._PACKAGE", "no_such_package")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def program(bare: Path) -> Path:
    """A stand-in for the program espeak-ng; return the folder where it notes what it was told."""
    if sys.platform == "win32":
        pytest.skip("a script with a first line that names its interpreter is POSIX")
    file = bare / "espeak-ng"
    file.write_text(PROGRAM.format(python=sys.executable, folder=str(bare)))
    file.chmod(0o755)
    return bare


@pytest.mark.usefixtures("bare")
async def test_both_say_what_to_get() -> None:
    mouth, ear = EmbeddedSpeaker(here), EmbeddedListener(here)
    for lack in (mouth.missing(), ear.missing()):
        assert lack is not None and "maquette tools setup voice" in lack
    assert mouth.voices() == []
    with pytest.raises(CapabilityMissing, match="maquette tools setup voice"):
        await mouth.speak("Hello")
    with pytest.raises(CapabilityMissing, match="maquette tools setup voice"):
        await ear.listen(Audio(tone(), "audio/wav"))


@pytest.mark.usefixtures("bare")
def test_speaking_without_anything_to_speak_with_is_said_in_the_worker_too() -> None:
    with pytest.raises(OperationFailed, match="not installed"):
        espeak.synthesize("Hello", "en-us", 175)


def test_neither_package_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, maquette.speech.embedded_speaker, maquette.speech.embedded_listener\n"
        "sys.exit(bool({'pocketsphinx', 'espeakng_loader'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_tool_says_what_it_costs_and_under_which_terms() -> None:
    """GPL-3 is a person's own choice, so it stands where the choice is made."""
    assert (TOOL.name, TOOL.extra) == ("voice", "voice")
    assert "GPL-3.0" in TOOL.licence and "MB" in TOOL.size


async def test_the_program_speaks_where_the_library_is_missing(program: Path) -> None:
    """The text comes by standard input: a command line can be read by everybody."""
    mouth = EmbeddedSpeaker(here)
    assert mouth.missing() is None
    spoken = await mouth.speak("A secret, --stdin -w /tmp/x", "DE", 2.0)
    assert (program / "said").read_text() == "A secret, --stdin -w /tmp/x"
    assert (program / "argv").read_text() == "-v|de|-s|350|-b|1|--stdin|--stdout"
    read = wav.read(spoken.audio.data)
    assert (read.sample_rate_hz, read.frames) == (22050, 27)
    assert struct.unpack("<I", spoken.audio.data[4:8])[0] == len(spoken.audio.data) - 8


@pytest.mark.usefixtures("program")
def test_the_programs_voices_are_listed_the_default_first() -> None:
    assert [(one.id, one.title) for one in EmbeddedSpeaker(here).voices()] == [
        ("en-us", "English (America)"),
        ("de", "German"),
    ]


@pytest.mark.usefixtures("program")
async def test_a_program_that_fails_is_said() -> None:
    with pytest.raises(OperationFailed, match="no such thing"):
        await EmbeddedSpeaker(here).speak("fail")


@pytest.mark.usefixtures("program")
async def test_a_crash_is_an_error_and_no_more() -> None:
    """espeak-ng is C code that reads whatever a person wrote."""
    with pytest.raises(OperationCrashed, match="nothing else was harmed"):
        await EmbeddedSpeaker(here).speak("crash")


@pytest.mark.usefixtures("program")
async def test_silence_is_not_passed_off_as_speech() -> None:
    with pytest.raises(BadParameter, match="nothing that could be spoken"):
        await EmbeddedSpeaker(here).speak("quiet")


@pytest.mark.parametrize(
    ("words", "voice", "rate"),
    [
        ("", "", 1.0),
        ("\x00\x01\x1b\n", "", 1.0),
        ("\ud800\udfff", "", 1.0),
        ("x" * 100_000, "", 1.0),
        ("Hello", "klingon", 1.0),
        ("Hello", "../../etc/passwd", 1.0),
        ("Hello", "-w/tmp/x", 1.0),
        ("Hello", "", 0.3),
        ("Hello", "", 3.9),
        ("Hello", "", float("inf")),
    ],
)
async def test_what_cannot_be_spoken_is_refused_before_anything_runs(
    program: Path, words: str, voice: str, rate: float
) -> None:
    with pytest.raises(BadParameter):
        await EmbeddedSpeaker(here).speak(words, voice, rate)
    assert not (program / "said").exists() or not (program / "said").read_bytes()


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("compute", "kind"), [(crashing, OperationCrashed), (endless, OperationTimedOut)]
)
async def test_a_crash_is_told_in_words_about_speech(
    compute: Compute, kind: type[OperationFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maquette.speech.sphinx._PACKAGE", "json")  # any package that is there
    mouth, ear = EmbeddedSpeaker(compute), EmbeddedListener(compute)
    with pytest.raises(kind) as caught:
        await mouth.speak("Hello")
    with pytest.raises(kind) as caught_too:
        await ear.listen(Audio(tone(), "audio/wav"))
    assert "picture" not in f"{caught.value}{caught_too.value}"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x1a\x45\xdf\xa3" + bytes(500), "PCM WAV only"),
        (b"OggS" + bytes(500), "PCM WAV only"),
        (b"ID3" + bytes(500), "speech model"),
        (b"", "is empty"),
        (b"hello", "none of"),
        (tone(61, rate=4000), "at most 60 s"),
        (b"RIFF\x00\x00\x00\x00WAVE" + bytes(30_000_000), "at most 25000000"),
        (tone()[:30], "cannot be read"),
    ],
    ids=["webm", "ogg", "mp3", "empty", "text", "long", "large", "cut"],
)
async def test_a_recording_that_the_embedded_listener_cannot_take_is_refused(
    monkeypatch: pytest.MonkeyPatch, data: bytes, why: str
) -> None:
    """It is refused before a worker is asked."""
    monkeypatch.setattr("maquette.speech.sphinx._PACKAGE", "json")
    with pytest.raises(BadParameter, match=why):
        await EmbeddedListener(crashing).listen(Audio(data, "audio/wav"))
