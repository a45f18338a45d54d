"""One request for pictures: checked against its model, priced, begun as a run of one job.

Every surface that asks for pictures comes through here: the images API, OpenAI's dialect of it,
the command line and agents. What is given lies in the store already, as assets.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import AssetNotFound, BadParameter, CapabilityMissing
from maquette.core.findings import GuardRules
from maquette.core.money import Usd
from maquette.core.pipeline import CompositeStep, JobSpec, PostChain
from maquette.core.provider import Provider
from maquette.core.requests import ImageRequest, Input, Mode, ModelProfile, Option, Size
from maquette.db import assets
from maquette.db.tables import Project
from maquette.services import chain, delivering, planning, policy, pricing, starting
from maquette.services.inputs import clean_name
from maquette.services.projects import ready_root, root_of
from maquette.services.starting import Spending
from maquette.services.studio import Studio

MOST_PICTURES = 10
_NAME_CHARACTERS = 40


@dataclass(frozen=True)
class Given:
    """A picture of the project that a request refers to."""

    asset: str
    input: Input

    @classmethod
    def model(cls, asset: str, role: str = "init", **facts: object) -> Given:
        """Refer to a picture by what is known of it."""
        return cls(asset, Input.model_validate({"role": role, **facts}))


@dataclass(frozen=True)
class Wish:
    """What somebody asks for."""

    prompt: str
    model: str | None = None
    """`provider:model`, or a model's own name; None: the first living one of the only real provider
    that is ready, else the embedded one."""
    negative_prompt: str = ""
    size: Size = "auto"
    count: int = 1
    seed: int | None = None
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    pictures: tuple[Given, ...] = ()
    """The first is edited, the others are references; none: a picture from words alone."""
    mask: Given | None = None
    """One channel, 255 = edit, of the first picture's size."""
    composite: CompositeStep | None = field(default_factory=CompositeStep)
    """With a mask: the original is put back outside it."""
    guard: GuardRules = field(default_factory=GuardRules)
    post: PostChain = field(default_factory=PostChain)
    store: bool = True
    """False: the bytes of what was given are forgotten when the job has ended, not their names."""
    surface: str = "images"
    """Where it was asked for, for the run's log."""

    @property
    def mode(self) -> Mode:
        if self.mask is not None:
            return "inpaint"
        return "edit" if self.pictures else "generate"


@dataclass(frozen=True)
class Asked:
    """A wish that can be granted, and the most that it costs; nothing was sent."""

    spec: JobSpec
    worst_case: Usd
    profile: ModelProfile
    provider: Provider
    root: Path
    order: Mapping[str, object]
    notes: tuple[str, ...] = ()


async def given(studio: Studio, project: Project, asset_id: str, role: str = "init") -> Given:
    """Refer to an asset of the project."""
    missing = f"There is no asset {asset_id!r} in this project; it may be trashed."
    async with studio.shop.db.read() as session:
        try:
            asset, blob = await assets.get(session, asset_id)
        except AssetNotFound:
            raise AssetNotFound(missing) from None
    if asset.project_id != project.id or asset.deleted_at is not None:
        raise AssetNotFound(missing)
    if not blob.media_type.startswith("image/"):
        raise BadParameter(f"The asset {asset_id!r} is {blob.media_type}, not a picture.")
    return Given.model(
        asset.id,
        role,
        digest=asset.digest,
        name=asset.name,
        media_type=blob.media_type,
        width_px=blob.width_px,
        height_px=blob.height_px,
        size_bytes=blob.size_bytes,
    )


async def ask(studio: Studio, project: Project, wish: Wish, by: str | None = None) -> Asked:
    """Check and price a wish; nothing is written, sent or paid.

    `by`: the id of the person who wishes; what their role does not allow is refused.
    """
    root = await root_of(studio, project.slug, None)
    studio = await studio.of_project(project.id)
    provider, profile = _chosen(studio, wish)
    remade = bool(wish.post.names()) or (wish.mask is not None and wish.composite is not None)
    options, delivery = delivering.fitted(profile, wish.options, remade=remade)
    own = chain.Own(provider.id, profile, confirmed=True, options=options)
    after = chain.resolved(studio, wish.post, own)
    wish = replace(wish, options=options, post=after.post)
    request = _request(wish, provider.id, profile)
    planning.check_request(request, profile)
    provider.check(request)
    spec = _spec(wish, request, profile)
    await policy.check(studio, by, [spec])
    notes = planning.notes_of(provider, profile, studio.missing(provider), after.notes)
    order = {
        "project": project.slug,
        "surface": wish.surface,
        "prompt": wish.prompt,
        "model": f"{provider.id}:{profile.id}",
        "store": wish.store,
        "deliver": delivery.document(),
        "notes": list(notes),
    }
    worst = pricing.worst_case(studio, spec)
    return Asked(spec, worst, profile, provider, root, order, notes)


def _chosen(studio: Studio, wish: Wish) -> tuple[Provider, ModelProfile]:
    """Find the model; where none is named, the first living one of the only provider that can."""
    if wish.model is None:
        today = date.fromisoformat(studio.shop.clock.today())
        known = [studio.shop.providers.get(name) for name in studio.shop.providers]
        ready = [one for one in known if one is not None and studio.missing(one) is None]
        real = {
            one.id: (one, profile)
            for one in ready
            for profile in reversed(one.models())
            if not profile.proof and wish.mode in profile.modes
            if profile.shutdown is None or profile.shutdown > today
        }
        if len(real) == 1:
            return next(iter(real.values()))
    return planning.choose_model(studio, None, wish.model)


def _request(wish: Wish, provider_id: str, profile: ModelProfile) -> ImageRequest:
    seed = wish.seed
    if seed is None and profile.supports_seed:
        seed = secrets.randbits(31)
    first, *others = wish.pictures or (None,)
    inputs = [] if first is None else [first.input.model_copy(update={"role": "init"})]
    inputs += [one.input.model_copy(update={"role": "reference"}) for one in others if one]
    if wish.mask is not None:
        _check_mask(wish.mask, first)
        inputs.append(wish.mask.input.model_copy(update={"role": "mask"}))
    return ImageRequest(
        provider=provider_id,
        model=profile.id,
        mode=wish.mode,
        prompt=wish.prompt,
        negative_prompt=wish.negative_prompt,
        size=wish.size,
        seed=seed,
        inputs=tuple(inputs),
        options=dict(wish.options),
    )


def _check_mask(mask: Given, first: Given | None) -> None:
    if first is None:
        raise BadParameter("A mask needs the picture that it belongs to; send that as well.")
    has = (mask.input.width_px, mask.input.height_px)
    wants = (first.input.width_px, first.input.height_px)
    if has != wants:
        raise BadParameter(
            f"The mask has {has[0]}x{has[1]} px and the first picture {wants[0]}x{wants[1]}; draw "
            "it at the picture's own size."
        )


def _spec(wish: Wish, request: ImageRequest, profile: ModelProfile) -> JobSpec:
    if not 1 <= wish.count <= MOST_PICTURES:
        raise BadParameter(f"Ask for 1 to {MOST_PICTURES} pictures at once, not {wish.count}.")
    full, rest = divmod(wish.count, profile.max_count)
    roles = ("init", *("reference" for _ in wish.pictures[1:]))
    parents = [(one.asset, role) for one, role in zip(wish.pictures, roles, strict=False)]
    if wish.mask is not None:
        parents.append((wish.mask.asset, "mask"))
    return JobSpec(
        scene=_name(wish.prompt),
        source=wish.pictures[0].input if wish.pictures else None,
        request=request,
        candidates=wish.count,
        calls=(profile.max_count,) * full + ((rest,) if rest else ()),
        composite=wish.composite if wish.mask is not None else None,
        guard=wish.guard,
        post=wish.post,
        parents=tuple(parents),
    )


def _name(prompt: str) -> str:
    """Call the pictures by the first words of their prompt, and like no others."""
    words = re.sub(r"\W+", "-", prompt.casefold())[:_NAME_CHARACTERS].strip("-_")
    return clean_name(f"{words or 'picture'}-{secrets.token_hex(4)}")


async def check_ready(studio: Studio, project: Project, asked: Asked) -> None:
    """Raise `CapabilityMissing` where the provider lacks something, such as its key."""
    missing = (await studio.of_project(project.id)).missing(asked.provider)
    if missing is not None:
        raise CapabilityMissing(
            f"{asked.provider.id!r} is not ready, so nothing was sent: {missing}"
        )


async def begin(studio: Studio, project: Project, asked: Asked, spending: Spending) -> str:
    """Begin the run; return the id of its one job."""
    starting.check_spending(asked.worst_case, spending)
    await check_ready(studio, project, asked)
    await ready_root(studio, project.id, str(asked.root))
    spending = replace(spending, note=_together(spending.note, asked))
    specs = [(asked.spec, asked.worst_case)]
    run_id = await starting.write_run(
        studio, project, str(asked.root), dict(asked.order), specs, spending
    )
    return f"{run_id}-001"


def _together(note: starting.Note | None, asked: Asked) -> starting.Note:
    """Let the run be refused where a picture was purged after it was looked at."""

    async def noted(session: AsyncSession, run_id: str) -> None:
        for asset_id, _ in asked.spec.parents:
            await assets.get(session, asset_id)
        if note is not None:
            await note(session, run_id)

    return noted
