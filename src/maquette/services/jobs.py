"""Single jobs: listed, shown with all that was done for them, cancelled, retried, hurried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maquette.core import money
from maquette.core.errors import WrongState
from maquette.core.money import Usd
from maquette.core.states import JobState
from maquette.db import events, runs
from maquette.db.tables import Attempt, Candidate, Job, Run, Step
from maquette.services import running
from maquette.services.starting import Spending
from maquette.services.studio import Studio


@dataclass(frozen=True)
class JobStory:
    """A job with its steps, its calls and its candidates."""

    job: Job
    steps: Sequence[Step]
    attempts: Sequence[Attempt]
    candidates: Sequence[Candidate]

    @property
    def settled_nano(self) -> int:
        return sum(one.settled_nano for one in self.attempts)


async def story(studio: Studio, project_id: str, job_id: str) -> JobStory:
    async with studio.shop.db.read() as session:
        job = await runs.job_in(session, project_id, job_id)
        return JobStory(
            job,
            await runs.steps_of(session, job.id),
            await runs.attempts_of(session, job.id),
            await runs.candidates_of(session, job.id),
        )


async def held(studio: Studio, job_id: str) -> Usd:
    """Return what is held for a job now."""
    async with studio.shop.db.read() as session:
        return money.from_nano(await runs.held_nano(session, job_id))


async def page(
    studio: Studio,
    project_id: str,
    *,
    state: JobState | None,
    run_id: str | None,
    limit: int,
    before: str | None,
) -> Sequence[Job]:
    async with studio.shop.db.read() as session:
        return await runs.jobs_page(
            session, project_id, state=state, run_id=run_id, limit=limit, before=before
        )


async def cancel(studio: Studio, project_id: str, job_id: str) -> Job:
    """Ask for one job's end; its run goes on with the others."""
    async with studio.shop.db.write() as session:
        job = await runs.job_in(session, project_id, job_id)
        if JobState(job.state).final:
            raise WrongState(f"The job has ended already: {job.state}. There is nothing to cancel.")
        if job.cancel_requested_at is None:
            now = studio.shop.clock.now()
            job.cancel_requested_at = now
            events.record(
                session,
                "cancel_requested",
                project_id=project_id,
                run_id=job.run_id,
                job_id=job.id,
                at=now,
                scene=job.scene,
            )
    return job


async def retry(studio: Studio, project_id: str, job_id: str, spending: Spending) -> Job:
    """Go on with one job that failed or was cancelled; nothing is paid twice."""
    async with studio.shop.db.read() as session:
        job = await runs.job_in(session, project_id, job_id)
    if not JobState(job.state).final:
        raise WrongState(f"The job is {job.state}; only one that has ended can be tried again.")
    await running.resume(studio, job.run_id, spending, only=job.id)
    async with studio.shop.db.read() as session:
        return await runs.job_in(session, project_id, job_id)


async def prioritise(
    studio: Studio, project_id: str, priority: int, *, job_id: str | None, run_id: str | None
) -> int:
    """Let waiting jobs, one or a whole run's, be begun earlier or later; return how many."""
    async with studio.shop.db.write() as session:
        if job_id is not None:
            run_id = (await runs.job_in(session, project_id, job_id)).run_id
        else:
            run_id = (await runs.by_id(session, run_id or "", project_id)).id
        count = await runs.set_priority(session, run_id, priority, job_id)
        if job_id is not None and not count:
            raise WrongState("The job does not wait any more, so its priority decides nothing.")
        run = await session.get_one(Run, run_id)
        events.record(
            session,
            "priority_changed",
            project_id=project_id,
            run_id=run.id,
            job_id=job_id,
            at=studio.shop.clock.now(),
            priority=priority,
            jobs=count,
        )
    return count
