"""Runs, their jobs and the jobs' steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import JobNotFound, RunNotFound
from maquette.core.states import AttemptState, JobState
from maquette.db.tables import Asset, Attempt, Candidate, Hold, Job, Run, Step

OPEN = (JobState.QUEUED.value, JobState.RUNNING.value)
OF_PICTURES = Run.kind == "pictures"
"""The others are calls of language and speech models: `db.talk` reads those."""


async def locked(session: AsyncSession, run_id: str) -> Run:
    """Return a run that nobody else closes or reopens before the commit."""
    return await session.get_one(Run, run_id, with_for_update=True)


async def by_id(session: AsyncSession, run_id: str, project_id: str | None = None) -> Run:
    """Find a run by its id, an unambiguous beginning or end of it, or `latest`."""
    query = select(Run).where(OF_PICTURES).order_by(Run.created_at.desc(), Run.id.desc()).limit(2)
    if project_id is not None:
        query = query.where(Run.project_id == project_id)
    exact = (await session.execute(query.where(Run.id == run_id))).scalar_one_or_none()
    if exact is not None:
        return exact
    if run_id != "latest":
        part = Run.id.startswith(run_id, autoescape=True) | Run.id.endswith(run_id, autoescape=True)
        query = query.where(part)
    found = (await session.execute(query)).scalars().all()
    if not found:
        raise RunNotFound(f"There is no run {run_id!r}. `maquette runs` lists them.")
    if len(found) > 1 and run_id != "latest":
        raise RunNotFound(f"Several runs match {run_id!r}; write more of the id.")
    return found[0]


async def jobs_of(session: AsyncSession, run_id: str) -> Sequence[Job]:
    query = select(Job).where(Job.run_id == run_id).order_by(Job.position)
    return (await session.execute(query)).scalars().all()


class OpenJob(NamedTuple):
    """A job as the desk looks for it, many times a minute: without its spec."""

    id: str
    run_id: str
    round: int
    begun: bool
    """Whether a desk has ever opened it."""


_OPEN_JOB = (Job.id, Job.run_id, Job.round, Job.started_at.is_not(None))


async def open_jobs(session: AsyncSession, limit: int) -> Sequence[OpenJob]:
    """Return the jobs that wait or were left running, the most urgent, then the oldest first."""
    query = (
        select(*_OPEN_JOB)
        .join(Run, Run.id == Job.run_id)
        .where(Job.state.in_(OPEN), OF_PICTURES)
        .order_by(Job.priority.desc(), Job.created_at, Job.run_id, Job.position)
        .limit(limit)
    )
    return [OpenJob(*row) for row in (await session.execute(query)).all()]


async def cancelled_open(session: AsyncSession) -> Sequence[OpenJob]:
    """Return the open jobs that a person cancelled, or whose run."""
    query = (
        select(*_OPEN_JOB)
        .join(Run, Run.id == Job.run_id)
        .where(
            OF_PICTURES,
            Job.state.in_(OPEN),
            Run.cancel_requested_at.is_not(None) | Job.cancel_requested_at.is_not(None),
        )
    )
    return [OpenJob(*row) for row in (await session.execute(query)).all()]


async def open_in_project(session: AsyncSession, project_id: str) -> str | None:
    """Return the id of an unfinished run of the project, if there is one."""
    mine = (Run.project_id == project_id, OF_PICTURES, Run.state.in_(OPEN))
    query = select(Run.id).where(*mine).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def open_runs_done(session: AsyncSession) -> Sequence[str]:
    """Return the ids of the runs that are still marked open though none of their jobs is."""
    busy = select(Job.run_id).where(Job.state.in_(OPEN))
    done = Run.id.not_in(busy)
    query = select(Run.id).where(Run.state.in_(OPEN), OF_PICTURES, done).order_by(Run.created_at)
    return (await session.execute(query)).scalars().all()


async def open_ids(session: AsyncSession) -> Sequence[str]:
    """Return the ids of all runs that have not ended."""
    query = select(Run.id).where(Run.state.in_(OPEN), OF_PICTURES)
    return (await session.execute(query)).scalars().all()


async def listing(
    session: AsyncSession, *, project_id: str | None, limit: int, before: str | None
) -> Sequence[Run]:
    """Return a keyset page of runs, newest first."""
    query = select(Run).where(OF_PICTURES).order_by(Run.id.desc()).limit(limit)
    if project_id is not None:
        query = query.where(Run.project_id == project_id)
    if before is not None:
        query = query.where(Run.id < before)
    return (await session.execute(query)).scalars().all()


async def job_in(session: AsyncSession, project_id: str, job_id: str) -> Job:
    """Return a project's job."""
    query = select(Job).join(Run).where(Run.project_id == project_id, Job.id == job_id, OF_PICTURES)
    found = (await session.execute(query)).scalar_one_or_none()
    if found is None:
        raise JobNotFound(f"There is no job {job_id!r} in this project; list its jobs to find it.")
    return found


async def jobs_page(
    session: AsyncSession,
    project_id: str,
    *,
    state: str | None,
    run_id: str | None,
    limit: int,
    before: str | None,
) -> Sequence[Job]:
    """Return a keyset page of a project's jobs, the newest run's first."""
    mine = (Run.project_id == project_id, OF_PICTURES)
    query = select(Job).join(Run).where(*mine).order_by(Job.id.desc())
    if state is not None:
        query = query.where(Job.state == state)
    if run_id is not None:
        query = query.where(Job.run_id == run_id)
    if before is not None:
        query = query.where(Job.id < before)
    return (await session.execute(query.limit(limit))).scalars().all()


async def candidates_of(session: AsyncSession, job_id: str) -> Sequence[Candidate]:
    query = select(Candidate).where(Candidate.job_id == job_id).order_by(Candidate.position)
    return (await session.execute(query)).scalars().all()


async def attempts_of(session: AsyncSession, job_id: str) -> Sequence[Attempt]:
    query = (
        select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.created_at, Attempt.number)
    )
    return (await session.execute(query)).scalars().all()


async def held_nano(session: AsyncSession, job_id: str) -> int:
    """Return what is held for a job: for calls to come, and for those whose end is open."""
    hold = await session.get(Hold, job_id)
    standing = (AttemptState.RESERVED.value, AttemptState.SENT.value, AttemptState.UNKNOWN.value)
    under_way = sum(
        one.reserved_nano for one in await attempts_of(session, job_id) if one.state in standing
    )
    return under_way + (hold.remaining_nano if hold is not None and hold.is_open else 0)


async def steps_of(session: AsyncSession, job_id: str) -> Sequence[Step]:
    query = select(Step).where(Step.job_id == job_id).order_by(Step.id)
    return (await session.execute(query)).scalars().all()


async def step(session: AsyncSession, job_id: str, name: str) -> Step | None:
    query = select(Step).where(Step.job_id == job_id, Step.name == name)
    return (await session.execute(query)).scalar_one_or_none()


async def begin_step(session: AsyncSession, job_id: str, name: str, at: datetime) -> Step:
    """Count one more start of a step that is not done; return it as it stood."""
    found = await step(session, job_id, name)
    if found is None:
        found = Step(job_id=job_id, name=name, state="running", starts=1, started_at=at)
        session.add(found)
    elif found.state == "running":
        found.starts += 1
        found.started_at = at
    await session.flush()
    return found


async def finish_step(
    session: AsyncSession, job_id: str, name: str, result: dict[str, Any], at: datetime
) -> None:
    await session.execute(
        update(Step)
        .where(Step.job_id == job_id, Step.name == name)
        .values(state="done", result=result, finished_at=at)
    )


async def abandon_step(session: AsyncSession, job_id: str, name: str) -> None:
    """Forget a start that ended in an error of ours: it was no crash."""
    await session.execute(
        delete(Step).where(Step.job_id == job_id, Step.name == name, Step.state == "running")
    )


async def set_job(session: AsyncSession, job_id: str, **values: Any) -> None:
    await session.execute(update(Job).where(Job.id == job_id).values(**values))


async def set_priority(
    session: AsyncSession, run_id: str, priority: int, job_id: str | None
) -> int:
    """Set it for the waiting jobs of a run, or one of them; return how many there were."""
    query = update(Job).where(Job.run_id == run_id, Job.state == JobState.QUEUED.value)
    if job_id is not None:
        query = query.where(Job.id == job_id)
    changed = await session.execute(query.values(priority=priority).returning(Job.id))
    return len(changed.all())


async def forget(session: AsyncSession, run_id: str) -> None:
    """Take an ingested run's rows away, to write them anew; its pictures stay."""
    mine = select(Job.id).where(Job.run_id == run_id)
    for table in (Candidate, Step, Attempt):
        await session.execute(delete(table).where(table.job_id.in_(mine)))
    await session.execute(update(Asset).where(Asset.job_id.in_(mine)).values(job_id=None))
    await session.execute(delete(Job).where(Job.run_id == run_id))
    await session.execute(delete(Run).where(Run.id == run_id))
    session.expunge_all()


async def count_open(session: AsyncSession) -> tuple[int, int]:
    """Return how many jobs wait and how many are being worked."""
    query = (
        select(Job.state, func.count())
        .join(Run, Run.id == Job.run_id)
        .where(Job.state.in_(OPEN), OF_PICTURES)
        .group_by(Job.state)
    )
    found: dict[str, int] = dict((await session.execute(query)).all())
    return found.get(JobState.QUEUED.value, 0), found.get(JobState.RUNNING.value, 0)


async def roots(session: AsyncSession, project_id: str) -> Sequence[str]:
    """Return the roots that a project's runs have had, the latest first."""
    query = (
        select(Run.root)
        .where(Run.project_id == project_id, OF_PICTURES)
        .group_by(Run.root)
        .order_by(func.max(Run.id).desc())
        .limit(20)
    )
    return (await session.execute(query)).scalars().all()
