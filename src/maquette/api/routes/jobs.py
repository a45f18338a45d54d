"""Jobs: one scene of a run each, with its steps, calls and candidates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.door import Editing, Entry, Spending, Viewing
from maquette.api.house import TheStudio
from maquette.core import errors as e
from maquette.core import money
from maquette.core.states import JobState
from maquette.core.wanted import Wanted
from maquette.db.tables import Job
from maquette.services import jobs, starting
from maquette.services.jobs import JobStory
from maquette.services.ordering import Amount
from maquette.services.studio import Studio

router = APIRouter(prefix="/api/projects/{slug}/jobs", tags=["jobs"])

JobId = Annotated[str, Path(max_length=48, pattern=r"^[A-Za-z0-9-]+$")]
Priority = Annotated[int, Field(ge=-100, le=100, description="Higher is begun earlier.")]


class JobDocument(BaseModel):
    """A job in a list."""

    id: str
    run: str
    scene: str
    state: str
    priority: int
    final_asset: str | None
    error_code: str | None
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Describe a row."""
        return cls(
            id=job.id,
            run=job.run_id,
            scene=job.scene,
            state=job.state,
            priority=job.priority,
            final_asset=job.final_asset_id,
            error_code=job.error_code,
            error_message=job.error_message,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )


class JobPage(BaseModel):
    """A page of jobs, the newest run's first."""

    items: list[JobDocument]
    next: str | None = None


class StepDocument(BaseModel):
    """A part of a job that is done once."""

    name: str
    state: str
    started_at: datetime
    finished_at: datetime | None


class AttemptDocument(BaseModel):
    """One provider call and its money."""

    id: str
    call: str
    state: str
    provider: str
    model: str
    reserved_usd: str
    settled_usd: str
    error_code: str | None
    error_message: str | None
    sent_at: datetime | None
    finished_at: datetime | None


class CandidateDocument(BaseModel):
    """One picture that was made, and what the guard says of it."""

    position: int
    asset: str
    state: str
    selected: bool
    verdict: dict[str, Any] | None


class JobShown(JobDocument):
    """A job with all that was done for it."""

    worst_case_usd: str
    spent_usd: str
    steps: list[StepDocument]
    attempts: list[AttemptDocument]
    candidates: list[CandidateDocument]


class Again(Wanted):
    """What doing it again is allowed to cost."""

    confirm_spend: bool = False
    max_spend_usd: Amount | None = None


class Urgency(Wanted):
    """When what waits is begun."""

    priority: Priority


@router.get("", summary="List jobs")
async def list_jobs(
    entry: Viewing,
    studio: TheStudio,
    state: Annotated[JobState | None, Query()] = None,
    run: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=48)] = None,
) -> JobPage:
    """Return a page of the project's jobs."""
    found = await jobs.page(
        studio, entry.project.id, state=state, run_id=run, limit=limit, before=before
    )
    items = [JobDocument.of(one) for one in found]
    return JobPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/{job_id}", summary="Show a job", responses=raises(e.JobNotFound))
async def show_job(entry: Viewing, studio: TheStudio, job_id: JobId) -> JobShown:
    """Return a job with its steps, calls and candidates."""
    return await _shown(studio, entry, job_id)


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    summary="Cancel a job",
    responses=raises(e.JobNotFound, e.WrongState),
)
async def cancel_job(entry: Editing, studio: TheStudio, job_id: JobId) -> JobShown:
    """Ask for one job's end; the others of its run go on."""
    await jobs.cancel(studio, entry.project.id, job_id)
    return await _shown(studio, entry, job_id)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Try a job again",
    responses=raises(
        e.JobNotFound,
        e.Conflict,
        e.InvalidInput,
        e.UnknownPlugin,
        e.SpendRefused,
        e.OutcomeUnknown,
        e.StorageUnavailable,
    ),
)
async def retry_job(entry: Spending, studio: TheStudio, job_id: JobId, allowed: Again) -> JobShown:
    """Go on with one job that failed or was cancelled; what was paid is not paid again."""
    limit = allowed.max_spend_usd
    spending = starting.Spending(
        allowed.confirm_spend,
        None if limit is None else money.Usd(limit),
        by=entry.caller.user_id,
    )
    await jobs.retry(studio, entry.project.id, job_id, spending)
    return await _shown(studio, entry, job_id)


@router.patch("/{job_id}", summary="Hurry a job", responses=raises(e.JobNotFound, e.WrongState))
async def hurry_job(entry: Editing, studio: TheStudio, job_id: JobId, urgency: Urgency) -> JobShown:
    """Set the priority of a waiting job."""
    await jobs.prioritise(studio, entry.project.id, urgency.priority, job_id=job_id, run_id=None)
    return await _shown(studio, entry, job_id)


async def _shown(studio: Studio, entry: Entry, job_id: str) -> JobShown:
    return _document(await jobs.story(studio, entry.project.id, job_id))


def _document(found: JobStory) -> JobShown:
    return JobShown(
        **JobDocument.of(found.job).model_dump(),
        worst_case_usd=str(money.from_nano(found.job.worst_case_nano)),
        spent_usd=str(money.from_nano(found.settled_nano)),
        steps=[
            StepDocument(
                name=one.name,
                state=one.state,
                started_at=one.started_at,
                finished_at=one.finished_at,
            )
            for one in found.steps
        ],
        attempts=[
            AttemptDocument(
                id=one.id,
                call=one.call,
                state=one.state,
                provider=one.provider,
                model=one.model,
                reserved_usd=str(money.from_nano(one.reserved_nano)),
                settled_usd=str(money.from_nano(one.settled_nano)),
                error_code=one.error_code,
                error_message=one.error_message,
                sent_at=one.sent_at,
                finished_at=one.finished_at,
            )
            for one in found.attempts
        ],
        candidates=[
            CandidateDocument(
                position=one.position,
                asset=one.asset_id,
                state=one.state,
                selected=one.selected,
                verdict=one.verdict,
            )
            for one in found.candidates
        ],
    )
