"""What runs inside a worker process for masks: reading one, and putting an original back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maquette.core.errors import BadParameter, InvalidInput
from maquette.core.masks import Adjust, Polarity
from maquette.core.requests import Size
from maquette.jobs.pixelwork import Facts

Wide = tuple[int, int]
"""(width_px, height_px)"""

Fit = Literal["source", "model"]
"""Whose size a composite has."""

_SAME_SHAPE = 0.01
"""How far two proportions may differ and still be those of one picture."""

_PAINT: dict[Polarity, str] = {
    "transparent": "make transparent what is to be edited",
    "opaque": "paint what is to be edited, and leave the rest transparent",
    "white": "paint white what is to be edited, and black the rest",
}


@dataclass(frozen=True)
class MaskCall:
    """A mask as somebody sent it, and what is to become of it."""

    data: bytes
    polarity: Polarity
    size: Wide
    adjust: Adjust
    name: str = "the mask"


@dataclass(frozen=True)
class MadeMask:
    """A mask as it is kept: a PNG of one channel, 255 = edit."""

    data: bytes
    facts: Facts
    coverage: float


def read_mask(call: MaskCall) -> MadeMask:
    """Decode, check, adjust and encode a mask; raise what is wrong with it."""
    from maquette.imaging import codec, png  # noqa: PLC0415 - pixels load only in workers
    from maquette.pixels import mask  # noqa: PLC0415 - as above

    pixels = codec.decode(call.data, name=call.name).pixels
    has = (pixels.shape[1], pixels.shape[0])
    if has != call.size:
        raise BadParameter(
            f"The mask has {has[0]}x{has[1]} px and the picture {call.size[0]}x{call.size[1]}; "
            "draw it at the picture's own size."
        )
    read = mask.read(pixels, call.polarity)
    if not read.any() and not call.adjust.invert:
        raise BadParameter(f"The mask marks nothing: {_PAINT[call.polarity]}.")
    marks = mask.adjusted(read, call.adjust)
    if not marks.any():
        why = "it was inverted" if not call.adjust.shrink_px else "it was shrunk"
        raise BadParameter(f"The mask marks nothing once {why}; adjust it less, or mark more.")
    facts = Facts("image/png", *has, has_alpha=False)
    return MadeMask(png.write(marks), facts, mask.coverage(marks))


@dataclass(frozen=True)
class CompositeCall:
    """A model's picture, and the original that is put back outside the mask."""

    original: bytes
    made: bytes
    mask: bytes
    asked: Size
    feather_px: float


@dataclass(frozen=True)
class Composite:
    """The new picture, or why there is none."""

    data: bytes | None = None
    facts: Facts | None = None
    fit: Fit = "source"
    drift: float = 0.0
    source_px: Wide = (0, 0)
    made_px: Wide = (0, 0)
    losses: tuple[str, ...] = ()

    @property
    def resized(self) -> bool:
        return self.source_px != self.made_px

    @property
    def stretched(self) -> bool:
        return not _same_shape(self.source_px, self.made_px)


def put_back(call: CompositeCall) -> Composite:
    """Put the original back outside the mask, in the size that was asked for."""
    from maquette.imaging import codec, png  # noqa: PLC0415 - pixels load only in workers
    from maquette.pixels import mask, resample, restore  # noqa: PLC0415 - as above

    try:
        made = codec.decode(call.made, name="the model's picture").pixels
    except InvalidInput:
        return Composite()
    source = codec.decode(call.original, name="the original")
    original = source.pixels
    marks = codec.decode(call.mask, name="the mask").pixels[..., 0].copy()
    source_px, made_px = _size(original.shape), _size(made.shape)
    fit = fitted(call.asked, source_px, made_px)
    if fit is None:
        return Composite(source_px=source_px, made_px=made_px)
    feather_px = call.feather_px
    if fit == "source":
        made = resample.resize(made, width_px=source_px[0], height_px=source_px[1])
    else:
        original = resample.resize(original, width_px=made_px[0], height_px=made_px[1])
        marks = mask.resized(marks, width_px=made_px[0], height_px=made_px[1])
        feather_px *= made_px[0] / source_px[0]
    restored = restore.outside(original, made, marks, feather_px=feather_px)
    pixels = restored.pixels
    facts = Facts("image/png", *_size(pixels.shape), has_alpha=pixels.shape[2] == 4)
    return Composite(
        png.write(pixels), facts, fit, restored.drift, source_px, made_px, source.losses
    )


def fitted(asked: Size, source: Wide, made: Wide) -> Fit | None:
    """Say whose size a composite has; None: the two pictures do not lie over each other.

    Where nobody asked for another size, that is the source's, so that it is exact outside the
    mask. Another size of the same shape is what was wanted.
    """
    if asked in ("auto", "source", source) or made == source:
        return "source"
    return "model" if _same_shape(source, made) else None


def _same_shape(one: Wide, other: Wide) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= _SAME_SHAPE


def _size(shape: tuple[int, ...]) -> Wide:
    return shape[1], shape[0]
