"""Runs: planned for free, begun on confirmation, listed, shown, cancelled, made again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from maquette.api.claims import ONCE, MadeBefore, TheClaim
from maquette.api.contract import Responses, raises
from maquette.api.door import Editing, Entry, Spending, Viewing
from maquette.api.house import TheStudio
from maquette.api.routes.jobs import Again, JobDocument, Urgency
from maquette.core import errors as e
from maquette.core import money
from maquette.core.wanted import Wanted
from maquette.services import jobs, ordering, replaying, running, starting, viewing
from maquette.services.ordering import Amount, RunWanted
from maquette.services.planning import Plan
from maquette.services.studio import Studio

router = APIRouter(prefix="/api/projects/{slug}/runs", tags=["runs"])

RunId = Annotated[str, Path(max_length=40, pattern=r"^[A-Za-z0-9-]+$", examples=["latest"])]
Before = Annotated[
    str | None, Query(max_length=40, description="`next` of the page that came before.")
]

PLANNING: Responses = raises(
    e.InvalidInput,
    e.ImageTooLarge,
    e.FileMissing,
    e.AssetNotFound,
    e.UnknownPlugin,
    e.PriceUnknown,
    e.StorageUnavailable,
)
SPENDING: Responses = raises(
    e.SpendRefused, e.Conflict, e.StorageUnavailable, e.StorageFull, e.ImageTooLarge
)


class RunDocument(BaseModel):
    """A run in a list."""

    id: str
    state: str
    scenes: int
    spent_usd: str
    created_at: datetime


class RunPage(BaseModel):
    """A page of runs, newest first."""

    items: list[RunDocument]
    next: str | None = None
    """The cursor of the page after this one; null at the end."""


class RunShown(RunDocument):
    """A run with its jobs."""

    worst_case_usd: str
    max_spend_usd: str | None
    confirmed: bool
    replay_of: str | None
    correlation_id: str | None
    started_at: datetime | None
    finished_at: datetime | None
    order: dict[str, Any]
    jobs: list[JobDocument]


class PlannedScene(BaseModel):
    """What would be done for one scene."""

    scene: str
    candidates: int
    calls: int
    worst_case_usd: str
    steps: list[str]


class PlanDocument(BaseModel):
    """What a run would do, and the most it can cost; nothing was sent."""

    provider: str
    model: str
    scenes: list[PlannedScene]
    calls: int
    worst_case_usd: str
    needs_confirmation: bool
    notes: list[str]


class Ingested(BaseModel):
    """What became of a run log."""

    id: str
    ingested: bool
    """False where the database had it already."""


class LogGiven(Wanted):
    """A run log, by its name below the project's root."""

    run_log: Annotated[
        str, Field(min_length=1, max_length=400, examples=["runs/20261120-134307-c478.json"])
    ]


@router.get("", summary="List runs")
async def list_runs(
    entry: Viewing,
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Before = None,
) -> RunPage:
    """Return a page of the project's runs, newest first."""
    found = await viewing.listing(studio, entry.slug, limit, before)
    items = [
        RunDocument(
            id=one.run,
            state=one.state,
            scenes=one.scenes,
            spent_usd=str(one.spent),
            created_at=one.began,
        )
        for one in found
    ]
    return RunPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/dry", summary="Plan a run", responses=PLANNING)
async def plan_run(entry: Viewing, studio: TheStudio, wanted: RunWanted) -> PlanDocument:
    """Say what would be sent and the most it can cost; sends and writes nothing."""
    return _plan_document(await ordering.plan(studio, entry.project, wanted, entry.caller.user_id))


@router.post("", status_code=201, summary="Begin a run", responses=PLANNING | SPENDING | ONCE)
async def begin_run(
    entry: Spending, studio: TheStudio, wanted: RunWanted, claim: TheClaim, before: MadeBefore
) -> RunShown:
    """Plan the run and begin it; refuses where it may cost money and nobody confirmed that."""
    if before is not None:
        return await _shown(studio, entry, before.removeprefix("run:"))
    plan = await ordering.plan(studio, entry.project, wanted, entry.caller.user_id)
    allowed = starting.Spending(
        wanted.confirm_spend, _usd(wanted.max_spend_usd), by=entry.caller.user_id, claim=claim
    )
    return await _shown(studio, entry, await starting.start(studio, plan, allowed))


@router.post(
    "/ingest", summary="Take in a run log", responses=raises(e.FileMissing, e.InvalidInput)
)
async def ingest(entry: Editing, studio: TheStudio, given: LogGiven) -> Ingested:
    """Take in the log of a run; twice is harmless."""
    run_id, new = await viewing.ingest_from_root(studio, entry.project, given.run_log)
    return Ingested(id=run_id, ingested=new)


@router.get("/{run_id}", summary="Show a run", responses=raises(e.RunNotFound))
async def show_run(entry: Viewing, studio: TheStudio, run_id: RunId) -> RunShown:
    """Return the run with its jobs; `latest` is the newest."""
    return await _shown(studio, entry, await viewing.run_in(studio, entry.project.id, run_id))


@router.post(
    "/{run_id}/cancel", status_code=202, summary="Cancel a run", responses=raises(e.RunNotFound)
)
async def cancel_run(entry: Editing, studio: TheStudio, run_id: RunId) -> RunShown:
    """Ask a run to end; calls that were paid are waited for and kept."""
    run = await viewing.run_in(studio, entry.project.id, run_id)
    await running.cancel(studio, run)
    return await _shown(studio, entry, run)


@router.post(
    "/{run_id}/resume",
    status_code=202,
    summary="Go on with a run",
    responses=raises(e.RunNotFound, e.InvalidInput, e.OutcomeUnknown, e.UnknownPlugin) | SPENDING,
)
async def resume_run(entry: Spending, studio: TheStudio, run_id: RunId, allowed: Again) -> RunShown:
    """Queue again what was interrupted, cancelled or failed; nothing is paid twice."""
    run = await viewing.run_in(studio, entry.project.id, run_id)
    await running.resume(studio, run, _allowed(entry, allowed))
    return await _shown(studio, entry, run)


@router.post(
    "/{run_id}/replay",
    status_code=201,
    summary="Make a run again",
    responses=raises(e.RunNotFound, e.InvalidInput, e.UnknownPlugin) | SPENDING | ONCE,
)
async def replay_run(
    entry: Spending,
    studio: TheStudio,
    run_id: RunId,
    allowed: Again,
    claim: TheClaim,
    before: MadeBefore,
) -> RunShown:
    """Begin a run with the same frozen jobs: the same bytes where the model is deterministic."""
    if before is not None:
        return await _shown(studio, entry, before.removeprefix("run:"))
    run = await viewing.run_in(studio, entry.project.id, run_id)
    made = await replaying.replay(studio, run, _allowed(entry, allowed, claim))
    return await _shown(studio, entry, made)


@router.patch("/{run_id}", summary="Hurry a run", responses=raises(e.RunNotFound))
async def hurry_run(entry: Editing, studio: TheStudio, run_id: RunId, urgency: Urgency) -> RunShown:
    """Set the priority of the run's waiting jobs."""
    run = await viewing.run_in(studio, entry.project.id, run_id)
    await jobs.prioritise(studio, entry.project.id, urgency.priority, job_id=None, run_id=run)
    return await _shown(studio, entry, run)


def _allowed(entry: Entry, again: Again, claim: TheClaim = None) -> starting.Spending:
    return starting.Spending(
        again.confirm_spend, _usd(again.max_spend_usd), by=entry.caller.user_id, claim=claim
    )


def _usd(amount: Amount | None) -> money.Usd | None:
    return None if amount is None else money.Usd(amount)


async def _shown(studio: Studio, entry: Entry, run_id: str) -> RunShown:
    found = await viewing.story(studio, entry.project.id, run_id)
    run = found.run
    limit = run.max_spend_nano
    return RunShown(
        id=run.id,
        state=run.state,
        scenes=len(found.jobs),
        spent_usd=str(found.spent),
        created_at=run.created_at,
        worst_case_usd=str(money.from_nano(run.worst_case_nano)),
        max_spend_usd=None if limit is None else str(money.from_nano(limit)),
        confirmed=run.confirmed,
        replay_of=run.replay_of,
        correlation_id=run.correlation_id,
        started_at=run.started_at,
        finished_at=run.finished_at,
        order=viewing.order_words(run),
        jobs=[JobDocument.of(job) for job in found.jobs],
    )


def _plan_document(plan: Plan) -> PlanDocument:
    return PlanDocument(
        provider=plan.provider,
        model=plan.profile.id,
        scenes=[
            PlannedScene(
                scene=job.spec.scene,
                candidates=job.spec.candidates,
                calls=len(job.spec.calls),
                worst_case_usd=str(job.worst_case),
                steps=list(job.spec.post.names()),
            )
            for job in plan.jobs
        ],
        calls=plan.calls,
        worst_case_usd=str(plan.worst_case),
        needs_confirmation=plan.worst_case > 0,
        notes=list(plan.notes),
    )
