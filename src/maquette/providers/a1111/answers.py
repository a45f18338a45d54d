"""What an answer says, purely: the pictures, and what the server tells of them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from maquette.core.errors import BadProviderReply
from maquette.core.findings import Finding
from maquette.core.money import FREE
from maquette.core.requests import Encoded, Generated, ImageRequest
from maquette.imaging import peek
from maquette.providers.a1111.config import CURRENT, SECTION
from maquette.providers.a1111.wire import Asked

_LONGEST_DETAIL = 200
_DATA_ADDRESS = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,", re.IGNORECASE)
_FILE_ENDING = re.compile(r"\.(safetensors|ckpt|gguf|pt|pth|sft)$", re.IGNORECASE)
_HASH = re.compile(r" *\[[0-9a-f]+\]$", re.IGNORECASE)


class _Reply(BaseModel, frozen=True):
    images: tuple[str, ...]
    info: Any = None
    """JSON as text; an older stable-diffusion.cpp leaves it empty, others leave it out."""


class Info(BaseModel, frozen=True):
    """What the server says that it did."""

    seed: int | None = None
    all_seeds: tuple[int, ...] = ()
    index_of_first_image: int = Field(default=0, ge=0)
    """1 where a sheet of all the pictures comes first."""
    sd_model_name: str | None = None
    sd_model_hash: str | None = None
    sampler_name: str | None = None
    cfg_scale: float | None = None
    version: str | None = None

    def seeds(self, count: int) -> tuple[int, ...]:
        """Return the seeds of the pictures; nothing where one is missing or none at all."""
        told = self.all_seeds[:count]
        if not told and count == 1 and self.seed is not None:
            told = (self.seed,)
        return told if len(told) == count and all(0 <= one < 2**63 for one in told) else ()


def read(data: bytes, request: ImageRequest, asked: Asked) -> Generated:
    """Parse a reply; raise `BadProviderReply` for anything that was not promised."""
    try:
        reply = _Reply.model_validate_json(data)
    except ValidationError:
        raise BadProviderReply(
            f"The answer ({len(data)} bytes, kept) is not what the API promises; perhaps "
            "something else answers at base_url. Check it."
        ) from None
    info, details = _info(reply.info)
    pictures = _wanted(reply.images, info.index_of_first_image, request.count)
    seeds = info.seeds(request.count)
    clamped = list(asked.clamped)
    effective = asked.effective
    if seeds:
        if effective.seed not in (None, seeds[0]):
            clamped.append(f"seed: {effective.seed} → {seeds[0]}, as the server says")
        effective = effective.model_copy(update={"seed": seeds[0]})
    return Generated(
        images=[decoded(one) for one in pictures],
        effective=effective,
        cost=FREE,
        clamped=clamped,
        details={
            "seeds": _told(seeds, effective.seed),
            **({} if request.model == CURRENT else {"checkpoint": "the server does not tell it"}),
            **details,
        },
        findings=_other_model(info, request.model),
    )


def decoded(text: str) -> Encoded:
    """Return the file behind base64 text, by the format that its first bytes show."""
    prefix = _DATA_ADDRESS.match(text)
    try:
        data = base64.b64decode(text[prefix.end() :] if prefix else text, validate=True)
    except (binascii.Error, ValueError):
        raise BadProviderReply("A picture of the answer (kept) is not valid base64.") from None
    head = data[: peek.HEAD_BYTES]
    kind = peek.format_of(head)
    if kind is None:
        what = peek.describe_foreign(head) if data else "nothing"
        raise BadProviderReply(f"The answer (kept) holds {what} instead of a picture.")
    return Encoded(data, f"image/{kind}")


def _info(given: Any) -> tuple[Info, dict[str, str]]:
    """Read what the server tells; pictures are not thrown away for what it does not."""
    if not given:
        return Info(), {"info": "the server tells nothing about the pictures"}
    try:
        info = (
            Info.model_validate_json(given)
            if isinstance(given, str)
            else Info.model_validate(given)
        )
    except ValidationError:
        return Info(), {"info": "what the server tells about the pictures cannot be read"}
    names = {
        "checkpoint": info.sd_model_name,
        "checkpoint_hash": info.sd_model_hash,
        "sampler": info.sampler_name,
        "cfg_scale": info.cfg_scale,
        "server": info.version,
    }
    return info, {
        name: str(value)[:_LONGEST_DETAIL]
        for name, value in names.items()
        if value not in (None, "")
    }


def _wanted(images: Sequence[str], first: int, count: int) -> Sequence[str]:
    """Leave the sheet out that may come first; anything else too many or too few is refused."""
    if len(images) - first == count:
        return images[first:]
    way_out = (
        "Switch off in the server's settings what adds masks or sheets to its answers."
        if len(images) > count
        else f"Where it makes only one picture a call, set {SECTION}MAX_COUNT=1."
        if images and count > 1
        else "See what the server itself says."
    )
    raise BadProviderReply(
        f"The answer (kept) holds {len(images)} pictures, the first wanted being number "
        f"{first + 1}, instead of {count}; it cost nothing. {way_out}"
    )


def _told(seeds: Sequence[int], first: int | None) -> str:
    if seeds:
        return ", ".join(str(seed) for seed in seeds)
    if first is None:
        return "chosen by the server, which does not tell them"
    return f"counted up from {first}, unless the server chose others: it does not tell them"


def _other_model(info: Info, model: str) -> tuple[Finding, ...]:
    """Say that another checkpoint was at work: a name that the server does not know, it ignores."""
    used = info.sd_model_name
    if model == CURRENT or not used:
        return ()
    wanted, found = _plain(model), _plain(used)
    # A checkpoint of a subfolder is listed as folder_name, and told of by its name alone.
    same = wanted == found or wanted.endswith(f"_{found}") or found.endswith(f"_{wanted}")
    if same or (info.sd_model_hash and model.casefold() == info.sd_model_hash.casefold()):
        return ()
    return (
        Finding(
            code="other-model",
            severity="hard",
            message=f"The server used the checkpoint {used[:_LONGEST_DETAIL]!r} instead of "
            f"{model!r}, which it does not know; see its list, or load it there and use "
            f"{CURRENT!r}.",
        ),
    )


def _plain(name: str) -> str:
    """Return a checkpoint's name without hash, folder and file ending."""
    bare = _HASH.sub("", name.strip()).replace("\\", "/").rpartition("/")[2]
    return _FILE_ENDING.sub("", bare).casefold()
