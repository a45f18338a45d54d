"""Kill a run with SIGKILL at every boundary, let a second process finish it, and look.

A script of its own, run by `test_kill.py`: it imports everything once and forks a child for
every run, so that hundreds of crashes take seconds each and nothing of one reaches the next.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncSession

from maquette import bootstrap
from maquette.core.pipeline import BackgroundStep, ColourStep, PostChain, RunOrder, UpscaleStep
from maquette.core.states import AttemptState, JobState
from maquette.core.storage import Key, Stored
from maquette.db import ledger, runs
from maquette.db.engine import Database
from maquette.db.tables import Event
from maquette.folders import Folders, Placed
from maquette.imaging import png
from maquette.jobs.dbos_engine import DbosEngine
from maquette.jobs.workers import PixelPool
from maquette.services import keeping, planning, running, spending, starting
from maquette.services.studio import Studio
from maquette.settings import load
from maquette.storage.local import LocalStorage
from maquette.testing.scripted import Books, ScriptedCutter, ScriptedProvider
from tests.forking import in_child
from tests.lending import empty_database

P = ParamSpec("P")
R = TypeVar("R")


class Boundaries:
    """Counts the places where a crash could come, and crashes at one of them."""

    def __init__(self, kill_at: int | None, trace: Path) -> None:
        self._kill_at = kill_at
        self._trace = trace
        self.passed = 0

    def hit(self, name: str) -> None:
        self.passed += 1
        if self.passed == self._kill_at:
            self._trace.write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_commits(self) -> None:
        """Stop before and after every commit that writes: ours and the engine's."""

        def executed(connection: Connection, *arguments: Any) -> None:
            statement: str = arguments[1]
            if statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
                connection.info["wrote"] = True

        def commit(connection: Connection) -> None:
            if connection.info.pop("wrote", False):
                self.hit("before a commit")

        event.listen(Engine, "before_cursor_execute", executed)
        event.listen(Engine, "commit", commit)


class WatchedDatabase(Database):
    def __init__(self, url: str, boundaries: Boundaries) -> None:
        super().__init__(url)
        self._boundaries = boundaries

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        async with super().write() as session:
            yield session
        self._boundaries.hit("after a commit")


class WatchedStorage(LocalStorage):
    boundaries: Boundaries

    async def put(self, key: Key, data: bytes) -> Stored:
        self.boundaries.hit("before a put")
        stored = await super().put(key, data)
        self.boundaries.hit("after a put")
        return stored


class WatchedFolders(Folders):
    boundaries: Boundaries

    def place(
        self, source: Path | bytes, relative: str, *, archive_replaced: bool, at: datetime
    ) -> Placed:
        self.boundaries.hit("before placing a file")
        placed = super().place(source, relative, archive_replaced=archive_replaced, at=at)
        self.boundaries.hit("after placing a file")
        return placed

    def _archive(self, target: Path, at: datetime) -> str:
        goal = super()._archive(target, at)
        self.boundaries.hit("between archiving and placing")
        return goal

    def write(self, relative: str, data: bytes) -> None:
        self.boundaries.hit("before the log")
        super().write(relative, data)
        self.boundaries.hit("after the log")


class HastyEngine(DbosEngine):
    """Leaves without a second's goodbye: the process ends anyway."""

    async def close(self) -> None:
        return None


class ThreadPool(PixelPool):
    """Pixels in this very process: a spawned worker would take a second each time."""

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(work, *args, **kwargs)

    async def run_patiently(
        self, patience: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return await asyncio.to_thread(work, *args, **kwargs)


@dataclass(frozen=True)
class Outcome:
    """What stands at the end."""

    state: str
    paid_calls: int
    charged: str
    settled: str
    held: str
    flaws: int
    leftovers: int
    candidates: int
    answered: int
    """Calls whose pictures are here and settled."""
    archived: int
    boundaries: int


async def work(folder: Path, model: str, kill_at: int | None, *, decide: bool) -> Outcome:
    boundaries = Boundaries(kill_at, folder / "killed-at")
    books = Books(folder / "other-side")
    makers = (
        ScriptedProvider(books, boundary=boundaries.hit),
        ScriptedCutter(books, boundary=boundaries.hit),
    )
    home = folder / "home"
    settings = load(home=home, plugins="none")
    WatchedStorage.boundaries = WatchedFolders.boundaries = boundaries
    providers = {one.id: one for one in makers}
    async with bootstrap.open_studio(settings, providers=providers) as opened:
        shop = replace(
            opened.shop,
            db=WatchedDatabase(settings.url, boundaries),
            pool=ThreadPool(),
            open_storage=WatchedStorage,
            open_folders=WatchedFolders,
        )
        engine = HastyEngine(settings.url, home / "engine.db")
        studio = replace(opened, shop=shop, new_engine=lambda: engine)
        boundaries.watch_commits()
        run_id = await _begin(studio, folder, model, decide=decide)
        state = await running.see_through(studio, run_id, _ignore)
        return await _look(studio, folder, run_id, state, books, boundaries)


async def _ignore(_event: Event) -> None:
    return None


async def _begin(studio: Studio, folder: Path, model: str, *, decide: bool) -> str:
    async with studio.shop.db.read() as session:
        known = await runs.listing(session, project_id=None, limit=1, before=None)
    if decide:
        await _decide(studio, folder)
    if known and JobState(known[0].state) is JobState.SUCCEEDED:
        return known[0].id
    if known:
        allowed = starting.Spending(confirmed=decide)
        return await running.resume(studio, known[0].id, allowed)
    order = RunOrder(
        project="demo",
        input=folder / "scene.png",
        provider="scripted",
        model=model,
        prompt="a test",
        candidates=3,
        post=PostChain(
            background=BackgroundStep(backends=("cutter", "classical")),
            upscale=UpscaleStep(),
            colour=ColourStep(),
        ),
    )
    plan = await planning.plan(studio, order, folder / "root")
    return await starting.start(studio, plan, starting.Spending(confirmed=True))


async def _decide(studio: Studio, folder: Path) -> None:
    """Look into the provider's books, as a person would, and decide by them."""
    books = Books(folder / "other-side")
    async with studio.shop.db.read() as session:
        _, settled = await ledger.budget(session, "installation")
    unexplained = int(books.charged * 10**9) - settled
    for one in await spending.undecided(studio):
        await spending.decide(studio, one.attempt, charged=unexplained > 0, amount=None)


async def _look(
    studio: Studio,
    folder: Path,
    run_id: str,
    state: JobState,
    books: Books,
    boundaries: Boundaries,
) -> Outcome:
    root = folder / "root"
    _, flaws = await keeping.verify(studio, "demo", root)
    leftovers = await keeping.sweep(studio, "demo", root, dry_run=True)
    async with studio.shop.db.read() as session:
        held, settled = await ledger.budget(session, "installation")
        jobs = await runs.jobs_of(session, run_id)
        candidates = await runs.candidates_of(session, jobs[0].id)
        attempts = await runs.attempts_of(session, jobs[0].id)
    unexplained = [one for one in leftovers if not one.key.startswith("replies/")]
    return Outcome(
        state=state.value,
        paid_calls=books.paid_calls,
        charged=str(int(books.charged * 10**9)),
        settled=str(settled),
        held=str(held),
        flaws=len(flaws),
        leftovers=len(unexplained),
        candidates=len(candidates),
        answered=sum(one.state == AttemptState.SETTLED for one in attempts),
        archived=len(list((root / "archive" / "replaced").iterdir())),
        boundaries=boundaries.passed,
    )


def act(folder: Path, model: str, kill_at: int | None, *, decide: bool = False) -> int:
    """Work in a child of its own, and write down what stands at the end."""
    result = folder / "outcome.json"
    result.unlink(missing_ok=True)

    def work_here() -> int:
        outcome = asyncio.run(work(folder, model, kill_at, decide=decide))
        result.write_text(json.dumps(asdict(outcome)))
        return 0

    return in_child(work_here)


def prepare(folder: Path) -> None:
    """Make a scene, and an older picture where the winner will go."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "root" / "outputs").mkdir(parents=True)
    (folder / "home").mkdir()
    shutil.copy(empty_database(), folder / "home" / "app.db")
    rng = np.random.default_rng(1)
    (folder / "scene.png").write_bytes(png.write(rng.integers(0, 256, (24, 32, 3), np.uint8)))
    (folder / "root" / "outputs" / "scene.png").write_bytes(b"somebody's older picture")


def crash_and_finish(folder: Path, model: str, kill_at: int) -> dict[str, Any]:
    """Crash at one boundary; finish in a second process, deciding by the books if asked to."""
    prepare(folder)
    result = folder / "outcome.json"
    status = act(folder, model, kill_at)
    told: dict[str, Any] = {"kill_at": kill_at, "killed": os.WIFSIGNALED(status)}
    trace = folder / "killed-at"
    told["where"] = trace.read_text() if trace.exists() else "nowhere"
    for decide in (False, True):
        act(folder, model, None, decide=decide)
        told["second" if not decide else "decided"] = (
            json.loads(result.read_text()) if result.exists() else None
        )
        if told["second"] is None or told["second"]["state"] != JobState.OUTCOME_UNKNOWN.value:
            break
    shutil.rmtree(folder)
    return told


def count(folder: Path, model: str) -> int:
    prepare(folder)
    act(folder, model, None)
    boundaries: int = json.loads((folder / "outcome.json").read_text())["boundaries"]
    shutil.rmtree(folder)
    return boundaries


def main() -> None:
    folder, model, part, parts = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    boundaries = count(folder / "count", model)
    sys.stdout.write(json.dumps({"boundaries": boundaries}) + "\n")
    for kill_at in range(1 + part, boundaries + 1, parts):
        told = crash_and_finish(folder / str(kill_at), model, kill_at)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
