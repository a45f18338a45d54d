"""The wire format, purely: what is sent, and what an answer says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from maquette.core.errors import BadProviderReply, ImageTooLarge, InvalidInput
from maquette.core.findings import Finding
from maquette.core.requests import Encoded, ImageRequest, Input
from maquette.imaging import codec, peek

PATH = "/v1/segment"
FIELDS: Mapping[str, str] = MappingProxyType(
    {"format": "png", "channels": "rgba", "size": "full", "crop": "false"}
)
"""Always these: the result has to have the source's size, and an alpha channel."""
SCORE = "x-uncertainty-score"
KEPT = ("content-type", SCORE)
"""The headers that are kept with an answer."""
_NOT_SCORED = "not scored"


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
            f"Photoroom's answer ({len(body)} bytes, kept) is {what}, not a picture; perhaps "
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


def uncertainty(headers: Mapping[str, str]) -> float | None:
    """Read the score, 0 to 1; None where there is none, as for people (-1)."""
    text = headers.get(SCORE, "").strip()
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{0,30})?([eE]-[0-9]{1,3})?", text):
        return None
    score = float(text)
    return score if score <= 1 else None


def scored(headers: Mapping[str, str]) -> dict[str, str]:
    """Say what the service thinks of its cutout, where it says anything."""
    if SCORE not in headers:
        return {}
    score = uncertainty(headers)
    return {"uncertainty": _NOT_SCORED if score is None else f"{score:g}"}


def findings(score: float | None, limit: float) -> tuple[Finding, ...]:
    """Return the finding that a doubtful cutout brings."""
    if score is None or score <= limit:
        return ()
    message = (
        f"Photoroom is unsure of this cutout: uncertainty {score:.2f} of 1, and the limit is "
        f"{limit:g}. Check the edges, or use another backend."
    )
    return (
        Finding(
            code="doubtful_cutout", severity="soft", message=message, measured=score, limit=limit
        ),
    )
