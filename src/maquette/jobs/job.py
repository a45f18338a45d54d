"""One job as its steps see it, and the one way to do a step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import Cancelled, StepCrashed
from maquette.core.pipeline import JobSpec
from maquette.db import events, runs
from maquette.jobs.workshop import Place, Workshop

P = ParamSpec("P")
R = TypeVar("R")
POISON = 3
"""Crashes inside the same step before the job is given up."""

Commit = Callable[[AsyncSession], Awaitable[None]]
Outcome = tuple[dict[str, Any], Commit | None]
"""A step's result, and the rows that commit together with it."""


@dataclass(frozen=True)
class Bench:
    """A job on the workbench."""

    shop: Workshop
    place: Place
    project_id: str
    run_id: str
    job_id: str
    spec: JobSpec
    cancelling: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a person asks for the job's end."""

    _done: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def record(self, session: AsyncSession, kind: str, **data: Any) -> None:
        events.record(
            session,
            kind,
            project_id=self.project_id,
            run_id=self.run_id,
            job_id=self.job_id,
            at=self.shop.clock.now(),
            scene=self.spec.scene,
            **data,
        )

    async def tell(self, kind: str, **data: Any) -> None:
        """Record an event by itself."""
        async with self.shop.db.write() as session:
            self.record(session, kind, **data)

    async def result_of(self, name: str) -> dict[str, Any] | None:
        """Return what a step that is done said; the rows are read once, then kept in step."""
        if not self._done:
            async with self.shop.db.read() as session:
                rows = await runs.steps_of(session, self.job_id)
            self._done.update({row.name: row.result for row in rows if row.result is not None})
            self._done.setdefault("", {})
        return self._done.get(name)

    def check(self) -> None:
        """Raise `Cancelled` once a person asked for the job's end."""
        if self.cancelling.is_set():
            raise Cancelled("Cancelled on request; `maquette resume` goes on with it.")

    async def pause(self, seconds: float) -> None:
        """Sleep, unless the job is being cancelled."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.cancelling.wait(), seconds)
        self.check()

    async def interruptible(self, work: Coroutine[Any, Any, R]) -> R:
        """Await work that costs nothing: cancelling the job stops it at once.

        Only such work is ever interrupted, never a commit and never a call that was paid.
        """
        task = asyncio.create_task(work)
        asked = asyncio.create_task(self.cancelling.wait())
        try:
            await asyncio.wait([task, asked], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
                self.check()
            return await task
        finally:
            task.cancel()
            asked.cancel()

    async def compute(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a pixel function in a worker process; cancelling the job stops it."""
        return await self.interruptible(self.shop.pool.run(work, *args, **kwargs))

    async def compute_patiently(
        self, patience: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Do the same for one that may take `patience` times the usual limit."""
        return await self.interruptible(
            self.shop.pool.run_patiently(patience, work, *args, **kwargs)
        )

    async def step(self, name: str, work: Callable[[], Awaitable[Outcome]]) -> dict[str, Any]:
        """Do a step once: its result, its rows and its event are one commit.

        A step that is done is not done again; one that raises may be tried anew; one that
        brought the program down `POISON` times is given up.
        """
        done = await self.result_of(name)
        if done is not None:
            return done
        self.check()
        now = self.shop.clock.now
        async with self.shop.db.write() as session:
            begun = await runs.begin_step(session, self.job_id, name, now())
            crashed = begun.starts > POISON
            if crashed:
                await runs.abandon_step(session, self.job_id, name)
            else:
                self.record(session, "step_started", step=name)
        if crashed:
            raise StepCrashed(
                f"Step {name!r} of scene {self.spec.scene!r} brought the program down {POISON} "
                "times, so it was given up. `maquette resume` tries it again."
            )
        try:
            result, commit = await work()
            async with self.shop.db.write() as session:
                if commit is not None:
                    await commit(session)
                await runs.finish_step(session, self.job_id, name, result, now())
                self.record(session, "step_done", step=name)
            self._done[name] = result
        except BaseException:
            async with self.shop.db.write() as session:
                await runs.abandon_step(session, self.job_id, name)
            raise
        return result
