"""The run log: built from the rows, written beside the pictures, ingested anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BadParameter, Conflict, FileMissing
from maquette.core.findings import Verdict
from maquette.core.pipeline import JobSpec
from maquette.core.requests import digest_of
from maquette.core.runlog import (
    LoggedAttempt,
    LoggedCandidate,
    LoggedJob,
    LoggedPicture,
    LoggedStep,
    RunLog,
)
from maquette.core.states import AttemptState, JobState, run_state
from maquette.db import assets, projects, runs
from maquette.db.engine import Database
from maquette.db.tables import (
    Asset,
    AssetParent,
    Attempt,
    Blob,
    Candidate,
    Job,
    Project,
    Run,
    Step,
)
from maquette.db.upsert import insert_missing
from maquette.folders import log_path
from maquette.services import manifest
from maquette.services.studio import Studio


async def write(studio: Studio, run_id: str) -> None:
    """Write `runs/<run>.json`, whole or not at all; doing it again changes nothing."""
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, run_id)
        log = await build(session, run)
    data = (log.model_dump_json(indent=2) + "\n").encode()
    folders = studio.shop.place(run.root).folders
    await asyncio.to_thread(folders.write, log_path(run.id), data)
    async with studio.shop.db.write() as session:
        row = await session.get_one(Run, run.id)
        row.log_digest = digest_of(data)


async def build(session: AsyncSession, run: Run) -> RunLog:
    """Collect everything that is known of a run."""
    project = await session.get_one(Project, run.project_id)
    jobs = [await _job(session, job) for job in await runs.jobs_of(session, run.id)]
    attempts = [attempt for job in jobs for attempt in job.attempts]
    return RunLog(
        run=run.id,
        project=project.slug,
        state=run_state([job.state for job in jobs]),
        replay_of=run.replay_of,
        settings=dict(run.settings),
        versions={key: str(value) for key, value in run.versions.items()},
        max_spend_nano=run.max_spend_nano,
        reserved_nano=run.worst_case_nano,
        settled_nano=sum(attempt.settled_nano for attempt in attempts),
        confirmed=run.confirmed,
        pictures=tuple(await _pictures(session, run, jobs)),
        jobs=tuple(jobs),
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


async def _job(session: AsyncSession, job: Job) -> LoggedJob:
    steps = [step for step in await runs.steps_of(session, job.id) if step.state == "done"]
    published = [step.result for step in steps if step.name == "publish" and step.result]
    files: Sequence[dict[str, str | None]] = published[0]["files"] if published else []
    final = [file["path"] for file in files if file["asset"] == job.final_asset_id]
    return LoggedJob(
        id=job.id,
        position=job.position,
        scene=job.scene,
        state=JobState(job.state),
        spec=JobSpec.model_validate(job.spec),
        attempts=tuple(_attempt(one) for one in await runs.attempts_of(session, job.id)),
        candidates=tuple(
            [await _candidate(session, one) for one in await runs.candidates_of(session, job.id)]
        ),
        selected_candidate=job.selected_position,
        final_output=final[0] if final else None,
        final_asset=job.final_asset_id,
        steps=tuple(_step(step) for step in steps),
        files=tuple(files),
        error_code=job.error_code,
        error_message=job.error_message,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def _attempt(one: Attempt) -> LoggedAttempt:
    names = set(LoggedAttempt.model_fields) - {"state"}
    facts: dict[str, Any] = {name: getattr(one, name) for name in names}
    return LoggedAttempt(state=AttemptState(one.state), **facts)


async def _candidate(session: AsyncSession, one: Candidate) -> LoggedCandidate:
    asset = await session.get_one(Asset, one.asset_id)
    return LoggedCandidate.model_validate(
        {
            "position": one.position,
            "attempt": one.attempt_id,
            "asset": one.asset_id,
            "sha256": asset.digest,
            "state": one.state,
            "selected": one.selected,
            "verdict": None if one.verdict is None else Verdict.model_validate(one.verdict),
        }
    )


def _step(step: Step) -> LoggedStep:
    finished = step.finished_at or step.started_at
    return LoggedStep(
        name=step.name, result=step.result or {}, started_at=step.started_at, finished_at=finished
    )


async def _pictures(
    session: AsyncSession, run: Run, jobs: Sequence[LoggedJob]
) -> list[LoggedPicture]:
    made = select(Asset.id).where(Asset.job_id.in_([job.id for job in jobs]))
    parents = select(AssetParent.parent_id).where(AssetParent.asset_id.in_(made))
    named = [asset_id for job in jobs for asset_id, _ in job.spec.parents]
    query = (
        select(Asset, Blob)
        .join(Blob, (Blob.project_id == Asset.project_id) & (Blob.digest == Asset.digest))
        .where(Asset.id.in_(made) | Asset.id.in_(parents) | Asset.id.in_(named))
        .order_by(Asset.created_at, Asset.id)
    )
    found = (await session.execute(query)).all()
    given = {one.digest for job in jobs for one in job.spec.pictures}
    known = {asset.digest for asset, _ in found}
    for digest in sorted(given - known):  # a run that never got as far as a candidate
        for kind in ("source", "reference"):
            asset = await assets.with_digest(session, run.project_id, digest, kind)
            if asset is not None:
                found = [*found, await assets.get(session, asset.id)]
    own = {job.id for job in jobs}
    return [await _picture(session, asset, blob, own) for asset, blob in found]


async def _picture(
    session: AsyncSession, asset: Asset, blob: Blob, jobs: Collection[str]
) -> LoggedPicture:
    parents = await assets.parents_of(session, asset.id)
    return LoggedPicture(
        asset=asset.id,
        kind=asset.kind,
        sha256=asset.digest,
        media_type=blob.media_type,
        width_px=blob.width_px,
        height_px=blob.height_px,
        size_bytes=blob.size_bytes,
        has_alpha=blob.has_alpha,
        name=asset.name,
        made_by=dict(asset.made_by),
        parents=tuple((parent.id, role) for parent, role in parents),
        job=asset.job_id if asset.job_id in jobs else None,
        cost_nano=asset.cost_nano,
        created_at=asset.created_at,
    )


def read(path: Path) -> RunLog:
    """Read and check a run log file."""
    if not path.is_file():
        raise FileMissing(f"There is no run log {str(path)!r}.")
    try:
        return RunLog.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadParameter(manifest.explain(path, error, RunLog)) from None


async def ingest(database: Database, project: Project, root: str, log: RunLog) -> bool:
    """Add a run log's rows to a database; False where they are as they were.

    A run that was ingested before and went on where it came from is brought up to date; one that
    was worked here stands as it is. Money that another installation paid is recorded with its
    attempts; no cap and no report of this one counts it.
    """
    async with database.write() as session:
        known = await session.get(Run, log.run)
        if known is not None:
            if not known.foreign or known.finished_at == log.finished_at:
                return False
            await runs.forget(session, log.run)
        session.add(_run_row(project, root, log))
        await session.flush()
        for job in log.jobs:
            session.add(_job_row(log, job))
        await session.flush()
        await _ingest_pictures(session, project, log)
        for job in log.jobs:
            await _ingest_job(session, job)
    return True


def _run_row(project: Project, root: str, log: RunLog) -> Run:
    state = log.state if log.state.final else JobState.CANCELLED
    return Run(
        id=log.run,
        project_id=project.id,
        state=state.value,
        root=root,
        settings=log.settings,
        versions=dict(log.versions),
        replay_of=log.replay_of,
        max_spend_nano=log.max_spend_nano,
        worst_case_nano=log.reserved_nano,
        confirmed=log.confirmed,
        foreign=True,
        created_at=log.created_at,
        started_at=log.started_at,
        finished_at=log.finished_at,
    )


def _job_row(log: RunLog, job: LoggedJob) -> Job:
    state = job.state if job.state.final else JobState.CANCELLED
    return Job(
        id=job.id,
        run_id=log.run,
        position=job.position,
        scene=job.scene,
        state=state.value,
        spec=job.spec.model_dump(mode="json"),
        round=0,
        worst_case_nano=0,
        error_code=job.error_code,
        error_message=job.error_message,
        selected_position=job.selected_candidate,
        final_asset_id=job.final_asset,
        created_at=log.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


async def _ingest_pictures(session: AsyncSession, project: Project, log: RunLog) -> None:
    jobs = {candidate.asset: job.id for job in log.jobs for candidate in job.candidates}
    steps = [(step.result, job.id) for job in log.jobs for step in job.steps]
    jobs |= {str(result["asset"]): job for result, job in steps if "asset" in result}
    own = {job.id for job in log.jobs}
    jobs |= {one.asset: one.job for one in log.pictures if one.job in own}
    blobs = [
        {
            "project_id": project.id,
            "digest": one.sha256,
            "media_type": one.media_type,
            "size_bytes": one.size_bytes,
            "width_px": one.width_px,
            "height_px": one.height_px,
            "has_alpha": one.has_alpha,
            "created_at": one.created_at,
        }
        for one in log.pictures
    ]
    await insert_missing(session, Blob, blobs)
    rows = [
        {
            "id": one.asset,
            "project_id": project.id,
            "digest": one.sha256,
            "kind": one.kind,
            "name": one.name,
            "job_id": jobs.get(one.asset),
            "made_by": one.made_by,
            "cost_nano": one.cost_nano,
            "created_at": one.created_at,
        }
        for one in log.pictures
    ]
    await insert_missing(session, Asset, rows)
    known = {one.asset for one in log.pictures}
    links = [
        {"asset_id": one.asset, "parent_id": parent, "role": role}
        for one in log.pictures
        for parent, role in one.parents
        if parent in known
    ]
    await insert_missing(session, AssetParent, links)


def _attempt_row(job: LoggedJob, attempt: LoggedAttempt) -> Attempt:
    day = "" if attempt.sent_at is None else f"{attempt.sent_at:%F}"  # nothing was held here
    at = {"job_id": job.id, "day": day}
    return Attempt(**at, ticket=None, **attempt.model_dump())


async def _ingest_job(session: AsyncSession, job: LoggedJob) -> None:
    for attempt in job.attempts:
        session.add(_attempt_row(job, attempt))
    await session.flush()
    for one in job.candidates:
        session.add(
            Candidate(
                job_id=job.id,
                position=one.position,
                attempt_id=one.attempt,
                asset_id=one.asset,
                state=one.state,
                verdict=None if one.verdict is None else one.verdict.model_dump(mode="json"),
                selected=one.selected,
            )
        )
    for step in job.steps:
        session.add(Step(job_id=job.id, state="done", starts=1, **step.model_dump()))


def schema() -> str:
    """Return the JSON schema of the run log, as the repository keeps it."""
    return json.dumps(RunLog.model_json_schema(), indent=2, sort_keys=True) + "\n"


async def ingest_file(
    studio: Studio, project: Project, path: Path, database: Database | None = None
) -> bool:
    """Ingest a log file into this installation's database or another one."""
    log = await asyncio.to_thread(read, path)
    if log.project != project.slug:
        raise Conflict(
            f"{str(path)!r} is a run of project {log.project!r}, not {project.slug!r}; "
            f"give --project {log.project}."
        )
    root = project.root or str(path.absolute().parent.parent)
    if database is not None:
        async with database.write() as session:
            project = await projects.adopt_row(session, project)
    return await ingest(database or studio.shop.db, project, root, log)
