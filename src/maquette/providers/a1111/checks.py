"""What is refused before anything is sent."""

from __future__ import annotations

from typing import NoReturn

from pydantic import ValidationError

from maquette.core.errors import CapabilityMissing
from maquette.core.requests import ImageRequest, ModelProfile
from maquette.providers.a1111.profiles import (
    CUTTING_DEFAULTS,
    EDIT_DEFAULTS,
    MASK_DEFAULTS,
    Options,
)
from maquette.providers.a1111.sizes import allowed, nearest


def check(profile: ModelProfile, request: ImageRequest) -> None:
    """Raise `CapabilityMissing` for what the server cannot do, or could only leave out."""
    if request.mode not in profile.modes:
        _refuse(profile, f"does not support {request.mode!r}", "choose another model")
    if request.count > profile.max_count:
        _refuse(profile, f"makes at most {profile.max_count} pictures a call", "ask for fewer")
    _pictures(profile, request)
    _options(profile, request)
    _size(profile, request)


def _pictures(profile: ModelProfile, request: ImageRequest) -> None:
    sources, masks = request.by_role("init"), request.by_role("mask")
    if request.by_role("reference"):
        _refuse(profile, "takes no reference pictures", "leave them out")
    if request.mode == "generate":
        if request.inputs:
            _refuse(profile, "generates from words alone", "use the mode 'edit' with a picture")
        return
    if len(sources) != 1:
        _refuse(profile, f"needs one picture for {request.mode!r}", "give just one")
    if len(masks) > 1:
        _refuse(profile, "takes one mask", "give it once")
    if request.mode == "inpaint" and not masks:
        _refuse(profile, "needs a mask for 'inpaint'", "give one")
    for mask in masks:
        given = (mask.width_px, mask.height_px)
        wanted = (sources[0].width_px, sources[0].height_px)
        if given != wanted:
            _refuse(
                profile,
                f"needs a mask of the picture's size, {wanted[0]}x{wanted[1]}, not "
                f"{given[0]}x{given[1]}",
                "draw it on the picture itself",
            )


def _options(profile: ModelProfile, request: ImageRequest) -> None:
    try:
        options = Options.model_validate(request.options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "options"
        _refuse(profile, f"does not take {name!r} so: {first['msg']}", "change or leave it out")
    given = options.model_dump(exclude_none=True)
    unfit = {
        "for editing only": () if request.mode != "generate" else tuple(EDIT_DEFAULTS),
        "with a mask only": () if request.by_role("mask") else tuple(MASK_DEFAULTS),
        "with 'inpaint_full_res' only": () if options.inpaint_full_res else tuple(CUTTING_DEFAULTS),
    }
    for when, names in unfit.items():
        for name in names:
            if name in given:
                _refuse(profile, f"takes {name!r} {when}", "leave it out")


def _size(profile: ModelProfile, request: ImageRequest) -> None:
    if request.size == "source" and not request.by_role("init"):
        _refuse(profile, "has no source picture whose size it could take", "give a size or 'auto'")
    if isinstance(request.size, tuple) and not allowed(request.size):
        near = nearest(request.size)
        asked = f"{request.size[0]}x{request.size[1]}"
        _refuse(profile, f"does not make {asked}", f"the nearest it makes is {near[0]}x{near[1]}")


def _refuse(profile: ModelProfile, what: str, way_out: str) -> NoReturn:
    raise CapabilityMissing(f"{profile.id!r} {what}, so nothing was sent; {way_out}.")
