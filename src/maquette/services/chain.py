"""The post chain of a plan: backends that nobody chose are chosen here, and all are checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from maquette.core.errors import CapabilityMissing
from maquette.core.operation import Kind
from maquette.core.pipeline import BackgroundStep, ColourStep, PostChain, UpscaleStep
from maquette.services.studio import Studio

Step = BackgroundStep | UpscaleStep | ColourStep


def resolved(studio: Studio, post: PostChain) -> PostChain:
    """Name every backend, and raise what is missing or wrong before any work."""
    changes: dict[str, object] = {}
    if post.background is not None:
        backends = post.background.backends or (default_backend(studio, "background"),)
        for backend in backends:
            check_operation(studio, f"background.{backend}", {})
        changes["background"] = post.background.model_copy(update={"backends": backends})
    if post.upscale is not None:
        backend = post.upscale.backend or default_backend(studio, "upscale")
        check_operation(studio, f"upscale.{backend}", {"scale": post.upscale.scale})
        changes["upscale"] = post.upscale.model_copy(update={"backend": backend})
    if post.colour is not None:
        check_operation(studio, "colour.lut", post.colour.model_dump())
    return post.model_copy(update=changes)


def resolved_step(studio: Studio, step: Step) -> Step:
    """Do the same for a step that stands alone."""
    if isinstance(step, BackgroundStep):
        return resolved(studio, PostChain(background=step)).background or step
    if isinstance(step, UpscaleStep):
        return resolved(studio, PostChain(upscale=step)).upscale or step
    return resolved(studio, PostChain(colour=step)).colour or step


def default_backend(studio: Studio, kind: Kind) -> str:
    """Return the preferred backend among those that are installed and configured."""
    operations = (studio.shop.operations.get(name) for name in studio.shop.operations)
    ready = [
        one
        for one in operations
        if one and one.kind == kind and one.missing(studio.shop.weights) is None
    ]
    if not ready:
        raise CapabilityMissing(
            f"No {kind} backend is ready. `maquette doctor` says what is missing."
        )
    return min(ready, key=lambda one: (one.preference, one.id)).backend


def check_operation(studio: Studio, operation_id: str, params: Mapping[str, object]) -> None:
    """Raise what is wrong with an operation's name, state or parameters."""
    operation = studio.shop.operations[operation_id]
    missing = operation.missing(studio.shop.weights)
    if missing is not None:
        raise CapabilityMissing(f"{operation_id!r} is not ready: {missing}")
    params = dict(params)
    checked = operation.params.model_validate(params)
    if operation.resolve is not None:
        operation.resolve(checked, studio.shop.weights)


def notes(studio: Studio, posts: Iterable[PostChain]) -> list[str]:
    """Say which backends a plan will use, and what it leaves out."""
    chains = list(posts)
    told: list[str] = []
    for backends in sorted({one.background.backends for one in chains if one.background}):
        titles = [studio.shop.operations[f"background.{name}"].title for name in backends]
        named = (f"{name} ({title})" for name, title in zip(backends, titles, strict=True))
        told.append(f"background removal: {' then '.join(named)}.")
    if told:
        why = "this version has none" if _edits_with_a_model(studio) else "no edit model is ready"
        told.append(f"refine pass left out: {why}.")
    upscalers = {one.upscale.backend for one in chains if one.upscale}
    titles = {name: studio.shop.operations[f"upscale.{name}"].title for name in upscalers}
    return told + [f"upscale: {name} ({title})." for name, title in sorted(titles.items())]


def _edits_with_a_model(studio: Studio) -> bool:
    providers = (studio.shop.providers[name] for name in studio.shop.providers)
    return any(
        "edit" in model.modes and not model.proof
        for provider in providers
        if provider.missing() is None
        for model in provider.models()
    )
