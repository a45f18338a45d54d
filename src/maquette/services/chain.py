"""The post chain of a plan: backends that nobody chose are chosen here, and all are checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.operation import Kind
from maquette.core.pipeline import BackgroundStep, PostChain, RefineStep, UpscaleStep
from maquette.core.requests import ModelProfile, Option
from maquette.jobs import backends
from maquette.jobs.backends import Backend, Called, Computed, Step
from maquette.services.studio import Studio

_SERVICES = 500
"""Where services stand among the operations' preferences: after models, before drafts."""


@dataclass(frozen=True)
class Own:
    """What the refine pass may use: the run's own model, and whether money may be spent."""

    provider: str = ""
    profile: ModelProfile | None = None
    confirmed: bool = False
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])


@dataclass(frozen=True)
class Resolved:
    """A chain with every backend named, and what a person should know of it."""

    post: PostChain
    notes: tuple[str, ...]


def resolved(studio: Studio, post: PostChain, own: Own) -> Resolved:
    """Name every backend, and raise what is missing or wrong before any work."""
    changes: dict[str, object] = {}
    notes: list[str] = []
    if post.background is not None:
        step = _background(studio, post.background, notes)
        refine = _refine(studio, post.background.refine, own, notes)
        changes["background"] = step.model_copy(update={"refine": refine})
    if post.upscale is not None:
        changes["upscale"] = _upscale(studio, post.upscale, notes)
    if post.colour is not None:
        _checked(studio, post.colour)
    return Resolved(post.model_copy(update=changes), tuple(notes))


def check(studio: Studio, post: PostChain, done: Collection[str] = ()) -> None:
    """Raise what today's installation cannot do of a chain that was resolved before.

    Of the backends that remove a background one has to be ready.
    """
    for name, step in (("upscale", post.upscale), ("colour", post.colour)):
        if step is not None and f"post.{name}" not in done:
            _checked(studio, step)
    if post.background is None:
        return
    if "post.background" not in done:
        _background(studio, post.background, [])
    if post.background.refine.wanted and "post.refine" not in done:
        backends.refiner(studio.shop, post.background.refine.model)


def _checked(studio: Studio, step: Step) -> list[Backend]:
    return [_ready(studio, one) for one in backends.backends_of(studio.shop, step)]


def _ready(studio: Studio, backend: Backend) -> Backend:
    if isinstance(backend, Computed):
        return backends.resolve(studio.shop, backend)
    missing = studio.missing(studio.shop.providers[backend.provider])
    if missing is not None:
        raise CapabilityMissing(f"{backend.provider!r} is not ready: {missing}")
    return backend


def _background(studio: Studio, step: BackgroundStep, notes: list[str]) -> BackgroundStep:
    """Keep those backends that are ready; that the others are left out is said."""
    names = step.backends or (default_background(studio),)
    ready: list[Backend] = []
    away: list[CapabilityMissing] = []
    for name in names:
        backend = backends.background(studio.shop, name)
        try:
            ready.append(_ready(studio, backend))
        except CapabilityMissing as error:
            away.append(error)
    if not ready:
        raise CapabilityMissing(" ".join(str(error) for error in away))
    notes.extend(f"background removal without: {error}" for error in away)
    titles = " then ".join(_titled(studio, one) for one in ready)
    notes.append(f"background removal: {titles}.")
    kept = tuple(backends.named(studio.shop, one) for one in ready)
    return step.model_copy(update={"backends": kept})


def _titled(studio: Studio, backend: Backend) -> str:
    name = backends.named(studio.shop, backend)
    return f"{name} ({backends.title_of(studio.shop, backend)})"


def default_background(studio: Studio) -> str:
    """Return the preferred backend among those that are installed or configured."""
    ranked = _ranked(studio, "background")
    for name in studio.shop.providers:
        provider = studio.shop.providers[name]
        if backends.cutout_models(studio.shop, name) and studio.missing(provider) is None:
            ranked.append((_SERVICES, name))
    return _first(ranked, "background")


def _ranked(studio: Studio, kind: Kind) -> list[tuple[int, str]]:
    operations = (studio.shop.operations.get(name) for name in studio.shop.operations)
    return [
        (one.preference, one.backend)
        for one in operations
        if one and one.kind == kind and one.missing(studio.shop.weights) is None
    ]


def _first(ranked: Sequence[tuple[int, str]], kind: Kind) -> str:
    if not ranked:
        raise CapabilityMissing(
            f"No {kind} backend is ready. `maquette doctor` says what is missing."
        )
    return min(ranked)[1]


def _upscale(studio: Studio, step: UpscaleStep, notes: list[str]) -> UpscaleStep:
    chosen = step.backend or _first(_ranked(studio, "upscale"), "upscale")
    [backend] = _checked(studio, step.model_copy(update={"backend": chosen}))
    notes.append(f"upscale: {_titled(studio, backend)}.")
    return step.model_copy(update={"backend": backends.named(studio.shop, backend)})


def _refine(studio: Studio, step: RefineStep, own: Own, notes: list[str]) -> RefineStep:
    """Decide whether there is a refine pass, and with which model."""
    left_out = step.model_copy(update={"wanted": False})
    asked = step.wanted or step.required
    if step.wanted is False and not step.required:
        notes.append("refine pass left out: it is switched off.")
        return left_out
    model = step.model or _own_editor(studio, own)
    if model is None:
        why = _no_editor(studio)
        if asked:
            raise BadParameter(f"The refine pass was asked for, but {why}.")
        notes.append(f"refine pass left out: {why}.")
        return left_out
    backend, profile = backends.refiner(studio.shop, model)
    _ready(studio, backend)
    if profile.paid and not own.confirmed and not asked:
        notes.append(f"refine pass with {model} left out: it costs money, give --confirm-spend.")
        return left_out
    needed = "required" if step.required else "where it fails, the cutout stays as it was"
    notes.append(f"refine pass: {model} ({needed}).")
    options = step.options
    if model == f"{own.provider}:{own.profile.id if own.profile else ''}" and not options:
        left = ("partial_images", "output_compression")
        options = {name: value for name, value in own.options.items() if name not in left}
    return step.model_copy(update={"wanted": True, "model": model, "options": options})


def _own_editor(studio: Studio, own: Own) -> str | None:
    profile = own.profile
    if profile is None or profile.proof or "edit" not in profile.modes:
        return None
    if studio.missing(studio.shop.providers[own.provider]) is not None:
        return None
    return f"{own.provider}:{profile.id}"


def _no_editor(studio: Studio) -> str:
    """Say why no model refines by itself: money is never spent on one that nobody chose."""
    providers = (studio.shop.providers[name] for name in studio.shop.providers)
    ready = any(
        "edit" in model.modes and not model.proof
        for provider in providers
        if studio.missing(provider) is None
        for model in provider.models()
    )
    return "no model was named for it" if ready else "no edit model is ready"


def paid_calls(studio: Studio, post: PostChain) -> list[Called]:
    """Return the background backends that are providers: at most one of them is charged."""
    if post.background is None:
        return []
    found = backends.backends_of(studio.shop, post.background)
    return [one for one in found if isinstance(one, Called)]


def most_calls(studio: Studio, post: PostChain) -> int:
    """Count the calls of providers where every backend is tried."""
    refines = post.background is not None and bool(post.background.refine.wanted)
    return len(paid_calls(studio, post)) + refines
