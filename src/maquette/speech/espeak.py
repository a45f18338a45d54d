"""Speaking with espeak-ng: its library where the extra is installed, else its program.

Either runs in a process of its own, one for each text: a crash there is an error here, and the same
text gives the same bytes. The text goes in by standard input: a command line can be read by all.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from maquette.core.errors import (
    BadParameter,
    OperationCrashed,
    OperationFailed,
    OperationTimedOut,
)
from maquette.core.speech import Voice
from maquette.speech import espeak_child, wav

_LOADER = "espeakng_loader"
_PROGRAM = "espeak-ng"
SLOWEST_WPM, USUAL_WPM, FASTEST_WPM = 80, 175, 450
_LONGEST_S = 1200
_WAIT_S = 60
_MOST_BYTES = _LONGEST_S * 22_050 * 2
_LANGUAGE = re.compile(r"(?m)^language +([A-Za-z0-9-]+)(?: +(\d+))?")
_NAME = re.compile(r"(?m)^name +(.+?) *$")
_DICTIONARY = re.compile(r"(?m)^dictionary +(\S+)")


def missing() -> bool:
    """Tell whether neither the library nor the program is here."""
    return importlib.util.find_spec(_LOADER) is None and shutil.which(_PROGRAM) is None


def synthesize(text: str, voice: str, words_per_minute: int) -> bytes:
    """Return the text as a WAV file; the same text gives the same bytes.

    Raises
    ------
    BadParameter
        If the text gives no sound, or more than 20 minutes of it.
    OperationFailed
        If espeak-ng is not there, knows no such voice, fails or crashes.
    """
    said = text.encode("utf-8", "replace")
    if importlib.util.find_spec(_LOADER) is not None:
        samples, rate = _by_library(said, voice, words_per_minute)
    else:
        samples, rate = _by_program(said, voice, words_per_minute)
    if len(samples) > _MOST_BYTES:
        raise BadParameter(
            f"The text takes more than {_LONGEST_S // 60} minutes to speak. Split it in two."
        )
    if not any(samples):
        raise BadParameter("The text has nothing that could be spoken. Write a few words.")
    return wav.write(samples, rate)


def voices() -> Sequence[Voice]:
    """List the languages that are there; none where espeak-ng is missing."""
    if importlib.util.find_spec(_LOADER) is not None:
        return _of_library()
    program = shutil.which(_PROGRAM)
    return () if program is None else _of_program(program)


@cache
def _of_library() -> Sequence[Voice]:
    data = Path(importlib.import_module(_LOADER).get_data_path())
    found = [_voice(path, data) for path in (data / "lang").rglob("*") if path.is_file()]
    return sorted((one for one in found if one), key=lambda one: one.id)


def _voice(path: Path, data: Path) -> Voice | None:
    """Read the file of a language; None where its dictionary did not come with it."""
    said = path.read_text(encoding="utf-8", errors="replace")
    names = [(int(one[2] or 5), one[1]) for one in _LANGUAGE.finditer(said)]
    title = _NAME.search(said)
    if not names or title is None:
        return None
    own = _DICTIONARY.search(said)
    language = min(names, key=lambda one: one[0])[1]
    dictionary = own[1] if own else language.partition("-")[0]
    if not (data / f"{dictionary}_dict").is_file():
        return None
    return Voice(path.name.lower(), title[1], language)


@cache
def _of_program(program: str) -> Sequence[Voice]:
    """Read the columns: priority, language, age and gender, name, file."""
    table = _run([program, "--voices"], b"").decode(errors="replace")
    rows = [line.split() for line in table.splitlines()[1:]]
    found = {row[1]: Voice(row[1], row[3].replace("_", " "), row[1]) for row in rows if row[4:]}
    return tuple(found[name] for name in sorted(found))


def _by_library(said: bytes, voice: str, words_per_minute: int) -> tuple[bytes, int]:
    loader = importlib.import_module(_LOADER)
    places = [str(loader.get_library_path()), str(loader.get_data_path())]
    numbers = [str(words_per_minute), str(_MOST_BYTES)]
    child = [sys.executable, "-I", str(Path(espeak_child.__file__))]
    answer = _run([*child, *places, voice, *numbers], said)
    return answer[4:], int.from_bytes(answer[:4], "little")


def _by_program(said: bytes, voice: str, words_per_minute: int) -> tuple[bytes, int]:
    program = shutil.which(_PROGRAM)
    if program is None:
        raise OperationFailed("espeak-ng is not installed any more. Install it again.")
    options = ["-v", voice, "-s", str(words_per_minute), "-b", "1", "--stdin", "--stdout"]
    sound = wav.read(_run([program, *options], said))
    if (sound.channels, sound.bits, sound.floating) != (1, 16, False):
        raise OperationFailed("espeak-ng answered in another form than 16-bit mono WAV.")
    return sound.data, sound.sample_rate_hz


def _run(command: Sequence[str], said: bytes) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and every option is ours or from its list
            command, input=said, capture_output=True, timeout=_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise OperationTimedOut(
            f"espeak-ng was stopped after {_WAIT_S} s. Try it in shorter pieces."
        ) from None
    except OSError as error:
        raise OperationFailed(f"{command[0]!r} cannot be run: {error.strerror}.") from None
    if done.returncode < 0:
        raise OperationCrashed(
            f"espeak-ng crashed (signal {-done.returncode}); nothing else was harmed. Try other "
            "words, or another voice."
        )
    if done.returncode != 0:
        told = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        raise OperationFailed(f"espeak-ng failed (exit {done.returncode}): {told!r}.")
    return done.stdout
