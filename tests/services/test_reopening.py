"""A run that is reopened: while it is being closed, and by several at once."""

from __future__ import annotations

import asyncio

from sqlalchemy import select

from maquette.core.errors import MaquetteError
from maquette.core.states import JobState
from maquette.db import runs
from maquette.db.tables import Event, Hold
from maquette.jobs.desk import Desk
from maquette.services import closing, running
from maquette.services.starting import Spending
from maquette.testing.scripted import Act
from tests.conftest import Opener
from tests.services.conftest import Begin

YES = Spending(confirmed=True)


async def test_a_run_that_is_resumed_while_its_log_is_written_stays_open(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio(Act("refuse")) as studio:
        run = await begin(studio)
        leaving, resumed = asyncio.Event(), False

        async def finish(ended: str) -> None:
            nonlocal resumed
            await closing.finish(studio, ended)
            if not resumed:
                resumed = True
                await running.resume(studio, run, YES)

        async def done() -> bool:
            async with studio.shop.db.read() as session:
                return JobState((await runs.by_id(session, run)).state).final

        async with asyncio.timeout(60):
            await Desk(studio.shop, studio.new_engine(), finish).work_until(done, leaving)
        async with studio.shop.db.read() as session:
            told = select(Event.data).where(Event.run_id == run, Event.kind == "run_ended")
            ended = [data["now_state"] for data in (await session.execute(told)).scalars()]
        assert resumed
        assert ended == ["succeeded"]


async def test_a_run_is_reopened_once_however_many_ask(
    open_studio: Opener, begin: Begin, fresh_postgres: str
) -> None:
    async with open_studio(Act("refuse"), url=fresh_postgres) as studio:
        run = await begin(studio)
        await running.see_through(studio, run, _nobody)
        asked = (running.resume(studio, run, YES) for _ in range(4))
        came = await asyncio.gather(*asked, return_exceptions=True)
        assert [one for one in came if not isinstance(one, str | MaquetteError)] == []
        assert run in came
        async with studio.shop.db.read() as session:
            (job, *_) = [one for one in await runs.jobs_of(session, run) if one.round]
            hold = await session.get_one(Hold, job.id)
        assert (job.state, job.round) == ("queued", 1)
        assert hold.remaining_nano == job.worst_case_nano


async def _nobody(_event: Event) -> None:
    """Is told of events and says nothing."""
