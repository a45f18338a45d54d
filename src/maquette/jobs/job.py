"""One job as its steps see it, and the one way to do a step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import StepCrashed
from maquette.core.pipeline import JobSpec
from maquette.db import events, runs
from maquette.jobs.workshop import Place, Workshop

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
    """Set while a paid call is waited for though the job is being cancelled."""

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
        async with self.shop.db.read() as session:
            found = await runs.step(session, self.job_id, name)
            return None if found is None else found.result

    async def pause(self, seconds: float) -> None:
        """Sleep, unless the job is being cancelled."""
        try:
            await asyncio.wait_for(self.cancelling.wait(), seconds)
        except TimeoutError:
            return
        raise asyncio.CancelledError

    async def paid_step(self, name: str, work: Callable[[], Awaitable[Outcome]]) -> dict[str, Any]:
        """Do a step that spends: once begun it ends, and only then is the job cancelled."""
        return await self._to_the_end(self.step(name, work))

    async def _to_the_end(self, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        task = asyncio.create_task(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.cancelling.set()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error from None
            raise

    async def step(self, name: str, work: Callable[[], Awaitable[Outcome]]) -> dict[str, Any]:
        """Do a step once: its result, its rows and its event are one commit.

        A step that is done is not done again; one that raises may be tried anew; one that
        brought the program down `POISON` times is given up.
        """
        done = await self.result_of(name)
        if done is not None:
            return done
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
        except BaseException:
            async with self.shop.db.write() as session:
                await runs.abandon_step(session, self.job_id, name)
            raise
        async with self.shop.db.write() as session:
            if commit is not None:
                await commit(session)
            await runs.finish_step(session, self.job_id, name, result, now())
            self.record(session, "step_done", step=name)
        return result
