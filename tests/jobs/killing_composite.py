"""Kill a worker with SIGKILL at every boundary of the composite step, let a second one finish it.

A script of its own, run by `test_compositing.py`, for the reasons that `killing.py` gives.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from maquette import bootstrap
from maquette.db import ledger, library, runs
from maquette.db.library import Filters
from maquette.jobs.maskwork import put_back
from maquette.jobs.pixelwork import perform
from maquette.services import asking, keeping, masks, projects, running, starting
from maquette.services.studio import Studio
from maquette.settings import load
from maquette.testing.scripted import Books, ScriptedProvider
from tests.jobs.killing import (
    Boundaries,
    HastyEngine,
    ThreadPool,
    WatchedDatabase,
    WatchedFolders,
    WatchedStorage,
)
from tests.services.masking import ignored, project_at, sent_as, uploaded

P = ParamSpec("P")
R = TypeVar("R")


class Inside(Boundaries):
    """Counts from the first composite to the first picture that is judged."""

    open = False

    def hit(self, name: str) -> None:
        if self.open:
            super().hit(name)


class OpeningPool(ThreadPool):
    """Sees which work the job has come to."""

    def __init__(self, boundaries: Inside) -> None:
        super().__init__()
        self._boundaries = boundaries

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if work is put_back:
            self._boundaries.open = True
        if work is perform:
            self._boundaries.open = False
        return await super().run(work, *args, **kwargs)


@dataclass(frozen=True)
class Outcome:
    """What stands at the end."""

    state: str
    paid_calls: int
    charged: int
    settled: int
    held: int
    inpainted: int
    """Pictures of the models, and those with the original put back."""
    shown: int
    """Candidates that show one of the latter."""
    flaws: int
    boundaries: int


async def work(folder: Path, kill_at: int | None) -> Outcome:
    boundaries = Inside(kill_at, folder / "killed-at")
    books = Books(folder / "other-side")
    home = folder / "home"
    settings = load(home=home, plugins="none")
    WatchedStorage.boundaries = WatchedFolders.boundaries = boundaries
    providers = {"scripted": ScriptedProvider(books)}
    async with bootstrap.open_studio(settings, providers=providers) as opened:
        shop = replace(
            opened.shop,
            db=WatchedDatabase(settings.url, boundaries),
            pool=OpeningPool(boundaries),
            open_storage=WatchedStorage,
            open_folders=WatchedFolders,
        )
        engine = HastyEngine(settings.url, home / "engine.db")
        studio = replace(opened, shop=shop, new_engine=lambda: engine)
        boundaries.watch_commits()
        run_id = await _begin(studio, folder / "root")
        state = await running.see_through(studio, run_id, ignored)
        boundaries.open = False
        return await _look(studio, folder / "root", run_id, state.value, books, boundaries)


async def _begin(studio: Studio, root: Path) -> str:
    async with studio.shop.db.read() as session:
        known = await runs.listing(session, project_id=None, limit=1, before=None)
    if known:
        return await running.resume(studio, known[0].id, starting.Spending())
    project = await project_at(studio, root)
    scene = await uploaded(studio, project)
    mask = await masks.keep(studio, project, None, sent_as("opaque"), scene, polarity="opaque")
    wish = asking.Wish(
        "a red door", model="scripted:paid", size="source", count=2, pictures=(scene,), mask=mask
    )
    asked = await asking.ask(studio, project, wish)
    job = await asking.begin(studio, project, asked, starting.Spending(confirmed=True))
    return job.removesuffix("-001")


async def _look(
    studio: Studio, root: Path, run_id: str, state: str, books: Books, boundaries: Boundaries
) -> Outcome:
    _, flaws = await keeping.verify(studio, "demo", root)
    project = await projects.find(studio, "demo")
    async with studio.shop.db.read() as session:
        held, settled = await ledger.budget(session, "installation")
        wanted = Filters(project.id, kind="inpainted")
        found = await library.page(session, wanted, None, 100, None)
        candidates = await runs.candidates_of(session, f"{run_id}-001")
    free = {one.id for one in found if not one.cost_nano}
    return Outcome(
        state=state,
        paid_calls=books.paid_calls,
        charged=int(books.charged * 10**9),
        settled=settled,
        held=held,
        inpainted=len(found),
        shown=sum(one.asset_id in free for one in candidates),
        flaws=len(flaws),
        boundaries=boundaries.passed,
    )


def in_child(folder: Path, kill_at: int | None) -> dict[str, Any] | None:
    """Fork, work, return the outcome; None where it was killed."""
    result = folder / "outcome.json"
    result.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            result.write_text(json.dumps(asdict(asyncio.run(work(folder, kill_at)))))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return json.loads(result.read_text()) if result.exists() else None


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "whole").mkdir(parents=True)
    whole = in_child(folder / "whole", None)
    assert whole is not None
    sys.stdout.write(json.dumps(whole) + "\n")
    for kill_at in range(1, whole["boundaries"] + 1):
        here = folder / str(kill_at)
        here.mkdir()
        first = in_child(here, kill_at)
        told = {"killed": first is None, "where": (here / "killed-at").read_text()}
        sys.stdout.write(json.dumps({**told, "second": in_child(here, None)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
