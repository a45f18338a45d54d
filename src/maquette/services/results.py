"""What became of a request for pictures: waited for, and told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from maquette.core import money
from maquette.core.money import Usd
from maquette.core.requests import Digest
from maquette.core.states import JobState
from maquette.core.storage import object_key
from maquette.db import assets, runs
from maquette.db.tables import Asset, Attempt, Blob, Event, Job, Run
from maquette.services.feed import Feed, Wanted
from maquette.services.studio import Studio


@dataclass(frozen=True)
class Picture:
    """One picture that was made."""

    asset: Asset
    blob: Blob
    selected: bool
    state: str
    verdict: dict[str, Any] | None


@dataclass(frozen=True)
class Result:
    """A job of one request, and what it has made so far, in the order of arrival."""

    job: Job
    run: Run
    pictures: Sequence[Picture]
    attempts: Sequence[Attempt]

    @property
    def ended(self) -> bool:
        return JobState(self.job.state).final

    @property
    def cost(self) -> Usd:
        return money.from_nano(sum(one.settled_nano for one in self.attempts))

    @property
    def usage(self) -> dict[str, int]:
        """Sum up what its calls used; empty where the provider does not say."""
        total: dict[str, int] = {}
        for one in self.attempts:
            for name, value in (one.usage or {}).items():
                if isinstance(value, int):
                    total[name] = total.get(name, 0) + value
        return total

    @property
    def final(self) -> Sequence[Picture]:
        """The pictures that the job was for: those that passed, or the end of its post chain."""
        passed = [one for one in self.pictures if one.state != "failed_output_guard"]
        ends = [one for one in self.pictures if one.state == "final"]
        return ends or passed


async def job_of(studio: Studio, project_id: str, job_id: str) -> Job:
    """Return a job of the project by itself."""
    async with studio.shop.db.read() as session:
        return await runs.job_in(session, project_id, job_id)


async def of(studio: Studio, project_id: str, job_id: str) -> Result:
    """Return a job of the project with its pictures."""
    async with studio.shop.db.read() as session:
        job = await runs.job_in(session, project_id, job_id)
        run = await session.get_one(Run, job.run_id)
        found: list[Picture] = []
        for one in await runs.candidates_of(session, job.id):
            asset, blob = await assets.get(session, one.asset_id)
            found.append(Picture(asset, blob, one.selected, one.state, one.verdict))
        known = {one.asset.id for one in found}
        if job.final_asset_id is not None and job.final_asset_id not in known:
            asset, blob = await assets.get(session, job.final_asset_id)
            found.append(Picture(asset, blob, True, "final", None))
        return Result(job, run, found, await runs.attempts_of(session, job.id))


async def follow(
    feed: Feed, project_id: str, job_id: str, since: int
) -> AsyncGenerator[Event | None]:
    """Tell a job's events after `since` to its end; None after a while of silence."""
    wanted = Wanted(frozenset({project_id}), job_id=job_id)

    async def sight() -> Wanted:
        return wanted

    async with aclosing(feed.after(since, sight)) as told:
        async for news in told:
            if not news:
                yield None
            for event in news:
                yield event
                if event.kind == "job_ended":
                    return


async def wait(feed: Feed, project_id: str, job_id: str, since: int) -> None:
    """Wait until the job has ended; whoever waits may be cancelled, the job goes on."""
    async with aclosing(follow(feed, project_id, job_id, since)) as events:
        async for _ in events:
            continue


async def read(studio: Studio, result: Result, picture: Picture) -> bytes:
    """Return a picture's bytes, exactly as they were made."""
    storage = studio.shop.place(result.run.root).storage
    return await storage.read(object_key(Digest(picture.asset.digest)))
