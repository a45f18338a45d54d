"""What the pipeline itself takes, beyond the provider and the pixels.

What does a job cost besides its provider and its pixels: rows, synced files, events, the durable
engine? And how long after a click does the first step run at an idle desk? The provider answers at
once and for free, pictures are tiny, pixels are computed in this process. Jobs are worked one after
the other; a job lasts from being taken up to the commit of its end, and begins with what submitting
it takes the engine. A click lasts from the call that submits a planned run to the commit of the
event that its first step has started.

Run: python -m benchmarks.pipeline
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.timing import Bound, quantile, report
from maquette import bootstrap
from maquette.core.pipeline import (
    BackgroundStep,
    ColourStep,
    Manifest,
    PostChain,
    RunOrder,
    SceneOverride,
    UpscaleStep,
)
from maquette.core.provider import Run
from maquette.core.requests import Generated, ImageRequest
from maquette.core.states import JobState
from maquette.db import runs
from maquette.db.engine import Database
from maquette.db.tables import Event
from maquette.imaging import png
from maquette.jobs.dbos_engine import DbosEngine
from maquette.jobs.desk import Desk
from maquette.jobs.workers import PixelPool
from maquette.services import planning, runlog, running, starting
from maquette.services.studio import Studio
from maquette.settings import load
from maquette.testing.scripted import Books, ScriptedProvider

P = ParamSpec("P")
R = TypeVar("R")

_JOBS = 100
_CLICKS = 100
_WARM_UP = 8
_DEADLINE_S = 120
_WHOLE = PostChain(background=BackgroundStep(), upscale=UpscaleStep(), colour=ColourStep())


@dataclass
class Watch:
    """When what happened, on one clock, in seconds."""

    inside: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Provider and pixels."""
    engine: dict[str, float] = field(default_factory=dict[str, float])
    """Job → seconds that beginning it took the durable engine."""
    opened: dict[str, float] = field(default_factory=dict[str, float])
    """Job → when it was taken up."""
    committed: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """(event, job) → when the first such event was committed."""

    @contextmanager
    def not_ours(self) -> Generator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.inside.append((begin, time.perf_counter()))

    def overhead_s(self, job_id: str) -> float:
        begin, end = self.opened[job_id], self.committed["job_ended", job_id]
        spent = sum(max(0.0, min(end, till) - max(begin, since)) for since, till in self.inside)
        return self.engine[job_id] + end - begin - spent


class InstantProvider(ScriptedProvider):
    """Answers at once; storing its reply counts as the pipeline's work, not as the provider's."""

    watch: Watch

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        with self.watch.not_ours():
            pixels = np.random.default_rng(request.seed).integers(0, 256, (24, 32, 3), np.uint8)
            pictures = [base64.b64encode(png.write(pixels)).decode()] * request.count
            reply = json.dumps({"images": pictures}).encode()
        await run.raw(reply)
        with self.watch.not_ours():
            return self.read_reply(reply, request)


class ThreadPool(PixelPool):
    """Pixels in this very process, each function's own time noted."""

    watch: Watch

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        def timed() -> R:
            with self.watch.not_ours():
                return work(*args, **kwargs)

        return await asyncio.to_thread(timed)


class WatchedDatabase(Database):
    """Notes when events are committed."""

    def __init__(self, url: str, watch: Watch) -> None:
        super().__init__(url)
        self._watch = watch

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        begin = time.perf_counter()
        told: list[Event] = []
        async with super().write() as session:
            yield session
            told = [row for row in session if isinstance(row, Event)]
        now = time.perf_counter()
        for event in told:
            job_id = event.job_id or event.run_id or ""
            self._watch.committed.setdefault((event.kind, job_id), now)
            if event.kind == "job_started":
                self._watch.opened[job_id] = begin


class WatchedEngine(DbosEngine):
    """Notes what beginning a job takes."""

    watch: Watch

    async def submit(self, ticket: str) -> None:
        with self._noted(ticket):
            await super().submit(ticket)

    async def ended(self, ticket: str) -> bool:
        with self._noted(ticket):
            return await super().ended(ticket)

    @contextmanager
    def _noted(self, ticket: str) -> Generator[None]:
        begin = time.perf_counter()
        yield
        job_id = ticket.rpartition(".")[0]
        before = self.watch.engine.get(job_id, 0.0)
        self.watch.engine[job_id] = before + time.perf_counter() - begin


@asynccontextmanager
async def open_watched(folder: Path, *, parallel_jobs: int) -> AsyncGenerator[tuple[Studio, Watch]]:
    """Open a studio in a new home whose parts note their times."""
    watch = Watch()
    InstantProvider.watch = ThreadPool.watch = WatchedEngine.watch = watch
    settings = load(home=folder / "home", plugins="none", parallel_jobs=parallel_jobs)
    provider = InstantProvider(Books(folder / "books"))
    async with bootstrap.open_studio(settings, providers={"scripted": provider}) as opened:
        db = WatchedDatabase(settings.url, watch)
        shop = replace(opened.shop, db=db, pool=ThreadPool())
        try:
            yield (
                replace(
                    opened,
                    shop=shop,
                    new_engine=lambda: WatchedEngine(settings.url, folder / "home" / "engine.db"),
                ),
                watch,
            )
        finally:
            await db.close()


async def plan(
    studio: Studio, folder: Path, name: str, scenes: int, post: PostChain
) -> planning.Plan:
    """Plan a run over scenes whose results differ, so that no step is taken from the cache."""
    pictures = folder / name
    pictures.mkdir()
    seeds: dict[str, SceneOverride] = {}
    for number in range(scenes):
        seed = random.randrange(2**31)  # noqa: S311 - a picture's noise
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
        (pictures / f"s{number:03d}.png").write_bytes(png.write(pixels))
        seeds[f"s{number:03d}"] = SceneOverride(seed=seed)
    sheet = folder / f"{name}.json"
    sheet.write_text(Manifest(scenes=seeds).model_dump_json(exclude_unset=True))
    order = RunOrder(
        project="demo",
        input=pictures,
        manifest=sheet,
        provider="scripted",
        model="free",
        prompt="a benchmark",
        post=post,
    )
    return await planning.plan(studio, order, folder / "root")


async def _ignore(_event: Event) -> None:
    return None


async def job_overheads(folder: Path, post: PostChain) -> list[float]:
    """Work many jobs one after the other; return what each took beside provider and pixels."""
    async with open_watched(folder, parallel_jobs=1) as (studio, watch):
        for name, count in (("warm", _WARM_UP), ("measured", _JOBS)):
            planned = await plan(studio, folder, name, count, post)
            run_id = await starting.start(studio, planned, starting.Spending())
            state = await running.see_through(studio, run_id, _ignore)
            assert state is JobState.SUCCEEDED, state
        async with studio.shop.db.read() as session:
            jobs = await runs.jobs_of(session, run_id)
        return [watch.overhead_s(job.id) for job in jobs]


async def clicks(folder: Path) -> list[float]:
    """Submit runs to an idle desk; return the time from the click to the first step's event."""
    async with open_watched(folder, parallel_jobs=4) as (studio, watch):
        leaving = asyncio.Event()

        async def done() -> bool:
            return leaving.is_set()

        desk = Desk(studio.shop, studio.new_engine(), lambda ended: runlog.write(studio, ended))
        working = asyncio.create_task(desk.work_until(done, leaving))
        times: list[float] = []
        for number in range(_WARM_UP + _CLICKS):
            planned = await plan(studio, folder, f"click{number}", 1, PostChain())
            # At no fixed moment of the desk's own rhythm.
            await asyncio.sleep(0.25 + random.random() * 0.25)  # noqa: S311 - a person's rhythm
            begin = time.perf_counter()
            run_id = await starting.start(studio, planned, starting.Spending())
            job_id = f"{run_id}-001"
            await _until(lambda run=run_id: ("run_ended", run) in watch.committed, working)
            times.append(watch.committed["step_started", job_id] - begin)
        leaving.set()
        await working
        return times[_WARM_UP:]


async def _until(holds: Callable[[], bool], working: asyncio.Task[None]) -> None:
    deadline = time.perf_counter() + _DEADLINE_S
    while not holds():
        await asyncio.sleep(0.02)
        assert not working.done(), "the desk was left"
        assert time.perf_counter() < deadline, "the desk did not do the run"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in ("plain", "whole", "clicks"):
            (folder / case).mkdir()
        plain = asyncio.run(job_overheads(folder / "plain", PostChain()))
        whole = asyncio.run(job_overheads(folder / "whole", _WHOLE))
        waits = asyncio.run(clicks(folder / "clicks"))
    cases = {
        "job without post chain": plain,
        "job with the whole post chain": whole,
        "click to first step": waits,
    }
    report(
        f"Pipeline, {_JOBS} jobs and {_CLICKS} clicks",
        {
            f"{case}, {label}": quantile(values, share)
            for case, values in cases.items()
            for label, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        },
        [
            Bound("job overhead, whole post chain, p50 ms", quantile(whole, 0.5) * 1000, 40),
            Bound("click to first step, p50 ms", quantile(waits, 0.5) * 1000, 60),
            Bound("click to first step, p99 ms", quantile(waits, 0.99) * 1000, 200),
        ],
    )


if __name__ == "__main__":
    main()
