"""A program of its own that speaks with the library of espeak-ng; it imports nothing of ours.

`python -I espeak_child.py LIBRARY DATA VOICE WORDS_PER_MINUTE MOST_BYTES`: the text comes by
standard input; the sample rate (4 bytes, the least first) and 16-bit samples leave by standard
output.

The library keeps its state in globals, so that one text colours how the next one sounds, and it may
bring its process down: hence a process for each text.
"""

from __future__ import annotations

import ctypes
import sys

_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1  # without the bit for SSML: tags are spoken, not obeyed
_RATE = 1
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def speak(
    library: str, data: str, voice: str, words_per_minute: int, most_bytes: int, text: bytes
) -> bytes:
    """Return the sample rate and the samples, not many more than `most_bytes`."""
    sound = bytearray()

    def take(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            sound.extend(ctypes.string_at(samples, count * 2))
        return int(len(sound) > most_bytes)  # 1 stops the library

    c = ctypes.CDLL(library)
    rate = int(c.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DO_NOT_EXIT))
    if rate <= 0:
        sys.exit("it cannot find its data; install it into a folder whose path is shorter")
    callback = _Callback(take)
    c.espeak_SetSynthCallback(callback)
    if c.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit(f"it has no voice {voice!r}")
    c.espeak_SetParameter(_RATE, words_per_minute, 0)
    said = text + b"\0"
    if c.espeak_Synth(said, ctypes.c_size_t(len(said)), 0, 0, 0, _UTF8, None, None):
        sys.exit("it could not speak the text")
    c.espeak_Synchronize()
    return rate.to_bytes(4, "little") + bytes(sound)


if __name__ == "__main__":
    spoken = speak(
        sys.argv[1],
        sys.argv[2],
        sys.argv[3],
        int(sys.argv[4]),
        int(sys.argv[5]),
        sys.stdin.buffer.read(),
    )
    sys.stdout.buffer.write(spoken)
