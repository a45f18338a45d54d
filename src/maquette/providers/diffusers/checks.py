"""What is refused before a model is loaded."""

from __future__ import annotations

from typing import NoReturn

from pydantic import ValidationError

from maquette.core.errors import CapabilityMissing
from maquette.core.requests import ImageRequest
from maquette.providers.diffusers import sizes
from maquette.providers.diffusers.folder import LocalModel
from maquette.providers.diffusers.profiles import DEFAULT_STRENGTH, StepOptions, StrengthOptions


def check(model: LocalModel, request: ImageRequest, default_steps: int) -> None:
    """Raise `CapabilityMissing` for what the model cannot do."""
    if request.mode not in model.modes:
        can = ", ".join(sorted(model.modes))
        _refuse(model, f"does not support {request.mode!r} (it does: {can})", "choose another")
    if request.count > 1:
        _refuse(model, "makes one picture a call", "ask for several candidates instead")
    options = read_options(model, request)
    _pictures(model, request)
    _size(model, request)
    _words(model, request, options)
    _strength(model, request, options, default_steps)


def read_options(model: LocalModel, request: ImageRequest) -> StrengthOptions:
    """Return the options of a request; one that the model does not have is refused."""
    edits = request.mode != "generate"
    kind = StrengthOptions if edits else StepOptions
    try:
        found = kind.model_validate(request.options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "options"
        why = first["msg"]
        if name == "strength" and not edits:
            why = "it is for editing only"
        _refuse(model, f"does not take {name!r} so: {why}", "change or leave it out")
    return StrengthOptions.model_validate(found.model_dump())


def strength_of(request: ImageRequest, options: StrengthOptions) -> float:
    """Return how much of the picture is made anew."""
    if options.strength is not None:
        return options.strength
    return DEFAULT_STRENGTH.get(request.mode, 1.0)


def _words(model: LocalModel, request: ImageRequest, options: StrengthOptions) -> None:
    if not request.negative_prompt:
        return
    if not model.family.negative_prompt:
        _refuse(model, "takes no negative prompt", "say it in the prompt")
    guidance = model.family.guidance if options.guidance is None else options.guidance
    if guidance <= 1:
        _refuse(
            model,
            f"ignores a negative prompt at a guidance of {guidance:g}",
            "raise it above 1, or leave the negative prompt out",
        )


def _strength(
    model: LocalModel, request: ImageRequest, options: StrengthOptions, default_steps: int
) -> None:
    if request.mode == "generate":
        return
    steps = options.steps or default_steps
    strength = strength_of(request, options)
    # diffusers takes this share of the steps, rounded down.
    if int(steps * strength) < 1:
        _refuse(
            model,
            f"has no step left of {steps} at a strength of {strength:g}",
            "raise the strength or the steps",
        )


def _pictures(model: LocalModel, request: ImageRequest) -> None:
    inits, masks = request.by_role("init"), request.by_role("mask")
    if request.by_role("reference"):
        _refuse(model, "takes no reference pictures", "leave them out")
    if request.mode == "generate":
        if request.inputs:
            _refuse(model, "generates from words alone", "use the mode 'edit' with a picture")
        return
    if len(inits) != 1:
        _refuse(model, f"needs one picture for {request.mode!r}, not {len(inits)}", "give one")
    if request.mode == "edit":
        if masks:
            _refuse(model, "edits without a mask", "use the mode 'inpaint' with one")
        return
    if len(masks) != 1:
        _refuse(model, f"needs one mask for 'inpaint', not {len(masks)}", "give one")
    mask, init = masks[0], inits[0]
    if (mask.width_px, mask.height_px) != (init.width_px, init.height_px):
        _refuse(
            model,
            f"needs a mask of the picture's {init.width_px}x{init.height_px} px, not "
            f"{mask.width_px}x{mask.height_px}",
            "give one of that size",
        )


def _size(model: LocalModel, request: ImageRequest) -> None:
    if request.size == "source" and not request.by_role("init"):
        _refuse(model, "has no source picture whose size it could take", "give a size or 'auto'")
    if isinstance(request.size, tuple) and not sizes.allowed(request.size, model.multiple_px):
        near = sizes.nearest(request.size, model.multiple_px)
        asked = f"{request.size[0]}x{request.size[1]}"
        _refuse(
            model,
            f"makes multiples of {model.multiple_px} px from {sizes.SMALLEST_PX} px on, up to "
            f"{sizes.MOST_PIXELS} pixels, not {asked}",
            f"the nearest is {near[0]}x{near[1]}",
        )


def _refuse(model: LocalModel, what: str, way_out: str) -> NoReturn:
    raise CapabilityMissing(f"{model.id!r} {what}, so nothing was made; {way_out}.")
