"""WEB-1: with `store=false` nothing that was given is kept when the job has ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import select

from maquette.core.people import Caller
from maquette.core.requests import digest_of
from maquette.core.storage import object_key
from maquette.db.tables import Asset, AssetParent, Borrowed, Job, Project
from maquette.services import asking, forgetting, people, projects, results, uploading, working
from maquette.services.asking import Wish
from maquette.services.starting import Spending
from maquette.services.studio import Studio
from maquette.services.uploading import Wishes
from tests.conftest import Opener
from tests.services.conftest import noise


async def opened(studio: Studio) -> tuple[Caller, Project]:
    caller = await people.local(studio)
    return caller, await projects.personal(studio, caller)


async def sent(
    studio: Studio, caller: Caller, project: Project, data: bytes, *, forget: bool
) -> asking.Given:
    async with uploading.intake(studio, project, caller, 10_000_000) as intake:
        await intake.begin("given.png")
        await intake.write(data)
        await intake.end()
        (made,) = await intake.finish(Wishes(forget=forget))
    return await asking.given(studio, project, made.id)


async def edited(studio: Studio, project: Project, given: asking.Given) -> results.Result:
    asked = await asking.ask(studio, project, Wish("warmer", model="proof", pictures=(given,)))
    job_id = await asking.begin(studio, project, asked, Spending())
    await worked(studio)
    return await results.of(studio, project.id, job_id)


async def worked(studio: Studio) -> None:

    await working.work(studio, asyncio.Event(), once=True)


def lies(studio: Studio, project: Project, data: bytes) -> bool:
    path = studio.shop.place(str(project.root)).storage.local_path(object_key(digest_of(data)))
    assert path is not None
    return path.exists()


async def test_what_was_only_lent_is_gone_when_the_job_has_ended(open_studio: Opener) -> None:
    async with open_studio() as studio:
        caller, project = await opened(studio)
        lent, kept = noise(1), noise(2)
        first = await sent(studio, caller, project, lent, forget=True)
        second = await sent(studio, caller, project, kept, forget=False)
        made = await edited(studio, project, first)
        other = await edited(studio, project, second)
        assert [made.job.state, other.job.state] == ["succeeded", "succeeded"]
        assert not lies(studio, project, lent)
        assert lies(studio, project, kept)
        async with studio.shop.db.read() as session:
            assert await session.get(Asset, first.asset) is None
            parents = (await session.execute(select(AssetParent.parent_id))).scalars().all()
            left = (await session.execute(select(Borrowed))).scalars().all()
        assert parents == [second.asset]
        assert not left
        assert made.pictures[0].asset.made_by["request"]["inputs"][0]["digest"] == digest_of(lent)


async def test_bytes_that_another_asset_has_stay(open_studio: Opener) -> None:
    async with open_studio() as studio:
        caller, project = await opened(studio)
        data = noise(3)
        await sent(studio, caller, project, data, forget=False)
        await edited(studio, project, await sent(studio, caller, project, data, forget=True))
        assert lies(studio, project, data)


async def test_what_an_undecided_job_needs_stays_until_it_is_decided(open_studio: Opener) -> None:
    async with open_studio() as studio:
        caller, project = await opened(studio)
        data = noise(4)
        given = await sent(studio, caller, project, data, forget=True)
        made = await edited_without_forgetting(studio, project, given)
        await set_state(studio, made, "outcome_unknown")
        await forgetting.after(studio, made.run.id)
        assert lies(studio, project, data)
        await set_state(studio, made, "failed")
        await forgetting.after(studio, made.run.id)
        assert not lies(studio, project, data)


async def edited_without_forgetting(
    studio: Studio, project: Project, given: asking.Given
) -> results.Result:
    asked = await asking.ask(studio, project, Wish("warmer", model="proof", pictures=(given,)))
    job_id = await asking.begin(studio, project, asked, Spending())
    return await results.of(studio, project.id, job_id)


async def set_state(studio: Studio, made: results.Result, state: str) -> None:
    async with studio.shop.db.write() as session:
        job = await session.get_one(Job, made.job.id)
        job.state = state


async def test_what_was_lent_for_nothing_is_swept(open_studio: Opener) -> None:
    async with open_studio() as studio:
        caller, project = await opened(studio)
        data = noise(5)
        given = await sent(studio, caller, project, data, forget=True)
        await forgetting.sweep(studio)
        assert lies(studio, project, data), "a request may be about to begin with it"
        async with studio.shop.db.write() as session:
            row = await session.get_one(Borrowed, given.asset)
            row.created_at -= timedelta(hours=2)
        await forgetting.sweep(studio)
        assert not lies(studio, project, data)
