"""The desk where jobs are worked: one process at a time holds a home's desk."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import Cancelled, MaquetteError, OutcomeUnknown
from maquette.core.pipeline import JobSpec
from maquette.core.states import JobState, run_state
from maquette.db import events, ledger, notices, runs
from maquette.db.runs import OpenJob
from maquette.db.tables import Job, Run
from maquette.jobs import attempts, pipeline
from maquette.jobs.engine import Engine
from maquette.jobs.job import Bench
from maquette.jobs.workshop import Workshop

_SWEEP_S = 0.25
"""How soon a desk notices what another process has written."""
_HEARD = frozenset({"run_queued", "run_resumed", "cancel_requested", "job_handed_back"})
"""What this process writes that the desk looks at at once."""
log = logging.getLogger(__name__)

Finish = Callable[[str], Awaitable[None]]
"""Write what a finished run leaves behind (its log); may be called again."""


@dataclass
class Desk:
    """Begins every open job, and closes the runs whose jobs are all done."""

    shop: Workshop
    engine: Engine
    finish: Finish
    problems: dict[str, MaquetteError] = field(default_factory=dict[str, MaquetteError])
    """Runs whose rows could not be written; the next desk tries again."""
    patience_s: float = math.inf
    """After so long this desk itself does: one that is never left must not leave them lying."""
    _since: dict[str, float] = field(default_factory=dict[str, float])
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    _submitted: set[str] = field(default_factory=set[str])
    """Jobs that the engine was given; one that it never calls is found in the next look."""
    _benches: dict[str, Bench] = field(default_factory=dict[str, Bench])
    _closing: asyncio.Task[None] | None = None
    """Writes what complete runs leave behind, while other jobs begin."""
    _handed_back: set[str] = field(default_factory=set[str])
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.shop.parallel_jobs)

    async def work_until(self, done: Callable[[], Awaitable[bool]], leaving: asyncio.Event) -> None:
        """Work all queued runs until `done`; once `leaving` is set, hand the others' back.

        Whatever ends it, calls that were paid are waited for first.
        """
        await self.engine.launch(self._called)
        self.shop.db.news.append(self._look)
        try:
            while True:
                self._news.clear()
                await self._sweep(begin=not leaving.is_set())
                finished = await done()
                if finished and leaving.is_set():
                    self._hand_back()
                if finished and not (self._tasks or self._closing):
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), _SWEEP_S)
        finally:
            self.shop.db.news.remove(self._look)
            self._hand_back()
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()))
            if self._closing:
                await asyncio.wait([self._closing])
            await self.engine.close()

    def _look(self, kinds: Collection[str]) -> None:
        """Look at once when this process commits what begins or stops a job."""
        if not _HEARD.isdisjoint(kinds):
            self._news.set()

    def _hand_back(self) -> None:
        """Interrupt free work; whoever is at the desk next goes on with it."""
        for job_id, bench in self._benches.items():
            if not bench.cancelling.is_set():
                self._handed_back.add(job_id)
                bench.cancelling.set()

    async def _sweep(self, *, begin: bool) -> None:
        """Begin what waits, stop what is cancelled, close what is complete."""
        self._forget_problems()
        async with self.shop.db.read() as session:
            cancelled = await runs.cancelled_open(session)
            waiting = await runs.open_jobs(
                session, self.shop.parallel_jobs * 2 + len(self.problems)
            )
            complete = await runs.open_runs_done(session)
        for job in cancelled:
            if job.id in self._benches:
                self._benches[job.id].cancelling.set()
            elif job.id not in self._tasks and job.run_id not in self.problems:
                await self._end_unbegun(job)
        gone = {job.id for job in cancelled}
        known = {*self._tasks, *gone}
        new = [job for job in waiting if job.id not in known and job.run_id not in self.problems]
        if begin:
            await self._begin_all(new)
        ready = [run_id for run_id in complete if run_id not in self.problems]
        if ready and self._closing is None:
            self._closing = asyncio.create_task(self._close(ready), name="closing runs")

    async def _close(self, run_ids: list[str]) -> None:
        """Close runs one by one; those that became complete meanwhile are the next sweep's."""
        for run_id in run_ids:
            await self._try_to_close(run_id)
        self._closing = None
        self._news.set()

    def _forget_problems(self) -> None:
        now = time.monotonic()
        self._since = {run: self._since.get(run, now) for run in self.problems}
        for run, since in self._since.items():
            if now - since > self.patience_s:
                del self.problems[run]

    async def _begin_all(self, jobs: Sequence[OpenJob]) -> None:
        """Begin those for which there is room side by side, the others in their order."""
        room = max(0, self.shop.parallel_jobs - len(self._tasks))
        await asyncio.gather(*(self._begin(job) for job in jobs[:room]))
        for job in jobs[room:]:
            await self._begin(job)

    async def _begin(self, job: OpenJob) -> None:
        ticket = f"{job.id}.{job.round}"
        known = job.begun or job.id in self._submitted
        self._submitted.add(job.id)
        if known and await self.engine.ended(ticket):
            async with self.shop.db.write() as session:
                await runs.set_job(session, job.id, round=job.round + 1)
            ticket = f"{job.id}.{job.round + 1}"
        await self.engine.submit(ticket)

    async def _called(self, job_id: str) -> None:
        """Answer the engine's call: one task a job, however often it calls."""
        task = self._tasks.get(job_id)
        if task is None:
            task = asyncio.create_task(self._work(job_id), name=f"job {job_id}")
            self._tasks[job_id] = task
            task.add_done_callback(lambda _done: self._left(job_id))
        await asyncio.wait([task])

    def _left(self, job_id: str) -> None:
        self._tasks.pop(job_id, None)
        self._submitted.discard(job_id)
        self._news.set()

    async def _work(self, job_id: str) -> None:
        """Work a job to its end, and say in the rows what that was."""
        try:
            async with self._room:
                bench = await self._open(job_id)
                if bench is not None:
                    await self._finish(bench, *await self._outcome(bench))
        except Exception as error:
            # Not the job's work but our rows failed: stop trying, and tell whoever waits.
            log.exception("job %s could not be opened or ended", job_id)
            self.problems[job_id.rpartition("-")[0]] = _told(error)
        finally:
            self._benches.pop(job_id, None)

    async def _outcome(self, bench: Bench) -> tuple[JobState, Exception | None]:
        try:
            return await pipeline.work(bench), None
        except Cancelled as error:
            return JobState.CANCELLED, error
        except OutcomeUnknown as error:
            return JobState.OUTCOME_UNKNOWN, error
        except MaquetteError as error:
            return JobState.FAILED, error
        except Exception as error:
            log.exception("job %s failed in an unforeseen way", bench.job_id)
            return JobState.FAILED, error

    async def _finish(self, bench: Bench, state: JobState, error: Exception | None) -> None:
        if state is JobState.CANCELLED and bench.job_id in self._handed_back:
            await self._put_back(bench.job_id)
            return
        if state is not JobState.SUCCEEDED:
            doubt = await attempts.put_in_order(bench)
            if doubt is not None:
                state, error = JobState.OUTCOME_UNKNOWN, doubt
        await self._end(bench.job_id, state, error)

    async def _end_unbegun(self, found: OpenJob) -> None:
        """End a cancelled job that this desk has not begun; another may have, and died."""
        async with self.shop.db.read() as session:
            job = await session.get_one(Job, found.id)
            run = await session.get_one(Run, job.run_id)
        try:
            await self._finish(self._bench(run, job), JobState.CANCELLED, None)
        except Exception as error:
            log.exception("job %s could not be ended", job.id)
            self.problems[run.id] = _told(error)

    async def _open(self, job_id: str) -> Bench | None:
        now = self.shop.clock.now()
        async with self.shop.db.write() as session:
            job = await session.get_one(Job, job_id)
            run = await session.get_one(Run, job.run_id)
            stopped = run.cancel_requested_at or job.cancel_requested_at
            if JobState(job.state).final or stopped is not None:
                return None
            bench = self._bench(run, job)
            self._benches[job_id] = bench  # before the commit: from then on it can be cancelled
            run.state = JobState.RUNNING.value
            run.started_at = run.started_at or now
            job.state = JobState.RUNNING.value
            job.started_at = job.started_at or now
            self._record(session, run, job, "job_started", now_state=job.state)
            first, starts = pipeline.first_step(bench.spec), 0
            if first is not None:
                starts = await bench.begin(session, first)
        if first is not None:
            bench.begun(first, starts)
        return bench

    def _bench(self, run: Run, job: Job) -> Bench:
        return Bench(
            shop=self.shop,
            place=self.shop.place(run.root),
            project_id=run.project_id,
            run_id=run.id,
            job_id=job.id,
            spec=JobSpec.model_validate(job.spec),
        )

    async def _end(self, job_id: str, state: JobState, error: Exception | None) -> None:
        """Free the job's hold and say how it ended, in one commit."""
        async with self.shop.db.write() as session:
            job = await session.get_one(Job, job_id)
            if JobState(job.state).final:
                return
            run = await session.get_one(Run, job.run_id)
            await ledger.close_hold(session, job_id)
            job.state = state.value
            job.finished_at = self.shop.clock.now()
            job.error_code = None if error is None else _told(error).code
            job.error_message = None if error is None else str(error)
            why = job.error_message or ""
            self._record(session, run, job, "job_ended", now_state=state.value, why=why)

    async def _put_back(self, job_id: str) -> None:
        """Let a job wait for the next desk, its hold and its finished steps kept."""
        async with self.shop.db.write() as session:
            job = await session.get_one(Job, job_id)
            run = await session.get_one(Run, job.run_id)
            job.state = JobState.QUEUED.value
            self._record(session, run, job, "job_handed_back", now_state=job.state)

    async def _try_to_close(self, run_id: str) -> None:
        """Let one run whose log cannot be written stop nobody else's."""
        try:
            await self._close_run(run_id)
        except Exception as error:
            log.exception("run %s could not be closed", run_id)
            self.problems[run_id] = _told(error)

    async def _close_run(self, run_id: str) -> None:
        """Write the run's log first: a crash in between only writes it again.

        A run that is resumed meanwhile stays open: its next end closes it.
        """
        async with self.shop.db.write() as session:
            run = await runs.locked(session, run_id)
            if not (await _state_of(session, run_id)).final:
                return
            run.finished_at = run.finished_at or self.shop.clock.now()
        await self.finish(run_id)
        async with self.shop.db.write() as session:
            run = await runs.locked(session, run_id)
            state = await _state_of(session, run_id)
            if not state.final:
                return
            run.state = state.value
            await notices.add(session, run, self.shop.clock.now())
            self._record(session, run, None, "run_ended", now_state=run.state)

    def _record(
        self, session: AsyncSession, run: Run, job: Job | None, kind: str, **data: str
    ) -> None:
        events.record(
            session,
            kind,
            project_id=run.project_id,
            run_id=run.id,
            job_id=None if job is None else job.id,
            at=self.shop.clock.now(),
            scene="" if job is None else job.scene,
            **data,
        )


async def _state_of(session: AsyncSession, run_id: str) -> JobState:
    """Say what a run's jobs come to; whoever reopens one waits for the run's lock."""
    jobs = await runs.jobs_of(session, run_id)
    return run_state([JobState(job.state) for job in jobs])


def _told(error: Exception) -> MaquetteError:
    """Give a bug a code of ours; an error that has one keeps it."""
    if isinstance(error, MaquetteError):
        return error
    return MaquetteError(f"{type(error).__name__}: {error}")
