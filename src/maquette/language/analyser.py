"""The embedded describer: it measures a picture, and knows nothing of what is to be seen in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from maquette.core.language import EMBEDDED, Compute, Described, PictureDescriber
from maquette.core.requests import Encoded
from maquette.core.scene import Box, Camera, Lighting, Measured, Region, Scene, Subject, Swatch
from maquette.imaging import codec
from maquette.language import exif
from maquette.language.pictures import flattened
from maquette.pixels import describe, palette

P = ParamSpec("P")
R = TypeVar("R")

_LEAST_TRUST: Final = 0.2
"""Of the words at all: colours and light are right, but no thing is named."""
_SUBJECT_TRUST: Final = 0.3
"""What a subject that is certainly found adds."""
_TELLING: Final = 0.08
"""The least share of a colour that is told in words."""
_SURE_OF_LIGHT: Final = 0.5


async def in_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` in a thread: for tests, and where there are no worker processes."""
    return await asyncio.to_thread(work, *args, **kwargs)


class EmbeddedDescriber(PictureDescriber):
    """Describes a picture by its colours, light and arrangement.

    `compute` should run in a worker process: a hostile file or a bomb then fails this call alone.
    """

    embedded = True

    def __init__(self, compute: Compute = in_thread) -> None:
        self._compute = compute

    async def describe(self, picture: Encoded) -> Described:
        return await self._compute(analysed, picture.data)


def analysed(data: bytes) -> Described:
    """Describe a picture file; raise `UnsupportedImage` or `ImageTooLarge`."""
    pixels, opaque, measured = _measured(data)
    subject = next((one for one in measured.regions if one.kind == "subject"), None)
    trust = 0.0 if subject is None else subject.measure
    return Described(
        scene=_scene(flattened(pixels), opaque, measured, subject),
        source=EMBEDDED,
        embedded=True,
        confidence=_LEAST_TRUST + _SUBJECT_TRUST * trust,
        measured=measured,
    )


def measure(data: bytes) -> Measured:
    """Measure a picture file; raise `UnsupportedImage` or `ImageTooLarge`."""
    return _measured(data)[2]


def _measured(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None, Measured]:
    """Return the pixels, where they are opaque if not everywhere, and what was measured."""
    decoded = codec.decode(data)
    shown = flattened(decoded.pixels)
    opaque = _opaque(decoded.pixels)
    # What cannot be seen has no say in the colours.
    coloured = shown if opaque is None else shown[opaque].reshape(1, -1, 3)
    regions = describe.regions(shown)
    if opaque is not None:
        regions = (_cut_out(opaque), *(one for one in regions if one.kind != "subject"))
    subject = next((one.box for one in regions if one.kind == "subject"), None)
    return (
        decoded.pixels,
        opaque,
        Measured(
            width_px=decoded.header.width_px,
            height_px=decoded.header.height_px,
            media_type=decoded.header.media_type,
            monochrome=palette.monochrome(coloured),
            palette=palette.palette(coloured),
            light=describe.light(shown),
            composition=describe.composition(shown, subject),
            regions=regions,
            exif=exif.read(data),
        ),
    )


def _opaque(pixels: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Return where a cut-out picture is opaque; None where all or nothing is."""
    if pixels.shape[2] != 4:
        return None
    mask = np.asarray(pixels[..., 3] > 127)
    return mask if mask.any() and not mask.all() else None


def _cut_out(opaque: NDArray[np.bool_]) -> Region:
    """Return the subject that transparency has cut out already."""
    box = describe.box_of(opaque)
    where = describe.place_of((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    return Region(kind="subject", where=where, box=box, measure=1.0)


def _scene(
    shown: NDArray[np.uint8],
    opaque: NDArray[np.bool_] | None,
    measured: Measured,
    subject: Region | None,
) -> Scene:
    light, camera = measured.light, measured.exif
    sure = light.direction != "even" and light.direction_confidence >= _SURE_OF_LIGHT
    main, around = _subject(shown, opaque, measured, subject)
    calm = [one.where for one in measured.regions if one.kind == "calm"]
    tone = {"low": "Dark", "middle": "Balanced", "high": "Bright"}[light.key]
    return Scene(
        title=f"{tone} picture in {_names(measured.palette[:2])}",
        subjects=(main,),
        setting=around,
        lighting=Lighting(
            description=f"{light.key} key, {light.contrast} contrast, {light.temperature} light"
            if light.temperature != "neutral"
            else f"{light.key} key, {light.contrast} contrast",
            direction=light.direction if sure else "",
        ),
        style="monochrome" if measured.monochrome else "",
        composition=_composition(measured),
        camera=Camera(
            lens=camera.get("focal_length_35mm", camera.get("focal_length", "")),
            focus=camera.get("aperture", ""),
        ),
        palette=tuple(dict.fromkeys(one.colour for one in measured.palette)),
        details=(f"calm, open areas: {', '.join(calm)}",) if calm else (),
    )


def _subject(
    shown: NDArray[np.uint8],
    opaque: NDArray[np.bool_] | None,
    measured: Measured,
    subject: Region | None,
) -> tuple[Subject, str]:
    """Return the subject by colour and place, and the same of what lies around it."""
    if subject is None:
        colours = _names(_told(measured.palette))
        return Subject(name="the picture as a whole", description=f"mostly {colours}"), ""
    if opaque is not None:
        inside = measured.palette
        around = "cut out, without a background"
    else:
        within = _inside(shown.shape[0], shown.shape[1], subject.box)
        inside = palette.palette(shown[within].reshape(1, -1, 3), count=3)
        outside = shown[~within].reshape(1, -1, 3)
        around = (
            f"background mostly {_names(_told(palette.palette(outside, count=3)))}"
            if outside.size
            else ""
        )
    main = Subject(
        name="the main subject",
        description=f"mostly {_names(_told(inside))}",
        placement=subject.where,
        scale=round(subject.box.bottom - subject.box.top, 2),
    )
    return main, around


def _inside(rows: int, columns: int, box: Box) -> NDArray[np.bool_]:
    mask = np.zeros((rows, columns), bool)
    down, right = slice(int(box.top * rows), None), slice(int(box.left * columns), None)
    mask[down, right] = True
    mask[max(int(box.top * rows) + 1, round(box.bottom * rows)) :] = False
    mask[:, max(int(box.left * columns) + 1, round(box.right * columns)) :] = False
    return mask


def _composition(measured: Measured) -> str:
    arranged = measured.composition
    parts = [arranged.aspect, arranged.layout]
    if arranged.symmetry > 0.8:
        parts.append("nearly symmetrical")
    if arranged.horizon is not None:
        parts.append(f"a level line at {arranged.horizon:.0%} of the height from the top")
    return ", ".join(parts)


def _told(swatches: Sequence[Swatch]) -> list[Swatch]:
    return [one for one in swatches if one.share >= _TELLING][:3] or list(swatches[:1])


def _names(swatches: Sequence[Swatch]) -> str:
    names = list(dict.fromkeys(one.name for one in swatches))
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
