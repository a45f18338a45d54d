"""Requests that bring pictures, as a form with files or as JSON with data URLs and assets' ids.

The files go to the disk as they come. What the request wants can be checked before anything is
kept: `pictures` says what they would be, `keep` makes them assets.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from starlette.requests import Request

from maquette.api import jsontext, multipart
from maquette.api.door import Entry
from maquette.api.house import House
from maquette.core.errors import BadParameter, RequestTooLarge
from maquette.core.requests import canonical
from maquette.services import asking, uploading
from maquette.services.asking import Given
from maquette.services.uploading import Intake, Uploaded, Wishes

PICTURE_PARTS = frozenset({"image", "image[]", "images", "images[]", "file", "files", "files[]"})
MASK_PART = "mask"
_NAMES = ("image", "images", "files")
"""The members of a JSON body that hold pictures."""
_MOST_MASK_BYTES = 16 * 1024 * 1024
_MOST_FIELD_BYTES = 160 * 1024
"""A prompt of 32,000 characters, each of up to four bytes, and some room."""
_AROUND = 1024 * 1024
"""What a JSON body may have beside its pictures."""
_MOST_JSON_BYTES = 32 * 1024 * 1024
"""Of a body that has to be held whole; forms go to the disk as they come."""
_QUICK = 256 * 1024
"""What is longer is read and decoded beside everybody else's requests."""


@dataclass
class Form:
    """A request that was read: its fields, and the pictures that came with it."""

    fields: dict[str, Any]
    """Text where it was a form, JSON values where it was JSON."""
    is_json: bool
    mask: bytes | Given | None = None
    """As it was sent, or an asset that was named."""
    digest: str = ""
    """Of what was asked, however its parts were wrapped: of fields, names and bytes."""
    named: list[Given | None] = field(default_factory=list["Given | None"])
    """Assets by their place among the pictures; None where one was sent. Empty: all were."""
    intake: Intake | None = None
    sent: list[Uploaded] = field(default_factory=list[Uploaded])

    @property
    def pictures(self) -> tuple[Given, ...]:
        """What the request is about, in the order in which it has them."""
        came = [_given(one) for one in self.sent]
        if not self.named:
            return tuple(came)
        sent = iter(came)
        return tuple(next(sent) if one is None else one for one in self.named)

    async def keep(self, wishes: Wishes) -> None:
        """Make assets of the pictures that were sent, under the ids that `pictures` tells."""
        if self.intake is not None and self.sent:
            await self.intake.finish(wishes)


class _Sink:
    """Where the files of a form go: pictures to the disk, the mask into memory."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._in_mask = False
        self._hash = hashlib.sha256()
        self.digests: list[str] = []
        self.mask: bytearray | None = None

    @property
    def count(self) -> int:
        return len(self.digests)

    async def begin(self, name: str, part: str) -> None:
        self._in_mask = part == MASK_PART
        self._hash = hashlib.sha256(part.encode())
        if not self._in_mask:
            await self._intake.begin(name)
        elif self.mask is not None:
            raise BadParameter("The form has two masks; send one, for the first picture.")
        else:
            self.mask = bytearray()

    async def write(self, data: bytes) -> None:
        self._hash.update(data)
        if not self._in_mask:
            await self._intake.write(data)
            return
        assert self.mask is not None
        if len(self.mask) + len(data) > _MOST_MASK_BYTES:
            raise _mask_too_large()
        self.mask += data

    async def end(self) -> None:
        self.digests.append(self._hash.hexdigest())
        if not self._in_mask:
            await self._intake.end()


@asynccontextmanager
async def opened(
    request: Request,
    house: House,
    entry: Entry,
    fields: frozenset[str],
    wishes: Wishes | None = None,
) -> AsyncGenerator[Form]:
    """Read a request that may bring pictures; what was not kept at the end leaves nothing.

    `fields` are the members and form fields besides the pictures that it may have.
    """
    most = house.rules.upload_bytes
    async with (
        multipart.slot(house),
        uploading.intake(house.studio, entry.project, entry.caller, most) as intake,
    ):
        sink = _Sink(intake)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            form = await _from_form(request, house, sink, fields)
        else:
            form = await _from_json(request, house, entry, sink, fields)
        form.intake = intake
        form.sent = await intake.look(wishes or Wishes())
        yield form


async def _from_form(request: Request, house: House, sink: _Sink, fields: frozenset[str]) -> Form:
    parts = multipart.Parts(
        fields, PICTURE_PARTS | {MASK_PART}, _MOST_FIELD_BYTES, needs_file=False
    )
    said = nested(await multipart.receive(request, house, sink, parts))
    mask = None if sink.mask is None else bytes(sink.mask)
    return Form(said, is_json=False, mask=mask, digest=_digest(said, sink))


def nested(fields: Mapping[str, str]) -> dict[str, Any]:
    """Gather `name[member]` into `name`, as clients write objects in forms."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        base, bracket, rest = name.partition("[")
        if not bracket:
            found[base] = value
            continue
        inner = found.setdefault(base, {})
        if not (isinstance(inner, dict) and rest.endswith("]") and "[" not in rest):
            raise BadParameter(f"The field {name[:80]!r} cannot be read; write name[member].")
        cast("dict[str, str]", inner)[rest[:-1]] = value
    return found


async def _from_json(
    request: Request, house: House, entry: Entry, sink: _Sink, fields: frozenset[str]
) -> Form:
    said = await _object(request, house)
    form = Form({}, is_json=True)
    pictures: list[Any] = []
    for name in _NAMES:
        value = said.pop(name, None)
        pictures += [] if value is None else value if isinstance(value, list) else [value]
    if len(pictures) > multipart.MOST_FILES:
        raise BadParameter(
            f"The request has {len(pictures)} pictures; send at most {multipart.MOST_FILES}.",
            param="image",
        )
    mask = said.pop(MASK_PART, None)
    for index, one in enumerate(pictures):
        pictures[index] = None  # its text is held no longer than it takes to decode it
        asset = await _taken(one, sink, "image")
        known = None if asset is None else await asking.given(house.studio, entry.project, asset)
        form.named.append(known)
    if mask is not None:
        asset = await _taken(mask, sink, MASK_PART)
        if asset is not None:
            form.mask = await asking.given(house.studio, entry.project, asset, "mask")
        else:
            form.mask = bytes(sink.mask or b"")
    unknown = sorted(set(said) - fields)
    if unknown:
        raise BadParameter(
            f"The body has no member {unknown[0][:80]!r}; it has {_listed(fields)}.",
            param=unknown[0][:80],
        )
    form.fields = said
    named = [one and one.asset for one in form.named]
    masked = form.mask.asset if isinstance(form.mask, Given) else None
    form.digest = _digest({**said, "image": named, MASK_PART: masked}, sink)
    return form


def _listed(fields: frozenset[str]) -> str:
    return ", ".join(sorted(fields | {"image", MASK_PART}))


async def _taken(given: Any, sink: _Sink, part: str) -> str | None:
    """Take in a data URL; return the id where it is an asset's."""
    if isinstance(given, dict):
        members = cast("dict[str, Any]", given)
        given = members.get("image_url") or members.get("file_id") or members.get("asset")
        if isinstance(given, dict):
            given = cast("dict[str, Any]", given).get("url")
    if not isinstance(given, str):
        raise BadParameter(
            f"The {part} must be an asset's id or a data URL such as data:image/png;base64,…"
        )
    if not given.startswith("data:"):
        return _asset_id(given, part)
    head, comma, text = given.partition(",")
    if not comma or not head.endswith(";base64"):
        raise BadParameter(
            f"The {part} is a data URL without base64; write data:image/png;base64,…"
        )
    await sink.begin(part, part)
    try:
        await _decode(text, sink)
    except (binascii.Error, UnicodeEncodeError):
        raise BadParameter(f"The {part} is no base64 that can be read.") from None
    await sink.end()
    return None


async def _decode(text: str, sink: _Sink) -> None:
    """Decode base64 piece by piece: a whole picture at once would let everybody else wait."""
    last = max(len(text) - 1, 0) // _QUICK * _QUICK
    for start in range(0, last, _QUICK):
        piece = text[start : start + _QUICK].encode("ascii")
        if b"=" in piece:  # only the very end is padded
            raise binascii.Error
        await sink.write(await asyncio.to_thread(base64.b64decode, piece, validate=True))
    await sink.write(base64.b64decode(text[last:].encode("ascii"), validate=True))


def _asset_id(given: str, part: str) -> str:
    try:
        return str(UUID(given))
    except ValueError:
        raise BadParameter(
            f"The {part} {given[:60]!r} is neither an asset's id nor a data URL. Addresses are not "
            "fetched; upload the picture, or send it as a data URL."
        ) from None


async def _object(request: Request, house: House) -> dict[str, Any]:
    most = min(house.rules.upload_bytes * 4 // 3 + _AROUND, _MOST_JSON_BYTES)
    body = bytearray()
    async for piece in multipart.pieces(request, house):
        if len(body) + len(piece) > most:
            raise RequestTooLarge(
                f"The body is larger than {most // 1024} KiB; send the pictures as "
                "multipart/form-data, or upload them first and name their ids."
            )
        body += piece
    try:
        large = len(body) > _QUICK
        found = await asyncio.to_thread(jsontext.read, body) if large else jsontext.read(body)
    except ValueError:
        raise BadParameter("The body is no JSON that can be read; send it again.") from None
    if not isinstance(found, dict):
        raise BadParameter('The body is no JSON object; send {"prompt": "…"}.')
    return cast("dict[str, Any]", found)


def _digest(said: Mapping[str, Any], sink: _Sink) -> str:
    document = canonical({"fields": said, "files": sink.digests})
    return hashlib.sha256(document.encode()).hexdigest()


def _given(one: Uploaded) -> Given:
    return Given.model(
        one.id,
        digest=one.sha256,
        name=one.name,
        media_type=one.media_type,
        width_px=one.width_px,
        height_px=one.height_px,
        size_bytes=one.size_bytes,
    )


def _mask_too_large() -> RequestTooLarge:
    return RequestTooLarge(
        f"The mask is over {_MOST_MASK_BYTES // 1024 // 1024} MiB; save it as PNG."
    )
