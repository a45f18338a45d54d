"""Jobs that were begun: waited for, told, ended."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace

from maquette.agent import showing
from maquette.agent.call import Answer, Call
from maquette.agent.tells import JobTold
from maquette.agent.wants import CancelJob, FollowJob
from maquette.core import money
from maquette.core.errors import ShuttingDown
from maquette.core.people import Needs
from maquette.core.states import JobState
from maquette.db.tables import Event, Project
from maquette.services import jobs, results
from maquette.services.results import Result
from maquette.services.studio import unless_stopped


async def follow_job(call: Call, wanted: FollowJob) -> Answer:
    """Wait for a job, or look at it at once."""
    project = await call.enter(wanted.project, Needs.PROJECT_VIEWER)
    return await answer(call, project, wanted.job, wanted.wait_s)


async def cancel_job(call: Call, wanted: CancelJob) -> Answer:
    """Ask for a job's end."""
    project = await call.enter(wanted.project, Needs.PROJECT_EDITOR)
    await jobs.cancel(call.studio, project.id, wanted.job)
    return await answer(call, project, wanted.job, 0)


async def answer(call: Call, project: Project, job_id: str, wait_s: int) -> Answer:
    """Wait, telling of progress, and say how the job stands then, with its pictures.

    Whoever waits may go away: the job goes on.
    """
    since = call.office.feed.last
    found = await results.of(call.studio, project.id, job_id)
    if not found.ended and wait_s:
        with suppress(TimeoutError, ShuttingDown):
            async with asyncio.timeout(wait_s):
                await unless_stopped(_wait(call, project, job_id, since), call.gone)
        call = replace(call, caller=await call.again())  # they may have lost what they had then
        await call.enter(project.slug, Needs.PROJECT_VIEWER)
        found = await results.of(call.studio, project.id, job_id)
    told = _told(project, found)
    chosen = told.pictures if found.ended else []
    return Answer(told, await showing.shown(call, project, chosen))


async def _wait(call: Call, project: Project, job_id: str, since: int) -> None:
    seen, fraction = 0, 0.0
    events = results.follow(call.office.feed, project.id, job_id, since)
    async with aclosing(events) as news:
        async for event in news:
            if event is None:
                continue
            seen += 1
            fraction = max(fraction, _fraction(event))
            await call.tell(seen + fraction, None, _words(event))


def _fraction(event: Event) -> float:
    """Say how far a step is; whole numbers count events, so that it always grows."""
    found = event.data.get("fraction") if event.kind == "progress" else None
    return min(0.99, float(found)) if isinstance(found, int | float) else 0.0


def _words(event: Event) -> str:
    """Say what happened, for people."""
    if event.kind == "progress":
        percent = round(100 * float(event.data.get("fraction") or 0))
        return f"{event.data.get('note') or 'working'}: {percent} %"
    if event.kind == "waiting":
        return f"waiting {event.data.get('seconds')} s: {event.data.get('why')}"
    if event.kind == "job_ended":
        return f"ended: {event.data.get('now_state') or event.data.get('state') or 'done'}"
    step = event.data.get("step")
    return event.kind.replace("_", " ") + (f": {step}" if step else "")


def _told(project: Project, found: Result) -> JobTold:
    job, run = found.job, found.run
    return JobTold(
        state=job.state,
        words=_state_words(found),
        project=project.slug,
        job=job.id,
        run=run.id,
        price_usd=str(money.from_nano(run.worst_case_nano)),
        cost_usd=str(found.cost),
        pictures=[
            showing.picture_told(
                project, one.asset, one.blob, selected=one.selected, state=one.state
            )
            for one in found.final
        ],
        usage=found.usage,
        error_code=job.error_code,
        error_message=job.error_message,
    )


def _state_words(found: Result) -> str:
    state = JobState(found.job.state)
    if not state.final:
        return (
            f"The job is {state.value} and goes on. Call follow_job with job={found.job.id!r} "
            "to wait for it; cancel_job ends it."
        )
    if state is JobState.SUCCEEDED:
        count = len(found.final)
        many = "1 picture" if count == 1 else f"{count} pictures"
        return f"Done: {many}, {money.show(found.cost)}."
    why = f" {found.job.error_message}" if found.job.error_message else ""
    return f"The job ended {state.value}; {money.show(found.cost)} was charged.{why}"
