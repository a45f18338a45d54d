"""What there is: models, pictures, projects, money; and a picture that is sent."""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path

from maquette.agent import showing
from maquette.agent.call import Answer, Call
from maquette.agent.tells import (
    CapTold,
    FoundTold,
    LibraryTold,
    ModelsTold,
    ModelTold,
    ParentTold,
    PictureTold,
    ProjectsTold,
    ProjectTold,
    SpendingTold,
    UploadedTold,
)
from maquette.agent.wants import ListModels, LookUp, Nothing, Spending, UploadImage
from maquette.core import money
from maquette.core.errors import (
    BadParameter,
    Forbidden,
    MaquetteError,
    UnsafePath,
)
from maquette.core.people import Needs, Scope
from maquette.core.provider import Provider, priced
from maquette.core.requests import ImageRequest, ModelProfile
from maquette.db.details import Relation
from maquette.db.library import Filters, Line
from maquette.db.tables import Project
from maquette.folders import PRIVATE
from maquette.imaging.files import read_file
from maquette.services import library, models, people, projects, spending, uploading
from maquette.services.projects import PERSONAL
from maquette.services.secrets import seen_by
from maquette.services.spending import Meter
from maquette.services.uploading import Uploaded, Wishes


async def list_models(call: Call, wanted: ListModels) -> Answer:
    """List the models as the project sees them: its own keys count."""
    project = await call.enter(wanted.project, Needs.PROJECT_VIEWER)
    studio = await seen_by(call.studio, project.slug)
    today = studio.shop.clock.now().date()
    providers = studio.shop.providers
    lines = models.lines(providers, today, wanted.provider)
    told: list[ModelTold] = []
    for line in lines:
        provider = providers[line.provider]
        profile = next(one for one in provider.models() if one.id == line.model)
        missing = studio.missing(provider)
        gone = profile.shutdown is not None and profile.shutdown <= today
        if wanted.only_ready and (missing is not None or gone):
            continue
        state = line.state
        if missing is None and state.startswith("not ready"):  # the project has a key of its own
            state = "ready"
        told.append(_model(provider, profile, state, line.options))
    return Answer(ModelsTold(models=told))


def _model(
    provider: Provider, profile: ModelProfile, state: str, options: tuple[str, ...]
) -> ModelTold:
    return ModelTold(
        model=f"{provider.id}:{profile.id}",
        title=profile.title,
        makes=sorted(profile.modes),
        state=state,
        paid=profile.paid,
        price_usd=_price(provider, profile),
        most_pictures_a_call=profile.max_count,
        most_references=profile.max_references,
        most_pixels=profile.max_pixels,
        takes_seed=profile.supports_seed,
        takes_negative_prompt=profile.supports_negative_prompt,
        options=list(options),
        shutdown=None if profile.shutdown is None else profile.shutdown.isoformat(),
        successor=profile.successor,
    )


def _price(provider: Provider, profile: ModelProfile) -> str | None:
    """Price one plain picture; what makes something else is priced by its picture."""
    if "generate" not in profile.modes:
        return None
    try:
        return str(priced(provider, ImageRequest(provider=provider.id, model=profile.id)))
    except MaquetteError:
        return None


async def look_up(call: Call, wanted: LookUp) -> Answer:
    """Search the library, or show one of its pictures with its family."""
    project = await call.enter(wanted.project, Needs.PROJECT_VIEWER)
    if wanted.asset is not None:
        return await _one(call, project, wanted.asset)
    filters = Filters(
        project.id, kind=wanted.kind, tags=() if wanted.tag is None else (wanted.tag,)
    )
    page = await library.page(
        call.studio, filters, text=wanted.words, limit=wanted.limit, cursor=wanted.cursor
    )
    found = [_found(project, one) for one in page.items]
    return Answer(LibraryTold(project=project.slug, found=found, next=page.next))


async def _one(call: Call, project: Project, asset_id: str) -> Answer:
    detail = await library.show(call.studio, project.id, asset_id, None)
    found = _found(project, detail.line).model_copy(update={"prompt": detail.prompt})
    told = LibraryTold(
        project=project.slug,
        found=[found],
        made_from=[_relation(one) for one in detail.parents],
        made_into=[_relation(one) for one in detail.children],
        files=list(detail.files),
    )
    return Answer(told, await showing.shown(call, project, [found]))


def _relation(one: Relation) -> ParentTold:
    return ParentTold(asset=one.id, kind=one.kind, name=one.name, role=one.role)


def _found(project: Project, line: Line) -> FoundTold:
    return FoundTold(
        asset=line.id,
        uri=showing.uri_of(project.slug, line.id),
        name=line.name,
        kind=line.kind,
        media_type=line.media_type,
        width_px=line.width_px,
        height_px=line.height_px,
        size_bytes=line.size_bytes,
        prompt=line.prompt,
        model=f"{line.provider}:{line.model}" if line.provider else "",
        job=line.job,
        tags=list(line.tags),
        created_at=line.created_at,
        cost_usd=str(money.from_nano(line.cost_nano)),
    )


async def upload_image(call: Call, wanted: UploadImage) -> Answer:
    """Make an asset of a picture that is sent, or of a file below the project's root."""
    project = await call.enter(wanted.project, Needs.PROJECT_EDITOR)
    if (wanted.data is None) == (wanted.path is None):
        raise BadParameter("upload_image takes either data or path; nothing was kept.")
    if wanted.path is not None:
        data = await _file(call, project, wanted.path)
    else:
        data = _decoded(wanted.data or "")
    wishes = Wishes(kind=wanted.kind, consent=wanted.consent)
    most = call.office.most_bytes
    async with uploading.intake(call.studio, project, call.caller, most) as intake:
        name = wanted.name if wanted.path is None else Path(wanted.path).name
        await intake.begin(name)
        await intake.write(data)
        await intake.end()
        [made] = await intake.finish(wishes)
    picture = _uploaded(project, made)
    told = UploadedTold(project=project.slug, picture=picture, duplicate_of=made.duplicate_of)
    return Answer(told, await showing.shown(call, project, [picture]))


async def _file(call: Call, project: Project, name: str) -> bytes:
    if not call.office.local:
        raise Forbidden(
            "This server does not read files for callers; send the bytes as data, in base64."
        )
    root = await projects.root_of(call.studio, project.slug, None)
    path = call.studio.shop.place(root).folders.inside(name)
    if path.is_symlink() or PRIVATE in path.parts:
        raise UnsafePath(f"{name!r} is a link or in the store's own folder; name a plain file.")
    return await asyncio.to_thread(read_file, path)


def _decoded(text: str) -> bytes:
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise BadParameter("The data URL has no base64; write data:image/png;base64,…")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadParameter("data is no base64 that can be read; nothing was kept.") from None


def _uploaded(project: Project, made: Uploaded) -> PictureTold:
    return PictureTold(
        asset=made.id,
        uri=showing.uri_of(project.slug, made.id),
        name=made.name,
        kind=made.kind,
        media_type=made.media_type,
        width_px=made.width_px,
        height_px=made.height_px,
        size_bytes=made.size_bytes,
    )


async def list_projects(call: Call, _wanted: Nothing) -> Answer:
    """List the projects that the caller is a member of."""
    found = await projects.listing(call.studio, call.caller)
    own = call.project or f"{PERSONAL}{call.caller.name}"
    told = [
        ProjectTold(
            slug=one.slug, name=one.name, runs=one.runs, assets=one.assets, yours=one.slug == own
        )
        for one in found
    ]
    return Answer(ProjectsTold(projects=told))


async def tell_spending(call: Call, wanted: Spending) -> Answer:
    """Say what may still be spent: in the project, by this person, today, in all."""
    project = await call.enter(wanted.project, Needs.PROJECT_VIEWER)
    own = f"project:{project.slug}"
    caps: list[CapTold] = []
    for one in await spending.meters(call.studio):
        kind = one.scope.partition(" ")[0]
        if one.scope == own:
            caps.append(_cap("project", project.slug, one))
        elif call.caller.is_admin and kind in ("installation", "day"):
            caps.append(_cap("day" if kind == "day" else "installation", one.scope, one))
    person = await people.show(call.studio, call.caller.name)
    mine = Meter(person.name, person.spend_cap, person.held, person.spent)
    caps.append(_cap("you", person.name, mine))
    why = await spending.stopped_why(call.studio)
    stopped = await spending.stopped_since(call.studio) is not None
    return Answer(
        SpendingTold(
            stopped=stopped,
            why=why if stopped else None,
            may_spend=Scope.SPEND in call.caller.scopes,
            caps=caps,
        )
    )


def _cap(scope: str, name: str, one: Meter) -> CapTold:
    left = None if one.limit is None else max(money.FREE, one.limit - one.spent - one.held)
    return CapTold.model_validate(
        {
            "scope": scope,
            "name": name,
            "limit_usd": None if one.limit is None else str(one.limit),
            "spent_usd": str(one.spent),
            "held_usd": str(one.held),
            "left_usd": None if left is None else str(left),
        }
    )
