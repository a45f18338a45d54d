"""What is slow to make and always the same, made once a process: schemas, and pixel workers."""

from __future__ import annotations

import asyncio
import atexit
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import ParamSpec, TypeVar

from dbos import DBOS
from sqlalchemy.engine import make_url

from maquette.db import migrate
from maquette.db.engine import is_sqlite, sqlite_url
from maquette.jobs.workers import PixelPool
from maquette.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


def furnish(settings: Settings) -> None:
    """Put databases of this version, ours and the engine's, where the home has none yet.

    They are copies of what was migrated once; the migrations themselves have tests of their own.
    """
    path = Path(make_url(settings.url).database or "")
    if not is_sqlite(settings.url) or path.exists() or settings.home.is_file():
        return
    if path.parent.is_dir() or path.parent == settings.home:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(empty_database(), path)
    engine = settings.home / "engine.db"
    if settings.home.is_dir() and not engine.exists():
        shutil.copy(empty_engine(), engine)


@cache
def _folder() -> Path:
    folder = Path(mkdtemp(prefix="maquette-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def empty_database() -> Path:
    path = _folder() / "app.db"
    migrate.migrate(sqlite_url(path))
    return path


@cache
def empty_engine() -> Path:
    path = _folder() / "engine.db"
    DBOS.migrate(sqlite_url(path))
    return path


class LentPool(PixelPool):
    """A studio's part in worker processes that outlive it: closing stops only its own work."""

    def __init__(self, owner: PixelPool) -> None:
        self._owner = owner
        self._running: set[asyncio.Task[object]] = set()

    async def run_patiently(
        self, patience: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        task = asyncio.create_task(self._owner.run_patiently(patience, work, *args, **kwargs))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await task

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)


class Lender:
    """Lends the same processes to every studio with the same limits."""

    def __init__(self) -> None:
        self._owned: dict[tuple[int, float, int], PixelPool] = {}

    def lend(self, settings: Settings) -> PixelPool:
        limits = settings.workers
        key = (limits.count, limits.timeout_s, limits.memory_mb)
        if key not in self._owned:
            self._owned[key] = PixelPool(
                workers=limits.count, timeout_s=limits.timeout_s, memory_mb=limits.memory_mb
            )
        return LentPool(self._owned[key])

    def close(self) -> None:
        for pool in self._owned.values():
            asyncio.run(pool.close())
