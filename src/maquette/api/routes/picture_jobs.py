"""The jobs of the images API: listed, awaited, cancelled, and their pictures as bytes."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from maquette.api import files, waiting
from maquette.api.contract import Responses, raises
from maquette.api.door import EditingOwn, Entry, LookingOwn, Viewing
from maquette.api.house import House, TheHouse, TheStudio
from maquette.api.picture_jobs import PictureJob, PictureJobLine, PictureJobPage, document
from maquette.api.routes.jobs import JobId
from maquette.api.waiting import Wait
from maquette.core import errors as e
from maquette.core.people import Scope
from maquette.core.requests import Digest, canonical
from maquette.core.states import JobState
from maquette.services import delivering, jobs, library, results
from maquette.services.results import Result
from maquette.services.studio import Studio

router = APIRouter(tags=["pictures"])

Index = Annotated[int, Path(ge=0, le=10_000, description="The picture's place in `images`.")]
_BYTES: Responses = files.SENT | raises(
    e.JobNotFound,
    e.AssetNotFound,
    e.ObjectNotFound,
    e.RangeOutside,
    e.StorageUnavailable,
    e.OperationFailed,
    e.OperationTimedOut,
    e.InvalidInput,
)


@router.get("/v1/jobs", summary="List the jobs of one's project")
async def list_picture_jobs(
    entry: LookingOwn,
    studio: TheStudio,
    state: Annotated[JobState | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None, Query(max_length=48, description="`next` of the page that came before.")
    ] = None,
) -> PictureJobPage:
    """Return a page of the project's jobs, newest first."""
    found = await jobs.page(
        studio, entry.project.id, state=state, run_id=None, limit=limit, before=before
    )
    lines = [PictureJobLine.of(one) for one in found]
    return PictureJobPage(data=lines, next=lines[-1].id if len(lines) == limit else None)


@router.get(
    "/v1/jobs/{job_id}",
    summary="Show a job with its pictures",
    responses=raises(e.JobNotFound, e.StorageUnavailable, e.ObjectNotFound),
)
async def show_picture_job(
    request: Request,
    entry: LookingOwn,
    house: TheHouse,
    job_id: JobId,
    *,
    wait: Wait = 0,
    data_uri: bool = False,
) -> PictureJob:
    """Return a job as it is, or with `wait` when it has ended."""
    with waiting.place(house, entry.caller, wait):
        result = await waiting.waited(request, house, entry, job_id, wait, Scope.READ)
        return await _document(house.studio, entry, result, data_uri=data_uri)


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=202,
    summary="Cancel a job",
    responses=raises(e.JobNotFound, e.WrongState),
)
@router.post(
    "/v1/jobs/{job_id}/cancel",
    status_code=202,
    summary="Cancel a job, for clients that only post",
    responses=raises(e.JobNotFound, e.WrongState),
    operation_id="cancel_picture_job_by_post",
)
async def cancel_picture_job(entry: EditingOwn, studio: TheStudio, job_id: JobId) -> PictureJob:
    """Ask for a job's end; a call that was paid is waited for, and its pictures are kept."""
    await jobs.cancel(studio, entry.project.id, job_id)
    return await _document(studio, entry, await results.of(studio, entry.project.id, job_id))


@router.get(
    "/v1/jobs/{job_id}/pictures/{index}",
    summary="Look at a job's picture",
    response_class=Response,
    responses=_BYTES,
)
async def look_at_picture(
    entry: LookingOwn,
    house: TheHouse,
    job_id: JobId,
    index: Index,
    *,
    if_none_match: files.IfNoneMatch = None,
    if_range: files.IfRange = None,
    range: files.Range = None,  # noqa: A002 - the header's name
) -> Response:
    """Send a picture in the format that was asked for; parts of it where it is as it was made."""
    asked = files.Asked(if_none_match, if_range, range)
    return await _sent(house, entry, job_id, index, asked)


@router.get(
    "/api/projects/{slug}/jobs/{job_id}/pictures/{index}",
    summary="Look at a job's picture, by an address that names its project",
    response_class=Response,
    responses=_BYTES,
)
async def look_at_project_picture(
    entry: Viewing,
    house: TheHouse,
    job_id: JobId,
    index: Index,
    *,
    if_none_match: files.IfNoneMatch = None,
    if_range: files.IfRange = None,
    range: files.Range = None,  # noqa: A002 - the header's name
) -> Response:
    """Send a picture in the format that was asked for; parts of it where it is as it was made."""
    asked = files.Asked(if_none_match, if_range, range)
    return await _sent(house, entry, job_id, index, asked)


async def _sent(
    house: House, entry: Entry, job_id: str, index: int, asked: files.Asked
) -> Response:
    studio = house.studio
    result = await results.of(studio, entry.project.id, job_id)
    if index >= len(result.pictures):
        raise e.AssetNotFound(
            f"The job {job_id} has {len(result.pictures)} pictures, counted from 0, and none "
            f"numbered {index}."
        )
    one = result.pictures[index]
    delivery = delivering.of_run(result.run.settings)
    kind = delivering.media_type(one, delivery)
    if kind is None:
        what = files.Sending(one.asset.digest, one.blob.media_type)

        async def find() -> files.Found:
            return await library.located(studio, entry.project, Digest(one.asset.digest))

        return await files.send(asked, what, find)
    tag = hashlib.sha256(f"{one.asset.digest}{canonical(delivery.document())}".encode()).hexdigest()
    headers = files.Sending(tag, kind).headers()
    if files.matches(asked.if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    found = await delivering.picture(studio, result, one)
    return Response(found.data, headers=headers, media_type=found.media_type)


async def _document(
    studio: Studio, entry: Entry, result: Result, *, data_uri: bool = False
) -> PictureJob:
    held = await jobs.held(studio, result.job.id)
    return await document(studio, entry.slug, result, held, data_uri=data_uri)
