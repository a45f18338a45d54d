"""`dry`: turn an order into frozen jobs and a price, and send nothing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from maquette.core import money
from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.money import Usd
from maquette.core.pipeline import JobSpec, Manifest, RunOrder, SceneOverride
from maquette.core.provider import Provider
from maquette.core.requests import ImageRequest, ModelProfile
from maquette.services import chain, inputs, manifest, pricing
from maquette.services.inputs import GivenPicture
from maquette.services.secrets import seen_by
from maquette.services.studio import Studio


@dataclass(frozen=True)
class PlannedJob:
    """One scene as it would be worked, and the most it can cost."""

    spec: JobSpec
    source: GivenPicture
    references: tuple[GivenPicture, ...]
    worst_case: Usd


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    order: RunOrder
    root: Path
    profile: ModelProfile
    provider: str
    jobs: tuple[PlannedJob, ...]
    notes: tuple[str, ...]
    chain_calls: int = 0
    """Calls of providers that the post chains make at most."""

    @property
    def worst_case(self) -> Usd:
        return Usd(sum((job.worst_case for job in self.jobs), start=money.FREE))

    @property
    def calls(self) -> int:
        return sum(len(job.spec.calls) for job in self.jobs)


async def plan(
    studio: Studio,
    order: RunOrder,
    root: Path,
    *,
    confirmed: bool = True,
    sheet: Manifest | None = None,
) -> Plan:
    """Find and check everything a run needs; nothing is written, sent or paid.

    `confirmed`: whether money may be spent, which decides what is done where nobody chose.
    `sheet`: a manifest that is no file.
    """
    studio = await seen_by(studio, order.project)
    provider, profile = choose_model(studio, order.provider, order.model)
    if sheet is None:
        sheet = Manifest() if order.manifest is None else manifest.read(order.manifest)
    order = _merged(order, sheet)
    own = chain.Own(provider.id, profile, confirmed, order.options)
    shared = chain.resolved(studio, order.post, own)
    order = order.model_copy(update={"post": shared.post})
    told = dict.fromkeys(shared.notes)
    extra = [scene.input for scene in sheet.scenes.values() if scene.input is not None]
    named = inputs.scene_names(inputs.find_scenes(root, order.input, order.scene_refs, extra))
    overrides = _by_scene(sheet, named)
    styles = sheet.refs if sheet.refs is not None and not order.style_refs else order.style_refs
    base_seed = order.seed if order.seed is not None else secrets.randbits(31)
    loaded: dict[Path, GivenPicture] = {}
    jobs: list[PlannedJob] = []
    for name, path in named.items():
        override = overrides.get(name, SceneOverride())
        refs = override.refs if override.refs is not None else styles
        for picture, what in [(path, "scene"), *((ref, "style reference") for ref in refs)]:
            if picture not in loaded:
                loaded[picture] = await inputs.load(studio.shop.pool, picture, what)
        if override.post is not None:
            special = chain.resolved(studio, override.post, own)
            override = override.model_copy(update={"post": special.post})
            told |= dict.fromkeys(f"{name}: {note}" for note in special.notes)
        job = _job(name, order, override, profile, provider.id, base_seed, loaded[path])
        job = _with_references(job, tuple(loaded[ref] for ref in refs))
        check_request(job.spec.asked, profile)
        provider.check(job.spec.asked)
        jobs.append(replace(job, worst_case=pricing.worst_case(studio, job.spec)))
    notes = notes_of(provider, profile, studio.missing(provider), list(told))
    more = sum(chain.most_calls(studio, job.spec.post) for job in jobs)
    return Plan(order, root, profile, provider.id, tuple(jobs), notes, more)


def choose_model(
    studio: Studio, provider_id: str | None, model_id: str | None
) -> tuple[Provider, ModelProfile]:
    """Find a model by `provider:model`, by provider, or by its own name."""
    providers = studio.shop.providers
    if model_id is not None and ":" in model_id and provider_id is None:
        provider_id, _, model_id = model_id.partition(":")
    if provider_id is None:
        provider_id = _embedded(studio) if model_id is None else _owner(studio, model_id)
    provider = providers[provider_id]
    profiles = {profile.id: profile for profile in provider.models()}
    if not profiles:
        missing = studio.missing(provider) or "No model is there yet."
        raise CapabilityMissing(f"{provider_id!r} has no model, so nothing was planned. {missing}")
    if model_id is None:
        if len(profiles) != 1:
            raise BadParameter(
                f"{provider_id!r} has several models; name one of {', '.join(profiles)}."
            )
        return provider, next(iter(profiles.values()))
    if model_id not in profiles:
        near = get_close_matches(model_id, profiles, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(profiles)}."
        raise BadParameter(f"{provider_id!r} has no model {model_id!r}. {hint}")
    return provider, profiles[model_id]


def _embedded(studio: Studio) -> str:
    """Return the provider of proofs, unless a real one is ready: then a person chooses."""
    ready = {name: studio.shop.providers[name] for name in studio.shop.providers}
    ready = {name: one for name, one in ready.items() if studio.missing(one) is None}
    real = [name for name, one in ready.items() if any(not model.proof for model in one.models())]
    proofs = [name for name in ready if name not in real]
    if real or not proofs:
        raise BadParameter(
            f"Several providers are ready ({', '.join(ready) or 'none'}), so say which: "
            "give the model as PROVIDER:MODEL. `maquette plugins` lists them."
        )
    return proofs[0]


def _owner(studio: Studio, model_id: str) -> str:
    owners = [
        name
        for name in studio.shop.providers
        if any(profile.id == model_id for profile in studio.shop.providers[name].models())
    ]
    if len(owners) != 1:
        many = (
            f"Several providers have a model {model_id!r}"
            if owners
            else (f"No provider has a model {model_id!r}")
        )
        raise BadParameter(f"{many}; write PROVIDER:MODEL. `maquette plugins` lists them.")
    return owners[0]


def _merged(order: RunOrder, sheet: Manifest) -> RunOrder:
    """Fill in what the command line left open; what it says wins over the manifest."""
    said = order.model_fields_set
    fill: dict[str, object] = {}
    for name in ("prompt", "negative_prompt", "size", "candidates", "post"):
        value = getattr(sheet, name)
        if value is not None and name not in said:
            fill[name] = value
    return order.model_copy(update=fill)


def _by_scene(sheet: Manifest, named: Mapping[str, Path]) -> dict[str, SceneOverride]:
    """Match the manifest's scenes to the run's; complain about a name that matches none."""
    found: dict[str, SceneOverride] = {}
    for key, override in sheet.scenes.items():
        name = inputs.clean_name(
            Path(key).stem if Path(key).suffix.lower() in inputs.PICTURES else key
        )
        if override.input is not None:
            name = inputs.clean_name(override.input.stem)
        if name not in named:
            near = get_close_matches(name, named, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Scenes: {', '.join(named)}."
            raise BadParameter(f"The manifest's scenes.{key} matches no input picture. {hint}")
        found[name] = override
    return found


def _job(
    name: str,
    order: RunOrder,
    override: SceneOverride,
    profile: ModelProfile,
    provider_id: str,
    base_seed: int,
    source: GivenPicture,
) -> PlannedJob:
    candidates = override.candidates or order.candidates
    if candidates > order.max_candidates and not order.allow_many_candidates:
        raise BadParameter(
            f"{candidates} candidates for scene {name!r} are more than the ceiling of "
            f"{order.max_candidates}. Raise --max-candidates, or add --allow-many-candidates."
        )
    prompt = order.prompt if override.prompt is None else override.prompt
    if prompt is None and not profile.proof:
        raise BadParameter(f"Scene {name!r} has no prompt. Give --prompt, or one in the manifest.")
    seed = override.seed if override.seed is not None else base_seed
    chosen = override.negative_prompt
    request = ImageRequest(
        provider=provider_id,
        model=profile.id,
        mode="edit",
        prompt=prompt or "",
        negative_prompt=order.negative_prompt if chosen is None else chosen,
        size=override.size or order.size,
        seed=seed if profile.supports_seed else None,
        inputs=(source.as_input("init"),),
        options={**order.options, **(override.options or {})},
    )
    if order.seed is not None or override.seed is not None:
        _require(profile.supports_seed, profile, "a seed", "leave --seed out")
    full, rest = divmod(candidates, profile.max_count)
    spec = JobSpec(
        scene=name,
        source=source.as_input("init"),
        request=request,
        candidates=candidates,
        calls=(profile.max_count,) * full + ((rest,) if rest else ()),
        guard=override.guard or order.guard,
        post=override.post or order.post,
        archive_replaced=order.archive_replaced,
    )
    return PlannedJob(spec, source, (), money.FREE)


def _with_references(job: PlannedJob, references: tuple[GivenPicture, ...]) -> PlannedJob:
    given = (*job.spec.asked.inputs, *(one.as_input("reference") for one in references))
    request = job.spec.asked.model_copy(update={"inputs": given})
    spec = job.spec.model_copy(update={"request": request})
    return replace(job, spec=spec, references=references)


def check_request(request: ImageRequest, profile: ModelProfile) -> None:
    """Refuse, before anything is sent, what the model cannot do."""
    references = len(request.by_role("reference"))
    if references > profile.max_references:
        raise CapabilityMissing(
            f"{profile.id!r} takes at most {profile.max_references} reference pictures, not "
            f"{references}; nothing was sent. Give fewer reference pictures.",
            param="image",
        )
    if request.seed is not None:
        _require(profile.supports_seed, profile, "a seed", "leave it out")
    _require(request.mode in profile.modes, profile, f"{request.mode!r}", "choose another model")
    if request.negative_prompt:
        _require(
            profile.supports_negative_prompt,
            profile,
            "a negative prompt",
            "leave it out",
        )
    if isinstance(request.size, tuple) and request.size[0] * request.size[1] > profile.max_pixels:
        raise CapabilityMissing(
            f"{profile.id!r} makes at most {profile.max_pixels} pixels, not "
            f"{request.size[0]}x{request.size[1]}; nothing was sent. Give a smaller size.",
            param="size",
        )
    try:
        profile.options.model_validate(request.options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BadParameter(
            f"{profile.id!r} does not take the option {name!r}: {first['msg']}.",
            param=name or None,
        ) from None


def _require(able: bool, profile: ModelProfile, what: str, way_out: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not able:
        raise CapabilityMissing(
            f"{profile.id!r} does not support {what}, so nothing was sent; {way_out}."
        )


def notes_of(
    provider: Provider, profile: ModelProfile, missing: str | None, others: Sequence[str] = ()
) -> tuple[str, ...]:
    """Say what a person should know of a model before it is used."""
    told = list(others)
    if profile.proof:
        told.insert(0, f"{profile.id} makes drafts by classical means; it is not a model.")
    if missing is not None:
        told.insert(0, f"{provider.id} is not ready, a run would be refused: {missing}")
    if profile.shutdown is not None:
        told.append(
            f"{profile.id} ends on {profile.shutdown:%Y-%m-%d}; use {profile.successor} from then."
        )
    return tuple(told)
