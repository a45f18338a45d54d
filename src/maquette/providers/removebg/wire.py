"""The wire format, purely: what is sent, and what an answer says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from maquette.core.errors import BadProviderReply, ImageTooLarge, InvalidInput
from maquette.core.requests import Encoded, ImageRequest, Input
from maquette.imaging import codec, peek
from maquette.providers.removebg import pricing

PATH = "/v1.0/removebg"
FIELDS: Mapping[str, str] = MappingProxyType(
    {"size": "full", "format": "png", "channels": "rgba", "crop": "false"}
)
"""Always these. Without `size` a preview of a quarter of a megapixel would come back."""
_LIMITS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
KEPT = ("content-type", pricing.CHARGED, *_LIMITS)
"""The headers that are kept with an answer."""
_LONGEST_DETAIL = 100


def upload(source: Input, data: bytes) -> tuple[str, bytes, str]:
    """Return the file part; the name of a person's file stays here."""
    return (f"picture.{source.media_type.partition('/')[2]}", data, source.media_type)


def effective(request: ImageRequest) -> ImageRequest:
    """Return what was asked for: the source's own size, in pixels."""
    for source in request.by_role("init")[:1]:
        return request.model_copy(update={"size": (source.width_px, source.height_px)})
    return request


def picture(body: bytes) -> Encoded:
    """Return the picture of an answer exactly as it came; raise `BadProviderReply` for others."""
    head = body[: peek.HEAD_BYTES]
    kind = peek.format_of(head)
    if kind is None:
        what = peek.describe_foreign(head) if body else "empty"
        raise BadProviderReply(
            f"The answer of remove.bg ({len(body)} bytes, kept) is {what}, not a picture; perhaps "
            "something between here and the service answered. Check base_url."
        )
    return Encoded(body, f"image/{kind}")


def looks(one: Encoded, request: ImageRequest) -> dict[str, str]:
    """Say how large a picture is and whether it has alpha; the guard judges, this is noted."""
    try:
        header = codec.sniff(one.data, name="the answer")
    except ImageTooLarge as error:
        return {"unexpected": str(error)}
    except InvalidInput as error:
        raise BadProviderReply(
            f"The answer (kept) is a picture that cannot be read: {error}"
        ) from None
    size = f"{header.width_px}x{header.height_px}"
    odd = [] if header.has_alpha else ["no alpha"]
    for source in request.by_role("init")[:1]:
        if (header.width_px, header.height_px) != (source.width_px, source.height_px):
            odd.insert(0, f"{size} px instead of {source.width_px}x{source.height_px}")
    told = {"size": size, "alpha": "yes" if header.has_alpha else "no"}
    return told | ({"unexpected": ", ".join(odd)} if odd else {})


def told(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what the service says about credits and its limits, in its own words."""
    names = {"credits_charged": pricing.CHARGED} | {name: name for name in _LIMITS}
    return {
        ours: headers[theirs][:_LONGEST_DETAIL]
        for ours, theirs in names.items()
        if theirs in headers
    }
