"""Masks that are found: by clicks, by background removal, by words."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from maquette.api import once, picture_form, waiting
from maquette.api.claims import ONCE_ERRORS, TheKey
from maquette.api.contract import Responses, raises
from maquette.api.door import EditingOwn, Entry
from maquette.api.house import House, TheHouse
from maquette.api.mask_schema import BODY
from maquette.api.picture_form import Form
from maquette.core import errors as e
from maquette.core.findings import Finding
from maquette.core.people import Scope
from maquette.core.wanted import from_texts
from maquette.db.idempotency import Claim
from maquette.services import automask, maskwishes, outcome, placing, wordmask
from maquette.services.asking import Given
from maquette.services.automask import Found, Order
from maquette.services.maskwishes import MaskWanted
from maquette.services.rejoining import Standing
from maquette.services.uploading import Wishes

router = APIRouter(tags=["pictures"])

_FIELDS = frozenset(MaskWanted.model_fields)
_PROBLEMS: Responses = raises(
    e.InvalidInput,
    e.ImageTooLarge,
    e.RequestTooLarge,
    e.UnsupportedMedia,
    e.NotFound,
    e.QuotaExceeded,
    e.Conflict,
    e.SpendRefused,
    e.ProviderError,
    e.ProviderRefused,
    e.Moderated,
    e.ProviderUnavailable,
    e.OperationFailed,
    e.OperationTimedOut,
    e.Cancelled,
    e.ShuttingDown,
    e.RequestTimedOut,
    e.TooManyRequests,
    e.StorageUnavailable,
    e.StorageFull,
    *ONCE_ERRORS,
)


class MaskFound(BaseModel):
    """A mask that was found; it is kept as an asset beside its picture."""

    id: str
    image: str
    """The picture's asset."""
    mask_url: str
    """A PNG of one channel and of the picture's size, 255 where it is to be edited."""
    width: int
    height: int
    coverage: float
    """The share of the picture that is marked, 0 to 1."""
    method: str
    """The operation, or the model, that found it."""
    confidence: float | None
    """0 to 1, where the method says how far to trust it."""
    draft: bool
    """It was found without a trained model: look at it before you spend money on it."""
    cost_usd: str
    findings: list[Finding]
    data_uri: str | None = None


@router.post(
    "/v1/mask/auto",
    status_code=201,
    response_model=MaskFound,
    summary="Find a mask",
    dependencies=[waiting.Placed],
    responses=_PROBLEMS,
    openapi_extra=BODY,
)
async def find_mask(
    request: Request, entry: EditingOwn, house: TheHouse, key: TheKey = None
) -> Response:
    """Mark what is clicked on, what stands before the background, or what words name.

    Clicks and background removal are free. Words ask a model, and calling is the confirmation of
    what that costs: such a key needs the scope `spend`, and `max_spend_usd` limits it.
    """
    claim = None if key is None else Claim(entry.caller.key, key)
    async with picture_form.opened(request, house, entry, _FIELDS) as form:
        wanted = _wanted(form)
        if len(form.pictures) != 1 or form.mask is not None:
            raise e.BadParameter("Send one picture, as 'image', and no mask: that is to be found.")
        digest = hashlib.sha256(f"{entry.project.id}\0{form.digest}".encode()).hexdigest()
        if wanted.chosen != "words":

            async def make(_before: str | None) -> MaskFound:
                return await _told(house, entry, wanted, await _found(house, entry, wanted, form))

            if claim is None:
                return _reply(await make(None))
            return await once.answer(request, house, claim, digest, make)
        wordmask.check_scope(entry.caller)
        since = house.feed.last
        job_id = await _begun(request, house, entry, wanted, form, claim, digest)
    standing = Standing(job_id, since)
    again = waiting.looks_again(request, house, entry, Scope.WRITE)
    work = outcome.awaited(house.studio, house.feed, entry.project.id, standing, again)
    await waiting.unless_gone(request, work)
    of = await wordmask.picture_of(house.studio, entry.project, job_id)
    order = _order(entry, wanted, of)
    found = await wordmask.of_job(house.studio, order, job_id, wanted.way)
    return _reply(await _told(house, entry, wanted, (of, found)))


def _reply(document: MaskFound) -> Response:
    return Response(document.model_dump_json(), 201, media_type="application/json")


def _wanted(form: Form) -> MaskWanted:
    fields = form.fields if form.is_json else from_texts(MaskWanted, form.fields)
    return maskwishes.read(fields)


def _order(entry: Entry, wanted: MaskWanted, of: Given) -> Order:
    return Order(entry.project, of, entry.caller.user_id, wanted.adjust())


async def _found(house: House, entry: Entry, wanted: MaskWanted, form: Form) -> tuple[Given, Found]:
    """Keep the picture and find the mask, on this machine."""
    studio, [of] = house.studio, form.pictures
    if wanted.chosen == "background":
        plan = automask.removing(studio, wanted.backend)
    else:
        plan = automask.pointing(studio, of, wanted.pointed(), wanted.machine)
    await form.keep(Wishes())
    return of, await automask.find(studio, _order(entry, wanted, of), plan)


async def _begun(
    request: Request,
    house: House,
    entry: Entry,
    wanted: MaskWanted,
    form: Form,
    claim: Claim | None,
    digest: str,
) -> str:
    """Ask a model, with a key once; return the job."""
    studio, project, caller = house.studio, entry.project, entry.caller
    wish = wordmask.wish(wanted.words or "", wanted.model, wanted.way)
    wordmask.check(await placing.look(studio, project, caller, wish, form))
    spending = wanted.spending(caller.user_id, claim)

    async def begin() -> str:
        return (await placing.place(studio, project, caller, wish, form, spending)).job_id

    if claim is None:
        return await begin()
    name, again = await once.made(request, house, claim, digest, begin)
    return f"{name.removeprefix('run:')}-001" if again else name


async def _told(
    house: House, entry: Entry, wanted: MaskWanted, made: tuple[Given, Found]
) -> MaskFound:
    of, found = made
    mask = found.mask
    shown = None
    if wanted.data_uri or wanted.format == "transparent":
        shown = await automask.data_uri(house.studio, entry.project, mask, wanted.format)
    return MaskFound(
        id=mask.asset,
        image=of.asset,
        mask_url=f"/api/projects/{entry.slug}/assets/{mask.asset}/file",
        width=mask.input.width_px,
        height=mask.input.height_px,
        coverage=round(found.coverage, 6),
        method=found.method,
        confidence=found.confidence,
        draft=found.draft,
        cost_usd=str(found.cost),
        findings=list(found.findings),
        data_uri=shown,
    )
