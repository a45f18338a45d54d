"""What is refused before anything is sent."""

from __future__ import annotations

from datetime import date
from typing import NoReturn

from pydantic import ValidationError

from maquette.core.errors import CapabilityMissing
from maquette.core.requests import ImageRequest, Input
from maquette.providers.openai.profiles import OPTIONS, ModelEntry
from maquette.providers.openai.sizes import allowed, nearest

LONGEST_PROMPT = 32_000
MOST_IMAGE_BYTES = 50_000_000
READABLE = frozenset({"image/png", "image/jpeg", "image/webp"})


def check(entry: ModelEntry, request: ImageRequest, today: date) -> None:
    """Raise `CapabilityMissing` for what the model cannot do."""
    _living(entry, today)
    if request.mode not in entry.modes:
        _refuse(entry, f"does not support {request.mode!r}", "choose another model")
    if request.count > entry.max_count:
        _refuse(entry, f"makes at most {entry.max_count} pictures a call", "ask for fewer")
    if request.seed is not None:
        _refuse(entry, "takes no seed", "leave it out")
    if request.negative_prompt:
        _refuse(entry, "takes no negative prompt", "say it in the prompt")
    if not request.prompt.strip():
        _refuse(entry, "needs a prompt", "give one")
    if len(request.prompt) > LONGEST_PROMPT:
        _refuse(entry, f"reads at most {LONGEST_PROMPT} characters of prompt", "shorten it")
    _options(entry, request)
    _pictures(entry, request)
    _size(entry, request)


def _living(entry: ModelEntry, today: date) -> None:
    if entry.shutdown is not None and today >= entry.shutdown:
        raise CapabilityMissing(
            f"{entry.id!r} was shut down on {entry.shutdown:%Y-%m-%d}, so nothing was sent; use "
            f"{entry.successor!r} instead."
        )


def _options(entry: ModelEntry, request: ImageRequest) -> None:
    try:
        OPTIONS[entry.options].model_validate(request.options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "options"
        _refuse(entry, f"does not take {name!r} so: {first['msg']}", "change or leave it out")
    if request.mode != "generate" and request.options.get("moderation") is not None:
        _refuse(entry, "takes 'moderation' for generating only", "leave it out")
    if request.mode == "generate" and request.options.get("input_fidelity") is not None:
        _refuse(entry, "takes 'input_fidelity' for editing only", "leave it out")


def _pictures(entry: ModelEntry, request: ImageRequest) -> None:
    masks = request.by_role("mask")
    pictures = (*request.by_role("init"), *request.by_role("reference"))
    if request.mode == "generate":
        if request.inputs:
            _refuse(entry, "generates from words alone", "use the mode 'edit' with pictures")
        return
    if not pictures:
        _refuse(entry, f"needs a picture for {request.mode!r}", "give one")
    if len(pictures) > entry.max_images:
        _refuse(entry, f"takes at most {entry.max_images} pictures", "give fewer references")
    if len(masks) > 1 or (masks and not request.by_role("init")):
        _refuse(entry, "takes one mask, for the picture that is edited", "give both, once")
    if request.mode == "inpaint" and not masks:
        _refuse(entry, "needs a mask for 'inpaint'", "give one")
    for picture in pictures:
        _readable(entry, picture)


def _readable(entry: ModelEntry, picture: Input) -> None:
    if picture.media_type not in READABLE:
        _refuse(entry, f"reads PNG, JPEG and WebP, not {picture.media_type}", "convert it")
    if picture.size_bytes >= MOST_IMAGE_BYTES:
        _refuse(entry, "reads pictures below 50 MB", f"make {picture.name!r} smaller")


def _size(entry: ModelEntry, request: ImageRequest) -> None:
    if request.size == "source" and not request.by_role("init"):
        _refuse(entry, "has no source picture whose size it could take", "give a size or 'auto'")
    if isinstance(request.size, tuple) and not allowed(entry.sizes, request.size):
        near = nearest(entry.sizes, request.size)
        asked = f"{request.size[0]}x{request.size[1]}"
        _refuse(entry, f"does not make {asked}", f"the nearest it makes is {near[0]}x{near[1]}")


def _refuse(entry: ModelEntry, what: str, way_out: str) -> NoReturn:
    raise CapabilityMissing(f"{entry.id!r} {what}, so nothing was sent; {way_out}.")
