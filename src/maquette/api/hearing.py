"""Recordings on their way in: a part of a form, or base64 in JSON; counted as they come."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError

from maquette.api import multipart
from maquette.api.house import House
from maquette.api.permission import Permission
from maquette.core.errors import BadParameter, RequestTooLarge
from maquette.core.speech import MOST_AUDIO_BYTES

M = TypeVar("M", bound=BaseModel)
_MOST_TEXT = 4 * ((MOST_AUDIO_BYTES + 2) // 3)
_AROUND = 64 * 1024
"""What a JSON document may hold besides the sound."""


class Wishes(Permission, extra="forbid"):
    """What is said of a recording."""

    propose: bool = False
    """Make a command that it is an instruction, which waits for confirmation."""


class Encoded(Wishes, extra="forbid"):
    """A recording in JSON."""

    audio_base64: Annotated[str, Field(max_length=_MOST_TEXT + _AROUND)]


@dataclass(frozen=True)
class Recording:
    """The bytes, and what is wished."""

    data: bytes
    wishes: Wishes

    @property
    def digest(self) -> str:
        """Tell what was asked, in whichever form it came."""
        wishes = self.wishes.model_dump_json(include=set(Wishes.model_fields))
        return hashlib.sha256(wishes.encode() + b"\0" + self.data).hexdigest()


class _Sound:
    """Takes the one file of a form."""

    def __init__(self) -> None:
        self.count = 0
        self.data = bytearray()

    async def begin(self, name: str, part: str) -> None:
        self.count += 1
        if self.count > 1:
            raise BadParameter(f"Send one recording at a time; {name[:80]!r} is the second.")

    async def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > MOST_AUDIO_BYTES:
            raise _too_large()
        self.data += data

    async def end(self) -> None: ...


async def received(request: Request, house: House) -> Recording:
    """Read the body, whichever of the two forms it has."""
    async with multipart.slot(house):
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            return await _from_json(request, house)
        sound = _Sound()
        parts = multipart.Parts(frozenset(Wishes.model_fields))
        fields = await multipart.receive(request, house, sound, parts)
        return Recording(bytes(sound.data), _checked(Wishes, dict(fields)))


async def _from_json(request: Request, house: House) -> Recording:
    body = bytearray()
    async for piece in multipart.pieces(request, house):
        if len(body) + len(piece) > _MOST_TEXT + _AROUND:
            raise _too_large()
        body += piece
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise BadParameter("The body is no JSON that can be read; send it again.") from None
    if not isinstance(given, dict):
        raise BadParameter('The body is no JSON object; send {"audio_base64": "…"}.')
    found = _checked(Encoded, cast("dict[Any, Any]", given))
    try:
        data = base64.b64decode(found.audio_base64, validate=True)
    except (binascii.Error, ValueError):
        raise BadParameter("audio_base64 is no base64; send the sound's bytes in it.") from None
    if len(data) > MOST_AUDIO_BYTES:
        raise _too_large()
    return Recording(data, found)


def _checked(kind: type[M], given: dict[Any, Any]) -> M:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BadParameter(f"{name[:80]} cannot be used: {first['msg']}.") from None


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(
        f"The recording is over {MOST_AUDIO_BYTES // 1_000_000} MB. Make it shorter, or pack it "
        "as MP3, Ogg or WebM."
    )


_WISHES: dict[str, Any] = {
    "propose": {
        "type": "boolean",
        "default": False,
        "description": "Make a command that it is an instruction, which waits for confirmation.",
    },
    "confirm_spend": {"type": "boolean", "default": False},
    "max_spend_usd": {"type": "string", "description": "Dollars, such as 0.50."},
}


def _schema(name: str, sound: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "required": [name],
            "additionalProperties": False,
            "properties": {name: sound, **_WISHES},
        }
    }


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _schema(
                "file",
                {
                    "type": "string",
                    "contentMediaType": "application/octet-stream",
                    "description": "WAV, MP3, Ogg, WebM, M4A or FLAC; told by its content.",
                },
            ),
            "application/json": _schema(
                "audio_base64", {"type": "string", "contentEncoding": "base64"}
            ),
        },
    }
}
