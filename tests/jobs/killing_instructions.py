"""Kill a worker with SIGKILL at every boundary of an instruction, let a second one finish it.

A script of its own, run by `test_working.py`, for the reasons that `killing.py` gives.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maquette import bootstrap
from maquette.core.instructions import InstructionKind
from maquette.db import instructions, ledger, runs
from maquette.imaging import png
from maquette.services import instructing, people, projects, working
from maquette.services.instructing import Wanted
from maquette.services.studio import Studio
from maquette.settings import load
from maquette.testing.scripted import Books, ScriptedProvider
from tests.forking import in_child
from tests.jobs.killing import (
    Boundaries,
    HastyEngine,
    ThreadPool,
    WatchedDatabase,
    WatchedFolders,
    WatchedStorage,
)
from tests.lending import empty_database


@dataclass(frozen=True)
class Outcome:
    """What stands at the end."""

    state: str
    error: str | None
    runs: int
    paid_calls: int
    charged: int
    settled: int
    held: int
    begun: int
    """How often a run's beginning was written down."""
    boundaries: int


async def work(folder: Path, kill_at: int | None) -> Outcome:
    boundaries = Boundaries(kill_at, folder / "killed-at")
    books = Books(folder / "other-side")
    provider = ScriptedProvider(books, boundary=boundaries.hit)
    home = folder / "home"
    settings = load(home=home, plugins="none")
    WatchedStorage.boundaries = WatchedFolders.boundaries = boundaries
    async with bootstrap.open_studio(settings, providers={provider.id: provider}) as opened:
        engine = HastyEngine(settings.url, home / "engine.db")
        shop = replace(
            opened.shop,
            db=WatchedDatabase(settings.url, boundaries),
            pool=ThreadPool(),
            open_storage=WatchedStorage,
            open_folders=WatchedFolders,
        )
        studio = replace(opened, shop=shop, new_engine=lambda: engine)
        await _give(replace(opened, shop=replace(opened.shop, pool=shop.pool)))
        boundaries.watch_commits()
        await working.work(studio, asyncio.Event(), once=True)
        return await _look(opened, books, boundaries)


async def _give(studio: Studio) -> None:
    """Make the project and confirm an instruction, the first time."""
    if await projects.listing(studio):
        return
    made = await projects.create(studio, "p", name="P", root=None, default_root=True)
    scenes = Path(made.root or "") / "scenes"
    scenes.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
    (scenes / "coast.png").write_bytes(png.write(pixels))
    ready = await projects.find(studio, "p"), await people.local(studio)
    payload = {"model": "scripted:paid", "prompt": "dusk"}
    row = await instructing.create(studio, *ready, Wanted(InstructionKind.PIPELINE_RUN, payload))
    await instructing.confirm(studio, *ready, row.id)


async def _look(studio: Studio, books: Books, boundaries: Boundaries) -> Outcome:
    project = await projects.find(studio, "p")
    async with studio.shop.db.read() as session:
        [row] = await instructions.listing(session, project.id, state=None, limit=9, before=None)
        history = await instructions.history(session, row.id, after=0, limit=100)
        every = await runs.listing(session, project_id=None, limit=9, before=None)
        held, settled = await ledger.budget(session, "installation")
    return Outcome(
        state=row.state,
        error=row.error_code,
        runs=len(every),
        paid_calls=books.paid_calls,
        charged=int(books.charged * 10**9),
        settled=settled,
        held=held,
        begun=sum(one.kind == "run_started" for one in history),
        boundaries=boundaries.passed,
    )


def outcome(folder: Path, kill_at: int | None) -> dict[str, Any] | None:
    """Work in a child of its own; None where it was killed."""
    result = folder / "outcome.json"
    result.unlink(missing_ok=True)

    def work_here() -> int:
        result.write_text(json.dumps(asdict(asyncio.run(work(folder, kill_at)))))
        return 0

    in_child(work_here)
    return json.loads(result.read_text()) if result.exists() else None


def furnished(folder: Path) -> Path:
    (folder / "home").mkdir(parents=True)
    shutil.copy(empty_database(), folder / "home" / "app.db")
    return folder


def main() -> None:
    folder, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    plain = outcome(furnished(folder / "whole"), None)
    sys.stdout.write(json.dumps({"plain": plain}) + "\n")
    boundaries = 0 if plain is None else plain["boundaries"]
    for kill_at in range(1 + part, boundaries + 1, parts):
        one = furnished(folder / str(kill_at))
        first = outcome(one, kill_at)
        trace = one / "killed-at"
        told = {
            "kill_at": kill_at,
            "where": trace.read_text() if trace.exists() else "nowhere",
            "killed": first is None,
            "second": outcome(one, None),
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        shutil.rmtree(one)


if __name__ == "__main__":
    main()
