"""The wire format, purely: what a request becomes, and what a reply's bytes say."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from maquette.core.errors import BadProviderReply
from maquette.core.requests import Encoded, ImageRequest, Option
from maquette.imaging import peek
from maquette.providers.openai.pricing import Usage
from maquette.providers.openai.profiles import OPTIONS, ModelEntry
from maquette.providers.openai.sizes import Wide, nearest


@dataclass(frozen=True)
class Asked:
    """A request in the words of the API, without its pictures."""

    edits: bool
    """The endpoint: edits, or generations."""
    params: Mapping[str, Any]
    streamed: bool
    effective: ImageRequest
    clamped: tuple[str, ...]


def ask(entry: ModelEntry, request: ImageRequest) -> Asked:
    """Fill in the defaults and bring the request within the model's limits."""
    size, notes = sent_size(entry, request)
    options = sent_options(entry, request)
    partials = int(options.get("partial_images", 0))
    if partials and request.count > 1:
        notes.append(f"partial_images: {partials} → 0, a call for several pictures is not streamed")
        del options["partial_images"]
        partials = 0
    params: dict[str, Any] = {
        "model": request.model,
        "prompt": request.prompt,
        "n": request.count,
        "size": size if isinstance(size, str) else f"{size[0]}x{size[1]}",
        **options,
    }
    if not partials:
        params.pop("partial_images", None)
    if entry.ask_b64:
        params["response_format"] = "b64_json"
    return Asked(
        edits=request.mode != "generate",
        params=params,
        streamed=bool(partials),
        effective=request.model_copy(update={"size": size, "options": options}),
        clamped=tuple(notes),
    )


def sent_size(entry: ModelEntry, request: ImageRequest) -> tuple[str | Wide, list[str]]:
    """Return the size that goes on the wire, and what had to be changed."""
    if request.size != "source":
        return request.size, []
    source = request.by_role("init")[0]
    given = (source.width_px, source.height_px)
    size = nearest(entry.sizes, given)
    if size == given:
        return size, []
    return size, [f"size: {given[0]}x{given[1]} → {size[0]}x{size[1]}, the nearest it makes"]


def sent_options(entry: ModelEntry, request: ImageRequest) -> dict[str, Option]:
    """Return the options with their defaults; those that nobody gave are left out."""
    checked = OPTIONS[entry.options].model_validate(request.options)
    return checked.model_dump(exclude_none=True)


class ReplyPicture(BaseModel, frozen=True):
    """One picture of a reply."""

    b64_json: str | None = None
    url: str | None = None


class Reply(BaseModel, frozen=True):
    """What a reply says; a stream's last event has the picture itself instead of `data`."""

    data: tuple[ReplyPicture, ...] = ()
    b64_json: str | None = None
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None
    usage: Usage | None = None

    def pictures(self) -> list[Encoded]:
        """Return the files exactly as they were sent."""
        rows = [ReplyPicture(b64_json=self.b64_json)] if self.b64_json is not None else self.data
        return [_picture(row) for row in rows]

    def told(self) -> dict[str, str]:
        """Say what the server says about the pictures."""
        names = ("background", "output_format", "quality", "size")
        said = {name: str(value) for name in names if (value := getattr(self, name)) is not None}
        return said | (self.usage.told() if self.usage is not None else {})


def read(reply: bytes) -> Reply:
    """Parse a reply; raise `BadProviderReply` for anything that was not promised."""
    try:
        return Reply.model_validate_json(reply)
    except ValidationError:
        raise BadProviderReply(
            f"The answer ({len(reply)} bytes, kept) is not what the Images API promises; perhaps "
            "something between here and the server answered. Check base_url."
        ) from None


def decoded(text: str) -> Encoded:
    """Return the file behind base64 text, by the format that its first bytes show."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadProviderReply("A picture of the answer (kept) is not valid base64.") from None
    kind = peek.format_of(data[: peek.HEAD_BYTES])
    if kind is None:
        raise BadProviderReply(
            f"The answer (kept) holds {peek.describe_foreign(data[: peek.HEAD_BYTES])} instead of "
            "a picture."
        )
    return Encoded(data, f"image/{kind}")


def _picture(row: ReplyPicture) -> Encoded:
    if row.b64_json is None:
        raise BadProviderReply(
            "The answer (kept) holds no picture, only an address or nothing. Where the server can "
            "send pictures, set `ask_b64` in its model entry."
        )
    return decoded(row.b64_json)
