"""What can be read from a picture file's first bytes, without a decoder."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["png", "jpeg", "webp", "avif", "tiff", "gif", "bmp"]

HEAD_BYTES = 1024

_PREFIXES: Mapping[bytes, Format] = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
}

_FOREIGN: Mapping[bytes, str] = {
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"8BPS": "a Photoshop document",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"\0\0\x01\0": "a Windows icon",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\xff\x0a": "a JPEG XL picture",
}


def format_of(head: bytes) -> Format | None:
    """Name the format that the first bytes of a file announce, if it is one of ours."""
    for prefix, kind in _PREFIXES.items():
        if head.startswith(prefix):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp" and _brands(head) & {b"avif", b"avis"}:
        return "avif"
    return None


def describe_foreign(head: bytes) -> str:
    """Say in words what a file of no supported format seems to be."""
    for prefix, what in _FOREIGN.items():
        if head.startswith(prefix):
            return what
    if head[4:8] == b"ftyp":
        is_heic = bool(_brands(head) & {b"heic", b"heix", b"hevc", b"mif1", b"msf1"})
        return "a HEIC photograph" if is_heic else "a video"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "an SVG drawing"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "text" if _is_text(head) else "in a format not known here"


def webp_canvas(head: bytes) -> tuple[int, int] | None:
    """Return (width_px, height_px) of a WebP file, or None when its first chunk is malformed.

    The WebP decoder allocates the canvas when it is opened, so the size must be known before.
    """
    if len(head) < 30:
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if kind == b"VP8L" and head[20] == 0x2F:
        packed = int.from_bytes(head[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def gif_frames(data: bytes, *, stop_after: int) -> int:
    """Count the frames of a GIF by hopping over its blocks; stop once over `stop_after`.

    A file that ends early counts what it holds.
    """
    if len(data) < 13:
        return 0
    at = 13 + _colour_table_bytes(data[10])
    frames = 0
    while at < len(data) and frames <= stop_after:
        if data[at] == 0x21:  # extension: label, then sub-blocks
            at = _after_sub_blocks(data, at + 2)
        elif data[at] == 0x2C and at + 10 <= len(data):  # image: descriptor, colours, code size
            frames += 1
            at = _after_sub_blocks(data, at + 11 + _colour_table_bytes(data[at + 9]))
        else:
            break
    return frames


def png_bit_depth(head: bytes) -> int:
    """Return the bits of one sample from a PNG's IHDR, 8 when the header is short."""
    return head[24] if len(head) > 24 else 8


def avif_bit_depth(head: bytes) -> int:
    """Return the bits of one sample from the first AV1 configuration box, 8 when there is none."""
    at = head.find(b"av1C")
    if at < 0 or at + 6 >= len(head):
        return 8
    flags = head[at + 6]
    high, twelve = flags & 0x40, flags & 0x20
    if not high:
        return 8
    return 12 if twelve else 10


def _brands(head: bytes) -> set[bytes]:
    length = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, length, 4))}


def _is_text(head: bytes) -> bool:
    printable = all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
    return printable and "\ufffd" not in head[:-4].decode("utf-8", "replace")[:-1]


def _colour_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1
