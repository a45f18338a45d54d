"""Whole runs on a server of one's own: nothing is paid, nothing is lost, nothing is left open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maquette import bootstrap
from maquette.core.errors import CapabilityMissing
from maquette.core.findings import GuardRules
from maquette.core.pipeline import PostChain, RunOrder
from maquette.core.states import AttemptState, JobState
from maquette.core.wire import WireRules
from maquette.db import ledger, runs
from maquette.db.tables import Attempt, Event, Job
from maquette.imaging import codec, png
from maquette.providers.a1111.config import A1111Config
from maquette.providers.a1111.provider import A1111Provider
from maquette.services import planning, running, starting
from maquette.services.studio import Studio
from maquette.settings import RetrySettings, load
from maquette.testing.standin_a1111 import A1111StandIn, Act

WAIT_S = 20.0


@pytest.fixture
def server() -> Iterator[A1111StandIn]:
    with A1111StandIn() as started:
        yield started


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Two scenes, one of a size that such servers do not make."""
    folder = tmp_path / "pair"
    folder.mkdir()
    for name, shape in (("coast", (64, 96, 3)), ("dunes", (70, 101, 3))):
        picture = np.random.default_rng(shape[0]).integers(0, 256, shape, np.uint8)
        (folder / f"{name}.png").write_bytes(png.write(picture))
    return folder


@asynccontextmanager
async def opened(tmp_path: Path, server: A1111StandIn, **config: Any) -> AsyncGenerator[Studio]:
    settings = load(
        home=tmp_path / "home",
        plugins="proof",
        retries=RetrySettings(first_wait_s=0.01, longest_wait_s=0.05),
    )
    section = A1111Config.model_validate({"base_url": server.url, **config})
    provider = A1111Provider(section, WireRules(paid_calls=False), look_s=0.01)
    async with bootstrap.open_studio(settings, providers={"a1111": provider}) as studio:
        yield studio


async def started(studio: Studio, pictures: Path, root: Path, **more: Any) -> str:
    order = RunOrder(
        project="demo",
        input=pictures,
        provider="a1111",
        model=more.pop("model", "current"),
        prompt="a warm evening",
        negative_prompt="people",
        options={"steps": 4},
        post=PostChain(),
        guard=GuardRules(),
        **more,
    )
    plan = await planning.plan(studio, order, root)
    assert plan.worst_case == 0
    return await starting.start(studio, plan, starting.Spending())


async def rows(studio: Studio, run_id: str) -> tuple[Sequence[Job], list[Attempt], int, int]:
    """Return the jobs and attempts of a run, and what is held and settled."""
    async with studio.shop.db.read() as session:
        jobs = list(await runs.jobs_of(session, run_id))
        attempts = [one for job in jobs for one in await runs.attempts_of(session, job.id)]
        held, settled = await ledger.budget(session, "installation")
    return jobs, attempts, held, settled


async def ignored(event: Event) -> None:
    """Watch nothing."""


async def test_a_run_makes_its_pictures_for_nothing_and_says_how(
    tmp_path: Path, root: Path, pair: Path, server: A1111StandIn
) -> None:
    """Ten candidates are two calls of eight and two, with seeds of their own."""
    async with opened(tmp_path, server) as studio:
        server.script(Act(sheet=True))
        run_id = await started(studio, pair, root, candidates=10, seed=5, max_candidates=10)
        await running.see_through(studio, run_id, ignored)
        jobs, attempts, held, settled = await rows(studio, run_id)
    assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 2
    assert {one.state for one in attempts} == {AttemptState.SETTLED}
    assert (held, settled) == (0, 0)
    assert sorted(seen.fields["batch_size"] for seen in server.seen) == [2, 2, 8, 8]
    assert sorted(seen.fields["seed"] for seen in server.seen)[:2] == [5, 5]
    assert all(0 <= seen.fields["seed"] < 2**32 for seen in server.seen)
    made = list((root / "outputs").iterdir())
    assert len(made) == 20
    sizes = {codec.sniff(path.read_bytes()).width_px for path in made}
    assert sizes == {96, 104}
    assert {one.effective["size"][0] for one in attempts if one.effective} == {96, 104}


async def test_a_server_that_fails_and_comes_back_loses_nothing(
    tmp_path: Path, root: Path, pair: Path, server: A1111StandIn
) -> None:
    server.script(Act("error", status=500), Act("cut-late"), Act("cut-early"))
    async with opened(tmp_path, server) as studio:
        run_id = await started(studio, pair, root)
        await running.see_through(studio, run_id, ignored)
        jobs, attempts, held, settled = await rows(studio, run_id)
    assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 2
    assert sorted(one.state for one in attempts) == sorted(
        [AttemptState.RELEASED.value] * 3 + [AttemptState.SETTLED.value] * 2
    )
    assert (held, settled) == (0, 0)


async def test_an_ignored_checkpoint_is_a_picture_that_failed(
    tmp_path: Path, root: Path, pair: Path, server: A1111StandIn
) -> None:
    async with opened(tmp_path, server, models=("gone",)) as studio:
        run_id = await started(studio, pair, root, model="gone")
        await running.see_through(studio, run_id, ignored)
        jobs, _, _, _ = await rows(studio, run_id)
    assert [job.state for job in jobs] == [JobState.FAILED_OUTPUT_GUARD] * 2


async def test_cancelling_a_run_stops_the_server(
    tmp_path: Path, root: Path, pair: Path, server: A1111StandIn
) -> None:
    server.script(Act("hold"))
    async with opened(tmp_path, server) as studio:
        run_id = await started(studio, pair, root)
        work = asyncio.create_task(running.see_through(studio, run_id, ignored))
        assert await asyncio.to_thread(server.working.wait, WAIT_S)
        await running.cancel(studio, run_id)
        await asyncio.wait_for(work, WAIT_S)
        jobs, attempts, held, _ = await rows(studio, run_id)
    assert server.interrupted.is_set()
    assert {job.state for job in jobs} == {JobState.CANCELLED}
    assert not {one.state for one in attempts} & {AttemptState.SENT, AttemptState.UNKNOWN}
    assert held == 0


async def test_without_an_address_nothing_is_begun(
    tmp_path: Path, root: Path, pair: Path, server: A1111StandIn
) -> None:
    async with opened(tmp_path, server, base_url=None) as studio:
        with pytest.raises(CapabilityMissing, match="MAQUETTE_PROVIDERS__A1111__BASE_URL"):
            await started(studio, pair, root)
    assert not root.exists()
