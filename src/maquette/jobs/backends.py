"""The backends of a post step: operations of this machine, and providers that cut out or edit.

A backend is named `name` or `name:model`. An operation of that name comes first; else it is a
provider with a model for the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from maquette.core.errors import BadParameter, CapabilityMissing, UnknownPlugin
from maquette.core.operation import Operation
from maquette.core.pipeline import BackgroundStep, ColourStep, RefineStep, UpscaleStep
from maquette.core.provider import Provider
from maquette.core.requests import ImageRequest, Input, Mode, ModelProfile, Option
from maquette.jobs.workshop import Workshop

Step = BackgroundStep | UpscaleStep | ColourStep


@dataclass(frozen=True)
class Computed:
    """A step done by an operation."""

    operation: str
    params: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.operation


@dataclass(frozen=True)
class Called:
    """A step done by a provider's model."""

    provider: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.model}"


Backend = Computed | Called


def backends_of(shop: Workshop, step: Step) -> list[Backend]:
    """Return what to try for a step, in order."""
    if isinstance(step, BackgroundStep):
        return [background(shop, name) for name in step.backends]
    if isinstance(step, UpscaleStep):
        name, _, model = step.backend.partition(":")
        return [Computed(f"upscale.{name}", {"scale": step.scale} | _named(model))]
    return [Computed("colour.lut", step.model_dump())]


def background(shop: Workshop, named: str) -> Backend:
    """Find a background backend; raise `UnknownPlugin` where nothing has that name."""
    name, _, model = named.partition(":")
    if f"background.{name}" in shop.operations:
        return Computed(f"background.{name}", _named(model))
    models = cutout_models(shop, name)
    if not models:
        known = background_names(shop)
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
        raise UnknownPlugin(f"No background backend is called {named!r}. {hint}")
    if model and model not in models:
        raise BadParameter(f"{name!r} cuts out with {', '.join(models)}, not with {model!r}.")
    return Called(name, model or models[0])


def background_names(shop: Workshop) -> list[str]:
    """Return every name that a background backend can have."""
    kinds = [name.partition(".") for name in shop.operations]
    own = [backend for kind, _, backend in kinds if kind == "background"]
    return own + [name for name in shop.providers if cutout_models(shop, name)]


def cutout_models(shop: Workshop, provider: str) -> list[str]:
    if provider not in shop.providers:
        return []
    return [one.id for one in shop.providers[provider].models() if "cutout" in one.modes]


def _named(model: str) -> dict[str, str]:
    return {"model": model} if model else {}


def resolve(shop: Workshop, wanted: Computed) -> Computed:
    """Check an operation's state and parameters, and fill in what the weights decide."""
    operation = shop.operations[wanted.operation]
    params = dict(wanted.params)
    missing = operation.missing(shop.weights)
    if missing is not None:
        raise CapabilityMissing(f"{wanted.operation!r} is not ready: {missing}")
    if "model" in params and "model" not in operation.params.model_fields:
        raise BadParameter(f"{wanted.operation!r} has no models, so {params['model']!r} is wrong.")
    checked = operation.params.model_validate(params)
    if operation.resolve is None:
        return wanted
    resolved = operation.resolve(checked, shop.weights)
    return Computed(wanted.operation, resolved.model_dump(exclude_defaults=True) | params)


def named(shop: Workshop, backend: Backend) -> str:
    """Return the name under which a plan keeps a backend."""
    if isinstance(backend, Called):
        single = cutout_models(shop, backend.provider) == [backend.model]
        return backend.provider if single else backend.name
    name = backend.operation.partition(".")[2]
    model = backend.params.get("model")
    return f"{name}:{model}" if model else name


def title_of(shop: Workshop, backend: Backend) -> str:
    if isinstance(backend, Computed):
        operation: Operation[Any] = shop.operations[backend.operation]
        return operation.title
    return next(
        one.title for one in shop.providers[backend.provider].models() if one.id == backend.model
    )


def request_for(backend: Called, picture: Input) -> ImageRequest:
    """Ask for a cutout of a picture, as large as it is."""
    return _request(backend, "cutout", picture, "", {})


def refine_request(shop: Workshop, step: RefineStep, cutout: Input) -> ImageRequest:
    """Ask for the same cutout with cleaner edges."""
    backend, profile = refiner(shop, step.model)
    wishes: dict[str, Option] = {"background": "transparent", "output_format": "png"}
    known = profile.options.model_fields
    options = step.options | {name: value for name, value in wishes.items() if name in known}
    return _request(backend, "edit", cutout, step.prompt, options)


def refiner(shop: Workshop, model: str) -> tuple[Called, ModelProfile]:
    """Find the edit model that refines, named `provider:model`."""
    name, _, model_id = model.partition(":")
    provider: Provider = shop.providers[name]
    for profile in provider.models():
        if profile.id == model_id and "edit" in profile.modes:
            return Called(name, model_id), profile
    raise BadParameter(
        f"{model!r} is no edit model. Write --bg-refine-model PROVIDER:MODEL; `maquette models` "
        "lists them."
    )


def _request(
    backend: Called, mode: Mode, picture: Input, prompt: str, options: dict[str, Option]
) -> ImageRequest:
    return ImageRequest(
        provider=backend.provider,
        model=backend.model,
        mode=mode,
        prompt=prompt,
        size="source",
        inputs=(picture,),
        options=options,
    )
