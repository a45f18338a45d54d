"""OpenAI's Images API: any of its clients works here by changing its base address."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from maquette.api import openai_asking, openai_replies, picture_form, waiting
from maquette.api.claims import ONCE_ERRORS, TheKey
from maquette.api.contract import Responses, raises
from maquette.api.door import SpendingOwn
from maquette.api.house import TheHouse
from maquette.api.openai_asking import Sent
from maquette.api.openai_body import MEMBERS, NewImages, from_form
from maquette.api.openai_edits import BODY
from maquette.api.openai_replies import Action, ImagesMade
from maquette.core import errors as e
from maquette.core.people import Scope
from maquette.services import outcome
from maquette.services.rejoining import Standing

PREFIX = "/v1/images"
router = APIRouter(prefix=PREFIX, tags=["openai images"])

_UNBUFFERED = {"X-Accel-Buffering": "no"}
_EVENTS = {"schema": {"type": "string", "description": "Server-Sent Events, with `stream`."}}
_SHOWN: Responses = {200: {"model": ImagesMade, "content": {"text/event-stream": _EVENTS}}}
_PROBLEMS = (
    e.CapabilityMissing,
    e.ProjectNotFound,
    e.JobNotFound,
    e.ModelNotFound,
    e.SpendRefused,
    e.QuotaExceeded,
    e.ProviderError,
    e.ProviderRefused,
    e.Moderated,
    e.CreditGone,
    e.ProviderUnavailable,
    e.OperationFailed,
    e.NothingPassed,
    e.OperationTimedOut,
    e.Cancelled,
    e.ShuttingDown,
    e.RequestTimedOut,
    e.StorageUnavailable,
    e.StorageFull,
    *ONCE_ERRORS,
)


@router.post(
    "/generations",
    summary="Make pictures, as OpenAI's API does",
    dependencies=[waiting.Placed],
    response_class=Response,
    responses={**_SHOWN, **raises(*_PROBLEMS, path=PREFIX)},
)
async def generate_images(
    request: Request, entry: SpendingOwn, house: TheHouse, wanted: NewImages, key: TheKey = None
) -> Response:
    """Make pictures and wait for them; with `stream`, show them as they come."""
    entry = await openai_asking.entered(request, house, entry, wanted)
    sent = Sent(request, house, entry, wanted, openai_asking.digest_of(wanted), key)
    found = await openai_asking.standing(sent)
    return await _answered(sent, found, "image_generation")


@router.post(
    "/edits",
    summary="Edit pictures, as OpenAI's API does",
    dependencies=[waiting.Placed],
    response_class=Response,
    responses={
        **_SHOWN,
        **raises(*_PROBLEMS, e.ImageTooLarge, e.RequestTooLarge, e.AssetNotFound, path=PREFIX),
    },
    openapi_extra=BODY,
)
async def edit_images(
    request: Request, entry: SpendingOwn, house: TheHouse, key: TheKey = None
) -> Response:
    """Edit the first picture after the others; a mask says where, transparent is what changes."""
    async with picture_form.opened(request, house, entry, MEMBERS) as form:
        wanted = from_form(form.fields, is_json=form.is_json)
        if wanted.maquette.project not in (None, entry.slug):
            raise e.BadParameter(
                "Pictures are taken in before the body is read: name the project of an edit in the "
                "header X-Maquette-Project.",
                param="maquette.project",
            )
        if not form.pictures:
            raise e.BadParameter("An edit needs a picture; send one as 'image'.", param="image")
        sent = Sent(request, house, entry, wanted, form.digest, key)
        found = await openai_asking.standing(sent, form)
    return await _answered(sent, found, "image_edit")


async def _answered(sent: Sent, found: Standing, action: Action) -> Response:
    """Wait for the job, or let the client see how it comes about."""
    house, project = sent.house, sent.entry.project
    again = waiting.looks_again(sent.request, house, sent.entry, Scope.SPEND)
    if sent.body.stream:
        path = sent.request.url.path
        stream = openai_replies.Stream(house, project.id, found, sent.body, action, path, again)
        return StreamingResponse(
            stream.written(), media_type="text/event-stream", headers=_UNBUFFERED
        )
    work = outcome.awaited(house.studio, house.feed, project.id, found, again)
    result = await waiting.unless_gone(sent.request, work)
    address = f"{str(sent.request.base_url).rstrip('/')}/api/projects/{project.slug}/assets"
    reply = await openai_replies.whole(house, result, sent.body, address)
    return Response(reply, media_type="application/json")
