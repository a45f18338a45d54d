"""What became of a job, as an error where it made no pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from maquette.core.errors import Cancelled, MaquetteError, NothingPassed, ShuttingDown
from maquette.core.states import JobState
from maquette.db.tables import Event, Job
from maquette.services import results
from maquette.services.feed import Feed
from maquette.services.rejoining import Standing
from maquette.services.results import Result
from maquette.services.studio import Studio

Again = Callable[[], Awaitable[object]]
"""Looks again whether whoever has waited may still see the job; raises where they may not."""


async def awaited(
    studio: Studio, feed: Feed, project_id: str, standing: Standing, again: Again
) -> Result:
    """Wait for a job's pictures; raise what it ended with instead."""
    job = await results.job_of(studio, project_id, standing.job_id)
    if not (JobState(job.state).final or _is_chosen(job)):
        follow = results.follow(feed, project_id, standing.job_id, standing.since)
        async with aclosing(follow) as events:
            async for event in events:
                if event is not None and tells_choice(event) and not _goes_on(job):
                    break
        await again()
    return checked(await results.of(studio, project_id, standing.job_id))


def tells_choice(event: Event) -> bool:
    """Tell whether a picture has passed the guard: what follows shows it in the folders."""
    return event.kind == "guarded" and event.data.get("selected") is not None


def chosen(result: Result) -> bool:
    """Tell whether the pictures are those that will be handed out, whatever is still to do.

    They are stored, settled and judged; where a post chain follows, its end is what counts.
    """
    return _is_chosen(result.job)


def _is_chosen(job: Job) -> bool:
    return job.selected_position is not None and not _goes_on(job)


def _goes_on(job: Job) -> bool:
    chain: dict[str, Any] = job.spec.get("post") or {}
    return any(step is not None for step in chain.values())


def checked(result: Result) -> Result:
    """Return a result that has pictures; raise the error of one that has none."""
    problem = None if chosen(result) else problem_of(result)
    if problem is not None:
        raise problem
    return result


def problem_of(result: Result) -> MaquetteError | None:
    """Say why a job has no pictures to hand out; None: it has."""
    job, state = result.job, JobState(result.job.state)
    if state is JobState.SUCCEEDED:
        return None
    if not state.final:
        return ShuttingDown(
            f"The server stops; the job {job.id} goes on when it is back. Ask for it then."
        )
    if state is JobState.CANCELLED:
        return Cancelled(f"The job {job.id} was cancelled; nothing more is made.")
    if state is JobState.FAILED_OUTPUT_GUARD:
        found = ", ".join(
            str(one["code"])
            for picture in result.pictures
            for one in (picture.verdict or {}).get("findings", ())
            if one["severity"] == "hard"
        )
        return NothingPassed(
            f"No picture of the job {job.id} passed the output guard ({found or 'see the job'}); "
            "they are kept. Change the prompt or the rules of the guard."
        )
    kind = _kinds().get(job.error_code or "", MaquetteError)
    return kind(job.error_message or f"The job {job.id} failed.")


def _kinds() -> dict[str, type[MaquetteError]]:
    found: dict[str, type[MaquetteError]] = {}
    left = [MaquetteError]
    while left:
        kind = left.pop()
        found.setdefault(kind.code, kind)
        left += kind.__subclasses__()
    return found
