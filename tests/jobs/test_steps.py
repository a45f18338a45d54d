"""A step is counted before it is done: what brings the program down each time is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from maquette.core.states import JobState
from maquette.db.tables import Step
from maquette.jobs.job import POISON
from maquette.services import running, starting
from maquette.services.studio import Studio
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.jobs.conftest import Begin, look, see


async def _steps(studio: Studio, run: str) -> Sequence[Step]:
    async with studio.shop.db.read() as session:
        return (
            (await session.execute(select(Step).where(Step.job_id.startswith(run)))).scalars().all()
        )


async def _crashed(studio: Studio, run: str, name: str, starts: int) -> None:
    """Leave what so many crashes inside the step leave."""
    at = datetime.now(UTC)
    jobs = (await look(studio, run)).jobs
    async with studio.shop.db.write() as session:
        for job in jobs:
            step = Step(job_id=job.id, name=name, state="running", starts=starts, started_at=at)
            session.add(step)


@pytest.mark.parametrize(("name", "paid"), [("generate.0", 0), ("guard", 2), ("publish", 2)])
async def test_a_step_that_crashed_too_often_is_given_up_and_can_be_resumed(
    open_studio: Opener, begin: Begin, books: Books, name: str, paid: int
) -> None:
    async with open_studio() as studio:
        run = await begin(studio)
        await _crashed(studio, run, name, POISON)
        seen = await see(studio, run)
        assert {job.error_code for job in seen.jobs} == {"step-crashed"}
        assert (books.paid_calls, seen.held) == (paid, 0)
        assert [step.name for step in await _steps(studio, run) if step.state != "done"] == []
        again = await see(studio, await running.resume(studio, run, starting.Spending()))
    assert again.state is JobState.SUCCEEDED
    assert books.paid_calls == 2


async def test_one_crash_less_is_not_too_often(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        run = await begin(studio)
        await _crashed(studio, run, "guard", POISON - 1)
        seen = await see(studio, run)
        steps = [step for step in await _steps(studio, run) if step.name == "guard"]
    assert seen.state is JobState.SUCCEEDED
    assert [step.starts for step in steps] == [POISON, POISON]


async def test_a_step_that_was_never_come_to_counts_no_start(
    open_studio: Opener, begin: Begin
) -> None:
    """What follows a call begins in the call's own commit; cancelling comes between."""
    async with open_studio(Act(delay_s=0.5), Act(delay_s=0.5)) as studio:
        run = await begin(studio)
        sent = asyncio.Event()

        async def tell(event: object) -> None:
            if getattr(event, "kind", "") == "sent":
                sent.set()

        async def cancel() -> None:
            await sent.wait()
            await running.cancel(studio, run)

        cancelling = asyncio.create_task(cancel())
        await running.see_through(studio, run, tell)
        await cancelling
        seen = await look(studio, run)
        steps = await _steps(studio, run)
    assert seen.state is JobState.CANCELLED
    assert {step.name: step.state for step in steps} == {"generate.0": "done"}
