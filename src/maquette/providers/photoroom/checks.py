"""What is refused before anything is sent."""

from __future__ import annotations

from typing import NoReturn

from maquette.core.errors import CapabilityMissing
from maquette.core.requests import ImageRequest, Input
from maquette.imaging import peek

MODEL = "segment"
READABLE = frozenset({"image/png", "image/jpeg", "image/webp"})
MOST_IMAGE_BYTES = 50_000_000
"""With the longest side as its page "File size, resolution and format" has them."""
LONGEST_PX = 6000


def check(request: ImageRequest) -> None:
    """Raise `CapabilityMissing` for what the service cannot do, or could only leave out."""
    if request.model != MODEL:
        _refuse(f"has no model {request.model!r}", f"it has {MODEL!r}")
    if request.mode != "cutout":
        _refuse(f"does not support {request.mode!r}", "it only cuts out")
    if request.count != 1:
        _refuse("makes one picture a call", "ask for one")
    if request.seed is not None:
        _refuse("takes no seed", "leave it out")
    if request.prompt.strip() or request.negative_prompt.strip():
        _refuse("reads no prompt", "leave it out")
    if request.options:
        _refuse(f"takes no option {next(iter(request.options))!r}", "leave it out")
    source = _source(request)
    if request.size not in ("auto", "source", (source.width_px, source.height_px)):
        _refuse("returns the size of the source", "ask for the size 'source'")
    _readable(source)


def check_bytes(data: bytes) -> None:
    """Raise `CapabilityMissing` where a file is not what its entry says."""
    kind = peek.format_of(data[: peek.HEAD_BYTES])
    if kind is None or f"image/{kind}" not in READABLE or len(data) > MOST_IMAGE_BYTES:
        _refuse("cannot read the stored picture", "import it again as PNG, JPEG or WebP")


def _source(request: ImageRequest) -> Input:
    given = request.by_role("init")
    if len(given) != 1 or len(request.inputs) != 1:
        _refuse("cuts out exactly one picture, without mask or reference", "give just one picture")
    return given[0]


def _readable(source: Input) -> None:
    if source.media_type not in READABLE:
        _refuse(f"reads PNG, JPEG and WebP, not {source.media_type!r}", "convert the picture")
    if source.size_bytes > MOST_IMAGE_BYTES:
        _refuse("reads pictures up to 50 MB", f"make {source.name or 'the picture'!r} smaller")
    if max(source.width_px, source.height_px) > LONGEST_PX:
        sides = f"{source.width_px}x{source.height_px} px"
        _refuse(f"reads at most {LONGEST_PX} px a side, not {sides}", "scale the picture down")


def _refuse(what: str, way_out: str) -> NoReturn:
    raise CapabilityMissing(f"Photoroom {what}, so nothing was sent; {way_out}.")
