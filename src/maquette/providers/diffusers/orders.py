"""A request as the order that the model's process takes, with everything decided."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import cast

from maquette.core.requests import ImageRequest, Option
from maquette.providers.diffusers import checks, sizes
from maquette.providers.diffusers.config import DiffusersConfig
from maquette.providers.diffusers.folder import LocalModel
from maquette.providers.diffusers.messages import Order, Task

_SEEDS = 2**32


@dataclass(frozen=True)
class Asked:
    """What is really asked for, and what differs from the request."""

    order: Order
    effective: ImageRequest
    clamped: tuple[str, ...]


def ask(
    model: LocalModel,
    request: ImageRequest,
    config: DiffusersConfig,
    *,
    init: bytes | None,
    mask: bytes | None,
) -> Asked:
    """Decide what the request left open, and write all of it down."""
    options = checks.read_options(model, request)
    guidance = model.family.guidance if options.guidance is None else options.guidance
    steps = options.steps or config.steps
    strength = checks.strength_of(request, options)
    seed = secrets.randbelow(_SEEDS) if request.seed is None else request.seed
    (width_px, height_px), clamped = made_size(model, request)
    order = Order(
        folder=str(model.folder),
        stamp=model.stamp,
        variant=model.variant,
        half=model.family.half,
        device=config.device,
        dtype=config.dtype,
        threads=config.threads,
        task=cast("Task", request.mode),
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width_px=width_px,
        height_px=height_px,
        steps=steps,
        guidance=guidance,
        strength=strength,
        seed=seed,
        preview_every_steps=config.preview_every_steps,
        init=init,
        mask=mask,
    )
    said: dict[str, Option] = {"steps": steps, "guidance": guidance}
    if request.mode != "generate":
        said["strength"] = strength
    changes = {"size": (width_px, height_px), "seed": seed, "options": said}
    return Asked(order, request.model_copy(update=changes), clamped)


def made_size(model: LocalModel, request: ImageRequest) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Return what a size comes to, and a note where that is not what was said."""
    if isinstance(request.size, tuple):
        return request.size, ()
    given = request.by_role("init")
    if not given:
        square = (model.native_px, model.native_px)
        return sizes.nearest(square, model.multiple_px), ()
    source = (given[0].width_px, given[0].height_px)
    if request.size == "auto":
        return sizes.of_area(source, model.native_px, model.multiple_px), ()
    made = sizes.nearest(source, model.multiple_px)
    if made == source:
        return made, ()
    note = (
        f"the source has {source[0]}x{source[1]} px and was scaled to {made[0]}x{made[1]}, the "
        f"nearest that {model.id!r} makes"
    )
    return made, (note,)
