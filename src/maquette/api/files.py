"""Sending stored bytes: conditional, in part, never executed, never changed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from anyio import open_file
from fastapi import Header, Response
from starlette.responses import StreamingResponse

from maquette.core.errors import RangeOutside
from maquette.core.storage import Storage, Stored

IMMUTABLE = "private, max-age=31536000, immutable"
_PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)

Found = tuple[Storage, Stored]
Find = Callable[[], Awaitable[Found]]

IfNoneMatch = Annotated[
    str | None, Header(max_length=4096, description="ETags that the caller has already.")
]
IfRange = Annotated[str | None, Header(max_length=256)]
Range = Annotated[
    str | None, Header(max_length=256, description="One range of bytes, as `bytes=0-1023`.")
]

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
SENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": {"image/*": _BINARY}},
    206: {"description": "The part that was asked for.", "content": {"image/*": _BINARY}},
    304: {"description": "The caller has it already."},
}


@dataclass(frozen=True)
class Sending:
    """What is sent, before anybody looks where it lies."""

    etag: str
    media_type: str
    download: str | None = None
    """The name to save it under; None: it is shown."""

    def headers(self) -> dict[str, str]:
        found = {
            "ETag": f'"{self.etag}"',
            "Cache-Control": IMMUTABLE,
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        if self.download is not None:
            found["Content-Disposition"] = attachment(self.download)
        return found


@dataclass(frozen=True)
class Asked:
    """What the caller's headers ask for."""

    if_none_match: str | None = None
    if_range: str | None = None
    range: str | None = None
    head: bool = False


async def send(asked: Asked, what: Sending, find: Find) -> Response:
    """Answer with the bytes, a part of them, or that the caller has them."""
    headers = what.headers()
    if matches(asked.if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    storage, stored = await find()
    headers["Accept-Ranges"] = "bytes"
    start, end, status = 0, stored.size_bytes, 200
    if asked.range is not None and asked.if_range in (None, headers["ETag"]):
        part = span(asked.range, stored.size_bytes)
        if part is not None:
            (start, end), status = part, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size_bytes}"
    headers["Content-Length"] = str(end - start)
    if asked.head:
        return Response(status_code=status, headers=headers, media_type=what.media_type)
    path = storage.local_path(stored.key)
    pieces = storage.stream(stored.key, start, end) if path is None else _pieces(path, start, end)
    return StreamingResponse(pieces, status, headers, media_type=what.media_type)


def matches(header: str | None, etag: str) -> bool:
    """Say whether the caller has it already."""
    known = {one.strip().removeprefix("W/") for one in (header or "").split(",")}
    return etag in known or "*" in known


def span(header: str, size: int) -> tuple[int, int] | None:
    """Read a range as (first, after the last); None where the whole is to be sent.

    Several ranges at once, and units other than bytes, are not served: the whole is, as RFC 9110
    allows.
    """
    if not header.startswith("bytes=") or "," in header:
        return None
    found = _RANGE.fullmatch(header.replace(" ", ""))
    first, last = (found[1], found[2]) if found else ("", "")
    if first:
        start, end = int(first), min(size, int(last) + 1 if last else size)
    else:
        start, end = max(0, size - int(last or 0)), size
    if start >= end:
        raise RangeOutside(
            f"The range {header!r} is outside of the {size} bytes; ask for one within.",
            size_bytes=size,
        )
    return start, end


async def _pieces(path: Path, start: int, end: int) -> AsyncGenerator[bytes]:
    async with await open_file(path, "rb") as file:
        await file.seek(start)
        left = end - start
        while left > 0:
            piece = await file.read(min(_PIECE, left))
            if not piece:  # cut short: the connection ends before the promised length
                return
            left -= len(piece)
            yield piece


def attachment(name: str) -> str:
    """Name a download as RFC 6266 says: plain for old programs, exact for the others."""
    plain = "".join(one if one.isascii() and one.isprintable() else "_" for one in name)
    plain = plain.replace("\\", "_").replace('"', "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
