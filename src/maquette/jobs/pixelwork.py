"""What runs inside a worker process: bytes in, an operation, bytes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from maquette.core.errors import InvalidInput
from maquette.core.findings import Finding
from maquette.core.operation import Operation
from maquette.core.registry import Registry


@dataclass(frozen=True)
class Facts:
    """What can be said of encoded bytes; zero sizes where they are no picture."""

    media_type: str
    width_px: int
    height_px: int
    has_alpha: bool


UNREADABLE = Facts("application/octet-stream", 0, 0, has_alpha=False)
"""Bytes that came as a picture and are none; the guard will say so."""


@dataclass(frozen=True)
class OperationCall:
    """One operation on stored pictures."""

    operation: str
    params: Mapping[str, Any]
    inputs: Mapping[str, bytes]
    seed: int = 0
    weights: Path = Path("weights")
    text: Mapping[str, str] = field(default_factory=dict[str, str])
    """Written into the PNG, so that the file can say what made it."""


@dataclass(frozen=True)
class OperationReply:
    """The new picture, if there is one, and everything said about it."""

    data: bytes | None
    facts: Facts | None
    findings: tuple[Finding, ...]
    report: Mapping[str, float | str | None]
    losses: tuple[str, ...]


class _Work:
    def __init__(self, call: OperationCall) -> None:
        self.seed = call.seed
        self.weights = call.weights

    def progress(self, fraction: float) -> None:
        """Report nowhere: the parent only learns that the step ended."""


@cache
def _operations() -> Registry[Operation[Any]]:
    registry: Registry[Operation[Any]] = Registry("operation")
    registry.discover("maquette.operations")
    return registry


def perform(call: OperationCall) -> OperationReply:
    """Decode the inputs, apply the operation, encode its picture as PNG."""
    from maquette.core.raster import Raster  # noqa: PLC0415 - pixels load only in workers
    from maquette.imaging import codec  # noqa: PLC0415 - as above
    from maquette.imaging.apply import apply  # noqa: PLC0415 - as above

    operation = _operations()[call.operation]
    pictures = {name: codec.decode(data, name=name) for name, data in call.inputs.items()}
    rasters = {name: Raster(picture.pixels) for name, picture in pictures.items()}
    params = operation.params.model_validate(dict(call.params))
    result = apply(operation, rasters, params, _Work(call))
    losses = tuple(loss for picture in pictures.values() for loss in picture.losses)
    if result.image is None:
        return OperationReply(None, None, result.findings, dict(result.data), losses)
    image = result.image
    pixels = image.pixels[..., 0] if image.channels == 1 else image.pixels
    data = codec.encode(pixels, format="png", text=call.text)
    facts = Facts("image/png", image.width_px, image.height_px, image.has_alpha)
    return OperationReply(data, facts, result.findings, dict(result.data), losses)


def look(data: bytes, name: str) -> Facts:
    """Decode a provider's picture once, to know its size and that it is one."""
    from maquette.imaging import codec  # noqa: PLC0415 - pixels load only in workers

    try:
        header = codec.sniff(data, name=name)
        picture = codec.decode(data, name=name)
    except InvalidInput:
        return UNREADABLE
    height_px, width_px = picture.pixels.shape[:2]
    return Facts(header.media_type, width_px, height_px, picture.pixels.shape[2] == 4)


def admit(data: bytes, name: str) -> Facts:
    """Decode a person's picture; raise what is wrong with it."""
    from maquette.imaging import codec  # noqa: PLC0415 - pixels load only in workers

    header = codec.sniff(data, name=name)
    picture = codec.decode(data, name=name)
    height_px, width_px = picture.pixels.shape[:2]
    return Facts(header.media_type, width_px, height_px, picture.pixels.shape[2] == 4)


def admit_file(path: Path, name: str) -> Facts:
    """Decode a person's picture that lies in a file, which only this process then holds."""
    from maquette.imaging.files import read_file  # noqa: PLC0415 - pixels load only in workers

    return admit(read_file(path), name)


def strip_file(source: Path, target: Path, name: str) -> None:
    """Write a picture's file again without what its pixels do not need."""
    from maquette.imaging.files import read_file  # noqa: PLC0415 - pixels load only in workers
    from maquette.imaging.strip import strip  # noqa: PLC0415 - as above

    target.write_bytes(strip(read_file(source), name=name))


def convert(data: bytes, kind: str, compression: int | None, name: str) -> bytes:
    """Write a picture as PNG, JPEG or WebP; what is transparent lies on white in a JPEG."""
    import numpy as np  # noqa: PLC0415 - pixels load only in workers

    from maquette.imaging import codec  # noqa: PLC0415 - as above
    from maquette.pixels.matte import composite  # noqa: PLC0415 - as above

    pixels = codec.decode(data, name=name).pixels
    if kind == "png":
        return codec.encode(pixels, format="png")
    quality = None if compression is None else max(1, compression)
    if kind == "jpeg" and pixels.shape[2] == 4:
        white = np.full_like(pixels[..., :3], 255)
        pixels = composite(pixels[..., :3].copy(), white, pixels[..., 3].copy())
    return codec.encode(pixels, format="jpeg" if kind == "jpeg" else "webp", quality=quality)


def preview(data: bytes, side_px: int) -> bytes:
    """Shrink a picture to fit a square; raise `UnsupportedImage` where it is none."""
    from maquette.imaging import codec, thumbnails  # noqa: PLC0415 - pixels load only in workers

    return thumbnails.from_pixels(codec.decode(data).pixels, side_px=side_px)
