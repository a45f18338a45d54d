"""Which sound format bytes are in, by their first bytes; what anybody claims is ignored."""

from __future__ import annotations

from dataclasses import dataclass

from maquette.core.errors import BadParameter


@dataclass(frozen=True)
class SoundFormat:
    """A format that servers of the audio API read."""

    extension: str
    """Servers go by the file name's ending."""
    media_type: str
    least_bits_per_s: int
    """The densest that a recording of speech is packed, to bound how long it may be."""


WAV = SoundFormat("wav", "audio/wav", 8_000)  # where it is not plain PCM
MP3 = SoundFormat("mp3", "audio/mpeg", 8_000)  # the lowest bit rate that the format has
OGG = SoundFormat("ogg", "audio/ogg", 2_000)  # Opus speech has 6000, less in the pauses
WEBM = SoundFormat("webm", "audio/webm", 2_000)
M4A = SoundFormat("m4a", "audio/mp4", 2_000)
FLAC = SoundFormat("flac", "audio/flac", 2_000)

READABLE = "WAV, MP3, Ogg, WebM, M4A and FLAC"


def format_of(data: bytes) -> SoundFormat | None:
    """Return the format; None: none of those that are known."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return WAV
    if data[4:8] == b"ftyp":
        return M4A
    if data[:3] == b"ID3" or _is_mpeg_frame(data):
        return MP3
    return {b"OggS": OGG, b"\x1a\x45\xdf\xa3": WEBM, b"fLaC": FLAC}.get(data[:4])


def _is_mpeg_frame(data: bytes) -> bool:
    """Tell an MPEG audio frame from AAC, whose layer bits are 0, and from chance."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bit_rate, sample_rate = data[2] >> 4, data[2] >> 2 & 3
    return version != 1 and layer != 0 and bit_rate not in (0, 15) and sample_rate != 3


def sound_format(data: bytes) -> SoundFormat:
    """Return the format; raise `BadParameter` for bytes that are no recording."""
    found = format_of(data)
    if found is None:
        what = "is empty" if not data else f"({len(data)} bytes) is none of {READABLE}"
        raise BadParameter(
            f"The recording {what}, so nothing was sent. Record it again, or convert it."
        )
    return found
