"""Doing one instruction, from wherever its row says that it stands.

A running one with a run follows that run, one without is begun again: the run and its id in the
row are one commit, so no run is ever begun twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import correlation, money
from maquette.core.errors import Cancelled, MaquetteError, Retry, StorageUnavailable, WrongState
from maquette.core.instructions import InstructionKind
from maquette.core.money import Usd
from maquette.core.states import InstructionState as State
from maquette.core.states import JobState
from maquette.db import instructions, runs
from maquette.db.tables import Instruction, Project
from maquette.services import dispatching, instructed, running
from maquette.services.starting import Note, Spending
from maquette.services.studio import Studio

_LOOK_S = 0.2
"""How soon free work notices that it is to stop."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class Left(Exception):
    """The desk is being left; whoever holds it next goes on."""


@dataclass(frozen=True)
class Doer:
    """Does instructions until `leaving` is set; `news` waits until something may have changed."""

    studio: Studio
    leaving: asyncio.Event
    news: Callable[[], Awaitable[None]]

    async def do(self, instruction_id: str) -> None:
        """See an instruction through; raises `Left` where another desk will."""
        begun = await self._begin(instruction_id)
        if begun is None:
            return
        row, project = begun
        try:
            if row.dispatch:
                await self._dispatch(row, project)
            elif InstructionKind(row.kind).is_run:
                await self._run(row, project)
            else:
                act = instructed.ACTS[InstructionKind(row.kind)]
                said = instructed.payload_of(row)
                by = await self._person(row)
                work = act(self.studio, project, said, by)
                result = await self._interruptible(row.id, work)
                await self._end(row.id, State.SUCCEEDED, result)
        except Cancelled as error:
            await self._end(row.id, State.CANCELLED, None, error)
        except MaquetteError as error:
            if type(error) is StorageUnavailable:
                raise  # neither it nor its run has failed: our own rows are out of reach
            await self._end(row.id, State.FAILED, None, error)
        except Left:
            raise
        except Exception as error:
            log.exception("instruction %s failed in an unforeseen way", row.id)
            told = MaquetteError(f"{type(error).__name__}: {error}")
            await self._end(row.id, State.FAILED, None, told)

    async def _begin(self, instruction_id: str) -> tuple[Instruction, Project] | None:
        """Take it up, or go on with it; None where it was cancelled meanwhile."""
        now = self.studio.shop.clock.now()
        async with self.studio.shop.db.write() as session:
            row = await instructions.by_id(session, instruction_id)
            if State(row.state) is State.QUEUED:
                row = await instructions.change(
                    session,
                    row.id,
                    "started",
                    (State.QUEUED,),
                    State.RUNNING,
                    now,
                    values={"started_at": row.started_at or now},
                )
            elif State(row.state) is not State.RUNNING:
                return None
            project = await session.get_one(Project, row.project_id)
            told = await instructions.last_of(session, row.id, "confirmed")
            told = told or await instructions.last_of(session, row.id, "created")
        following = None if told is None else told.data.get("correlation_id")
        correlation.current.set(following or row.id)
        return row, project

    async def _person(self, row: Instruction) -> str | None:
        """Return for whom it is done: who confirmed it, else who gave it."""
        async with self.studio.shop.db.read() as session:
            told = await instructions.last_of(session, row.id, "confirmed")
        return row.user_id if told is None else told.data["user_id"]

    async def _run(self, row: Instruction, project: Project) -> None:
        run_id = row.run_id
        if run_id is None:
            kind, said = InstructionKind(row.kind), instructed.payload_of(row)
            plan = instructed.plan(self.studio, project, kind, said)
            planned = await self._interruptible(row.id, plan)
            allowed = money.from_nano(row.worst_case_nano if row.confirmed else 0)
            if planned.worst_case > allowed:
                await self._ask_again(row, planned.worst_case)
                return
            spending = Spending(
                confirmed=row.confirmed,
                max_spend=None if said.max_spend_usd is None else Usd(said.max_spend_usd),
                priority=said.priority,
                by=await self._person(row),
                note=self._noting(row.id, planned.unreadable),
            )
            if planned.worst_case > 0:
                spending = instructed.within(spending, allowed)
            run_id = await planned.begin(spending)
        await self._follow(row.id, run_id)

    def _noting(self, instruction_id: str, unreadable: tuple[str, ...]) -> Note:
        """Write a run's id down in the commit that makes the run, unless it was cancelled."""

        async def note(session: AsyncSession, run_id: str) -> None:
            row = await instructions.by_id(session, instruction_id)
            if row.cancel_requested_at is not None:
                raise Cancelled("It was cancelled before its run began; nothing was sent.")
            values: dict[str, Any] = {"run_id": run_id}
            if unreadable:
                values["result"] = {"unreadable": list(unreadable)[:100]}
            await instructions.change(
                session,
                instruction_id,
                "run_started",
                (State.RUNNING,),
                State.RUNNING,
                self.studio.shop.clock.now(),
                values=values,
                run=run_id,
            )

        return note

    async def _ask_again(self, row: Instruction, price: Usd) -> None:
        """A confirmed price is a ceiling: a higher one waits for a person's word anew."""
        nano = money.to_nano(price)
        async with self.studio.shop.db.write() as session:
            await instructions.change(
                session,
                row.id,
                "price_changed",
                (State.RUNNING,),
                State.AWAITING_CONFIRMATION,
                self.studio.shop.clock.now(),
                values={"confirmed": False, "worst_case_nano": nano},
                worst_case_nano=nano,
                before_nano=row.worst_case_nano,
            )

    async def _follow(self, instruction_id: str, run_id: str) -> None:
        asked = False
        while True:
            async with self.studio.shop.db.read() as session:
                run = await runs.by_id(session, run_id)
                row = await instructions.by_id(session, instruction_id)
            state = JobState(run.state)
            if state.final:
                break
            if row.cancel_requested_at is not None and not asked:
                asked = True
                await running.cancel(self.studio, run_id)
            if self.leaving.is_set():
                raise Left
            await self.news()
        result = {**(row.result or {}), **await instructed.told(self.studio, run_id)}
        if state is JobState.SUCCEEDED and not result.get("unreadable"):
            await self._end(instruction_id, State.SUCCEEDED, result)
        elif state is JobState.CANCELLED:
            error = Cancelled(f"The run {run_id} was cancelled; what was made is kept.")
            await self._end(instruction_id, State.CANCELLED, result, error)
        else:
            code = "failed" if state is JobState.SUCCEEDED else state.value
            await self._fail(instruction_id, code.replace("_", "-"), instructed.why(result), result)

    async def _dispatch(self, row: Instruction, project: Project) -> None:
        while True:
            try:
                answer = await dispatching.send(self.studio, row, project)
            except MaquetteError as error:
                await self._wait_to_send(row, error)
                continue
            if answer.state is State.RUNNING:
                await self._accepted(row.id, answer)
            elif answer.state is State.FAILED:
                await self._fail(row.id, "agent-failed", answer.message, answer.result)
            else:
                await self._end(row.id, answer.state, answer.result)
            return

    async def _wait_to_send(self, row: Instruction, error: MaquetteError) -> None:
        """Note a failure and wait; raise it where another try makes no sense."""
        if error.retry is not Retry.LATER:
            raise error
        async with self.studio.shop.db.write() as session:
            tried = 1 + await instructions.count_of(session, row.id, "dispatch_failed")
            now = self.studio.shop.clock.now()
            instructions.note(session, row, "dispatch_failed", now, tried=tried, why=str(error))
        retries = self.studio.shop.retries
        if tried >= retries.tries:
            raise error
        wait_s = retries.wait_s(tried, getattr(error, "retry_after", None))
        wait_s = min(wait_s, retries.longest_asked_s)
        await self._interruptible(row.id, asyncio.sleep(wait_s))

    async def _accepted(self, instruction_id: str, answer: dispatching.Answer) -> None:
        """Leave it to the agent, unless somebody has cancelled it meanwhile."""
        async with self.studio.shop.db.write() as session:
            row = await instructions.by_id(session, instruction_id)
            cancelled = row.cancel_requested_at is not None
            now = self.studio.shop.clock.now()
            values: dict[str, Any] = {"result": dict(answer.result)}
            if cancelled:
                values["finished_at"] = now
            await instructions.change(
                session,
                instruction_id,
                "cancelled" if cancelled else "accepted",
                (State.RUNNING,),
                State.CANCELLED if cancelled else State.RUNNING,
                now,
                values=values,
            )

    async def _interruptible(self, instruction_id: str, work: Coroutine[Any, Any, T]) -> T:
        """Await free work; a person's cancelling and the desk's end interrupt it."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait([task], timeout=_LOOK_S))[0]:
                if self.leaving.is_set():
                    raise Left
                async with self.studio.shop.db.read() as session:
                    row = await instructions.by_id(session, instruction_id)
                if row.cancel_requested_at is not None:
                    raise Cancelled("A person cancelled it.")
            return task.result()
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # somebody has seen it

    async def _fail(
        self, instruction_id: str, code: str, message: str, result: Mapping[str, Any] | None
    ) -> None:
        values: dict[str, Any] = {"error_code": code, "error_message": message}
        await self._write_end(instruction_id, State.FAILED, result, values)

    async def _end(
        self,
        instruction_id: str,
        state: State,
        result: Mapping[str, Any] | None,
        error: MaquetteError | None = None,
    ) -> None:
        values: dict[str, Any] = {}
        if error is not None:
            values = {"error_code": error.code, "error_message": str(error)}
        await self._write_end(instruction_id, state, result, values)

    async def _write_end(
        self,
        instruction_id: str,
        state: State,
        result: Mapping[str, Any] | None,
        values: dict[str, Any],
    ) -> None:
        now = self.studio.shop.clock.now()
        if result is not None:
            values["result"] = dict(result)
        with suppress(WrongState):  # it was ended by a person or an agent meanwhile
            async with self.studio.shop.db.write() as session:
                await instructions.change(
                    session,
                    instruction_id,
                    "ended",
                    (State.RUNNING,),
                    state,
                    now,
                    values=values | {"finished_at": now},
                    **({"why": values["error_message"]} if "error_message" in values else {}),
                )
