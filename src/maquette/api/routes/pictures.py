"""The images API: pictures from words, and of other pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError

from maquette.api import once, picture_form, waiting
from maquette.api.claims import ONCE_ERRORS, TheKey
from maquette.api.contract import Responses, raises
from maquette.api.door import Entry, SpendingOwn
from maquette.api.house import House, TheHouse
from maquette.api.picture_form import Form
from maquette.api.picture_jobs import PictureJob, PicturePlan, document
from maquette.api.picture_schema import EDIT
from maquette.api.waiting import Wait
from maquette.core import errors as e
from maquette.core.people import Scope
from maquette.core.requests import canonical
from maquette.core.wanted import from_texts
from maquette.db.idempotency import Claim
from maquette.services import jobs, placing
from maquette.services.placing import Came
from maquette.services.wishing import PictureWanted

router = APIRouter(tags=["pictures"])

_FIELDS = frozenset(PictureWanted.model_fields)
_JOB = {"description": "The job, which goes on; `Location` is where to ask for it."}
_ASKING: Responses = {
    200: {"description": "The job, which has ended; or with `dry`, the plan."},
    202: {"model": PictureJob, **_JOB},
    **raises(
        e.InvalidInput,
        e.ImageTooLarge,
        e.NotFound,
        e.SpendRefused,
        e.Conflict,
        e.StorageUnavailable,
        e.StorageFull,
        *ONCE_ERRORS,
        e.RequestTimedOut,
        e.TooManyRequests,
    ),
}
_BRINGING: Responses = raises(
    e.RequestTooLarge, e.UnsupportedMedia, e.QuotaExceeded, e.OperationFailed, e.OperationTimedOut
)


@router.post("/v1/generate", summary="Make pictures from words", responses=_ASKING)
@router.post(
    "/generate",
    summary="Make pictures from words, at the short address",
    responses=_ASKING,
    operation_id="generate_short",
)
async def generate(
    request: Request,
    response: Response,
    entry: SpendingOwn,
    house: TheHouse,
    wanted: PictureWanted,
    key: TheKey = None,
    wait: Wait = 0,
) -> PictureJob | PicturePlan:
    """Make pictures from words; the reply is a job, and with `wait` its result.

    Calling is the word that money may be spent: `max_spend_usd` limits it, `dry` only prices it.
    """
    digest = hashlib.sha256(canonical(wanted.model_dump(mode="json")).encode()).hexdigest()
    claim = _claim(entry, key)
    with waiting.place(house, entry.caller, wait):
        begun = await _begun(request, house, entry, wanted, placing.Nothing(), claim, digest)
        return await _told(request, response, house, entry, wanted, begun, wait)


@router.post("/v1/edit", summary="Edit pictures", responses=_ASKING | _BRINGING, openapi_extra=EDIT)
@router.post(
    "/edit",
    summary="Edit pictures, at the short address",
    responses=_ASKING | _BRINGING,
    openapi_extra=EDIT,
    operation_id="edit_short",
)
async def edit(
    request: Request,
    response: Response,
    entry: SpendingOwn,
    house: TheHouse,
    key: TheKey = None,
    wait: Wait = 0,
) -> PictureJob | PicturePlan:
    """Make pictures of others, the first of which is edited; a mask says where.

    Pictures come as files of a form, or in JSON as data URLs or ids of the project's assets.
    """
    with waiting.place(house, entry.caller, wait):
        async with picture_form.opened(request, house, entry, _FIELDS) as form:
            wanted = _wanted(form)
            if not form.pictures:
                raise e.BadParameter(
                    "There is no picture to edit: send one as 'image', or ask /v1/generate."
                )
            claim = _claim(entry, key)
            begun = await _begun(request, house, entry, wanted, form, claim, form.digest)
        return await _told(request, response, house, entry, wanted, begun, wait)


def _wanted(form: Form) -> PictureWanted:
    fields: Mapping[str, Any] = form.fields
    said = fields if form.is_json else from_texts(PictureWanted, fields)
    try:
        return PictureWanted.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise e.BadParameter(
            f"{name or 'The request'} cannot be used: {first['msg']}.", param=name or None
        ) from None


def _claim(entry: Entry, key: str | None) -> Claim | None:
    return None if key is None else Claim(entry.caller.key, key)


class _Begun(BaseModel):
    """A job, and whether an earlier request with the same key has begun it."""

    job_id: str
    again: bool = False


async def _begun(
    request: Request,
    house: House,
    entry: Entry,
    wanted: PictureWanted,
    came: Came,
    claim: Claim | None,
    digest: str,
) -> PicturePlan | _Begun:
    """Plan the request, or begin its job, with a key once."""
    studio, project, caller = house.studio, entry.project, entry.caller
    wish, words = wanted.wish(), wanted.mask_words()
    if wanted.dry:
        return PicturePlan.of(await placing.look(studio, project, caller, wish, came, words))
    spending = wanted.spending(caller.user_id, claim)

    async def begin() -> str:
        placed = await placing.place(studio, project, caller, wish, came, spending, words)
        return placed.job_id

    if claim is None:
        return _Begun(job_id=await begin())
    whole = hashlib.sha256(f"{project.id}\0{digest}".encode()).hexdigest()
    name, again = await once.made(request, house, claim, whole, begin)
    return _Begun(job_id=f"{name.removeprefix('run:')}-001" if again else name, again=again)


async def _told(
    request: Request,
    response: Response,
    house: House,
    entry: Entry,
    wanted: PictureWanted,
    begun: PicturePlan | _Begun,
    wait_s: float,
) -> PictureJob | PicturePlan:
    if isinstance(begun, PicturePlan):
        return begun
    result = await waiting.waited(request, house, entry, begun.job_id, wait_s, Scope.SPEND)
    response.headers["Location"] = f"/v1/jobs/{begun.job_id}"
    if begun.again:
        response.headers["Idempotency-Replayed"] = "true"
    if not result.ended:
        response.status_code = 202
    held = await jobs.held(house.studio, begun.job_id)
    return await document(house.studio, entry.slug, result, held, data_uri=wanted.data_uri)
