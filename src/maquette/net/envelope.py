"""A reply kept whole: one line of JSON with its headers, then its body byte for byte.

Where an answer says in its headers what it cost or how sure it is, its body alone could not be
read again after a crash.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ValidationError

from maquette.core.errors import BadProviderReply

_LONGEST_HEAD_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Envelope:
    """A reply as it came."""

    headers: Mapping[str, str]
    """Those that were kept; their names in small letters."""
    body: bytes


class _Head(BaseModel, frozen=True, extra="forbid", strict=True):
    envelope: Literal[1]
    """The version of this format."""
    headers: dict[str, str]
    size_bytes: int
    crc32: int
    """Of the headers and the body: a changed price or a lost half must not be believed."""


def pack(headers: Mapping[str, str], body: bytes, *, keep: Collection[str]) -> bytes:
    """Write a reply down with the headers named in `keep`; others may hold a session's secrets."""
    wanted = {name.lower() for name in keep}
    kept = {name.lower(): value for name, value in headers.items() if name.lower() in wanted}
    head = {
        "envelope": 1,
        "headers": kept,
        "size_bytes": len(body),
        "crc32": _checksum(kept, body),
    }
    return b"%s\n%s" % (_written(head), body)


def unpack(stored: bytes) -> Envelope:
    """Read what `pack` wrote; raise `BadProviderReply` for anything else."""
    end = stored.find(b"\n", 0, _LONGEST_HEAD_BYTES)
    try:
        head = _Head.model_validate_json(stored[: max(end, 0)])
    except ValidationError:
        raise BadProviderReply(
            f"The stored answer ({len(stored)} bytes, kept) does not begin as it was written, so "
            "it cannot be read. Check the disk."
        ) from None
    body = stored[end + 1 :]
    if len(body) != head.size_bytes or _checksum(head.headers, body) != head.crc32:
        raise BadProviderReply(
            f"The stored answer (kept) is damaged: it holds {len(body)} bytes and was written with "
            f"{head.size_bytes}, or others. Check the disk."
        )
    return Envelope(head.headers, body)


def _checksum(headers: Mapping[str, str], body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_written(headers)))


def _written(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
