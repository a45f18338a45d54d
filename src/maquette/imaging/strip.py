"""Taking out of a file what its pixels do not need: places, names, times, comments.

Nothing is encoded again. What says how the pixels are to be shown stays: the colour profile, and
of all the EXIF the orientation alone.

References
----------
CIPA DC-008 (2024). "Exchangeable image file format for digital still cameras: Exif 3.0".
ITU-T T.81 (1992), annex B. RFC 9649 (2024), "WebP Image Format", section 2.
W3C (2025). "Portable Network Graphics (PNG) Specification (Third Edition)", section 11.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from maquette.core.errors import CapabilityMissing, UnsupportedImage
from maquette.imaging.header import open_picture, orientation_of
from maquette.imaging.limits import DEFAULT_LIMITS, DecodeLimits
from maquette.imaging.quiet import pillow_reading

_EXIF = b"Exif\0\0"
_ICC = b"ICC_PROFILE\0"

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT"}
    | {b"bKGD", b"hIST", b"pHYs", b"cICP", b"mDCV", b"cLLI", b"acTL", b"fcTL", b"fdAT"}
)
_WEBP_KEPT = frozenset({b"ICCP", b"ANIM", b"ALPH", b"VP8 ", b"VP8L"})
_WEBP_HAS_EXIF, _WEBP_HAS_XMP = 0x08, 0x04


def strip(
    data: bytes, *, name: str = "the picture", limits: DecodeLimits = DEFAULT_LIMITS
) -> bytes:
    """Remove EXIF, XMP, IPTC, comments and whatever follows the picture.

    Parameters
    ----------
    data : bytes
        A whole JPEG, PNG or WebP file.
    name : str
        What messages call the file.
    limits : DecodeLimits

    Returns
    -------
    bytes
        The same compressed pixels. A file that is stripped again comes out the same.

    Raises
    ------
    CapabilityMissing
        Another format: what it may hold cannot be removed without encoding it again.
    UnsupportedImage
        Cut short, or damaged between its parts.
    """
    limits.check_bytes(len(data), name)
    with pillow_reading(name):
        image, header = open_picture(io.BytesIO(data), name=name, limits=limits)
        if header.format == "png":
            image.load()  # what it says of its orientation may stand behind the pixels
        orientation = orientation_of(image)
    exif = b"" if orientation == 1 else _only_orientation(orientation)
    try:
        if header.format == "jpeg":
            return b"".join(_jpeg(data, exif))
        if header.format == "png":
            return b"".join(_png(data, exif))
        if header.format == "webp":
            return _webp(data, exif)
    except (IndexError, struct.error):
        raise UnsupportedImage(
            f"{name!r} is cut short or damaged, so its metadata cannot be told from its pixels; "
            "save it again from its editor."
        ) from None
    raise CapabilityMissing(
        f"Metadata can be removed from JPEG, PNG and WebP files, and {name!r} is "
        f"{header.format.upper()}. Save it as one of those, or send it without asking to strip it."
    )


def _only_orientation(orientation: int) -> bytes:
    """Build an EXIF block with one entry: tag 0x0112, one SHORT."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)


def _jpeg(data: bytes, exif: bytes) -> Iterator[bytes]:
    """Hop over the segments: a marker, a length, a body; entropy-coded data after a scan's."""
    yield data[:2]
    if exif:
        yield b"\xff\xe1" + struct.pack(">H", len(exif) + len(_EXIF) + 2) + _EXIF + exif
    at = 2
    while True:
        if data[at] != 0xFF:
            raise IndexError
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if marker == 0xD9:
            yield data[at : at + 2]
            return  # further pictures, films and notes may follow: they are metadata too
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # they stand alone
            yield data[at : at + 2]
            at += 2
            continue
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if end > len(data):
            raise IndexError
        yield _kept_segment(marker, data[at:end])
        at = end
        if marker == 0xDA:
            end = _after_scan(data, at)
            yield data[at:end]
            at = end


def _kept_segment(marker: int, segment: bytes) -> bytes:
    body = segment[4:]
    if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        # Its thumbnail may show what was cut away.
        return b"\xff\xe0" + struct.pack(">H", 16) + body[:12] + b"\0\0"
    if marker == 0xE2:
        return segment if body.startswith(_ICC) else b""
    if marker == 0xEE:
        return segment if body.startswith(b"Adobe") else b""
    return b"" if 0xE0 <= marker <= 0xEF or marker == 0xFE else segment


def _after_scan(data: bytes, at: int) -> int:
    """Return where the next marker is that is neither a stuffed byte nor a restart."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            raise IndexError
        following = data[at + 1]
        if following == 0xFF:
            at += 1
        elif following == 0 or 0xD0 <= following <= 0xD7:
            at += 2
        else:
            return at


def _png(data: bytes, exif: bytes) -> Iterator[bytes]:
    yield _PNG_SIGNATURE
    at = len(_PNG_SIGNATURE)
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + length + 12
        if end > len(data):
            raise IndexError
        if kind in _PNG_KEPT:
            if kind == b"IDAT" and exif:
                body = b"eXIf" + exif
                yield struct.pack(">I", len(exif)) + body + struct.pack(">I", zlib.crc32(body))
                exif = b""
            yield data[at:end]
        if kind == b"IEND":
            return
        at = end


def _webp(data: bytes, exif: bytes) -> bytes:
    end = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    parts: list[bytes] = []
    for kind, body in _riff(data, 12, end):
        if kind == b"VP8X":
            flags = body[0] & ~(_WEBP_HAS_EXIF | _WEBP_HAS_XMP)
            parts.append(_riff_chunk(kind, bytes([flags | bool(exif) * _WEBP_HAS_EXIF]) + body[1:]))
        elif kind == b"ANMF":
            frame = [
                _riff_chunk(*one) for one in _riff(body, 16, len(body)) if one[0] in _WEBP_KEPT
            ]
            parts.append(_riff_chunk(kind, body[:16] + b"".join(frame)))
        elif kind in _WEBP_KEPT:
            parts.append(_riff_chunk(kind, body))
    if exif:
        parts.append(_riff_chunk(b"EXIF", exif))
    content = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _riff(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    while at < end:
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise IndexError
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)
