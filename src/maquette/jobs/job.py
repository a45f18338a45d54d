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
    _begun: dict[str, int] = field(default_factory=dict[str, int])
    """Steps whose start was committed with what came before, and how often they were started."""

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

    async def begin(self, session: AsyncSession, name: str) -> int:
        """Count a start of the step that comes next; return how many it has, 0 if it is done.

        Once that is committed, `begun` is told; what then never comes to its step, `abandon` ends.
        """
        step = await runs.begin_step(session, self.job_id, name, self.shop.clock.now())
        if step.state == "done":
            return 0
        if step.starts <= POISON:
            self.record(session, "step_started", step=name)
        return step.starts

    def begun(self, name: str, starts: int) -> None:
        """Note a start that was committed."""
        if starts:
            self._begun[name] = starts

    async def abandon(self) -> None:
        """Forget the starts of steps that were never come to: those were no crashes."""
        while self._begun:
            name, _ = self._begun.popitem()
            async with self.shop.db.write() as session:
                await runs.abandon_step(session, self.job_id, name)

    def _check_not_poisoned(self, name: str, starts: int) -> None:
        if starts > POISON:
            raise StepCrashed(
                f"Step {name!r} of scene {self.spec.scene!r} brought the program down {POISON} "
                "times, so it was given up. `maquette resume` tries it again."
            )

    async def step(
        self, name: str, work: Callable[[], Awaitable[Outcome]], *, then: str | None = None
    ) -> dict[str, Any]:
        """Do a step once: its result, its rows and its event are one commit.

        A step that is done is not done again; one that raises may be tried anew; one that
        brought the program down `POISON` times is given up. `then` is the step that follows at
        once: it begins in the commit that ends this one.
        """
        done = await self.result_of(name)
        if done is not None:
            return done
        if name not in self._begun:
            self.check()
            async with self.shop.db.write() as session:
                starts = await self.begin(session, name)
            self.begun(name, starts)
        try:
            self._check_not_poisoned(name, self._begun.pop(name, 0))
            self.check()
            result, commit = await work()
            following = 0
            async with self.shop.db.write() as session:
                if commit is not None:
                    await commit(session)
                now = self.shop.clock.now()
                await runs.finish_step(session, self.job_id, name, result, now)
                self.record(session, "step_done", step=name)
                if then is not None:
                    following = await self.begin(session, then)
            self._done[name] = result
            if then is not None:
                self.begun(then, following)
        except BaseException:
            async with self.shop.db.write() as session:
                await runs.abandon_step(session, self.job_id, name)
            raise
        return result
