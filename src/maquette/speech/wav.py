"""WAV files: what the head says, the samples, and writing plain 16-bit ones."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maquette.core.errors import BadParameter

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_LOWEST_HZ, _HIGHEST_HZ = 4_000, 192_000
_MOST_CHANNELS = 8


@dataclass(frozen=True)
class Wave:
    """Samples as they lie in the file."""

    sample_rate_hz: int
    channels: int
    bits: int
    floating: bool
    data: bytes
    """Whole frames only."""

    @property
    def frames(self) -> int:
        return len(self.data) // (self.channels * self.bits // 8)

    @property
    def duration_s(self) -> float:
        return self.frames / self.sample_rate_hz


def read(data: bytes) -> Wave:
    """Read the file; raise `BadParameter` where it is damaged or not plain PCM.

    Recorders that stream write 0 or the largest number for the length: then it is what is there.
    """
    head: tuple[int, int, int, bool] | None = None
    position = 12
    while position + 8 <= len(data):
        name = data[position : position + 4]
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        body = position + 8
        if name == b"fmt ":
            head = _head(data[body : body + size])
        elif name == b"data":
            if head is None:
                break
            return _wave(head, data[body:] if size == 0 else data[body : body + size])
        position = body + size + size % 2
    raise _damaged("its head is damaged")


def _head(body: bytes) -> tuple[int, int, int, bool]:
    """Return (sample rate, channels, bits, floating)."""
    if len(body) < 16:
        raise _damaged("its head is cut off")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = int.from_bytes(body[24:26], "little")
    floating = tag == _FLOAT
    if tag not in (_PCM, _FLOAT) or bits not in ((32, 64) if floating else (8, 16, 24, 32)):
        raise _damaged(f"it is not plain PCM (format {tag}, {bits} bits)")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise _damaged(f"it has {channels} channels, and at most {_MOST_CHANNELS} are read")
    if not _LOWEST_HZ <= rate <= _HIGHEST_HZ:
        raise _damaged(f"it has {rate} samples a second, not {_LOWEST_HZ} to {_HIGHEST_HZ}")
    return rate, channels, bits, floating


def _wave(head: tuple[int, int, int, bool], data: bytes) -> Wave:
    rate, channels, bits, floating = head
    whole = len(data) // (channels * bits // 8) * (channels * bits // 8)
    return Wave(rate, channels, bits, floating, data[:whole])


def _damaged(why: str) -> BadParameter:
    return BadParameter(
        f"The WAV file cannot be read: {why}. Record 16-bit PCM, best 16000 Hz and mono."
    )


def mono(wave: Wave) -> npt.NDArray[np.float32]:
    """Return the mean of the channels, -1 to 1; what is not a number becomes silence."""
    if wave.floating:
        samples = np.frombuffer(wave.data, f"<f{wave.bits // 8}").astype(np.float32)
        samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
    elif wave.bits == 24:
        parts = np.frombuffer(wave.data, np.uint8).reshape(-1, 3)
        whole = np.zeros((len(parts), 4), np.uint8)
        whole[:, 1:] = parts
        samples = whole.view("<i4")[:, 0].astype(np.float32) / 2**31
    elif wave.bits == 8:
        samples = (np.frombuffer(wave.data, np.uint8).astype(np.float32) - 128) / 128
    else:
        kind = f"<i{wave.bits // 8}"
        samples = np.frombuffer(wave.data, kind).astype(np.float32) / 2 ** (wave.bits - 1)
    return samples.reshape(-1, wave.channels).mean(axis=1, dtype=np.float32)


def write(samples: bytes, sample_rate_hz: int) -> bytes:
    """Put a head before 16-bit mono samples."""
    size = len(samples)
    rates = (sample_rate_hz, sample_rate_hz * 2)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, 1, *rates, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", size) + samples
    return struct.pack("<4sI", b"RIFF", len(body)) + body
