"""Instructions and their history: every change is one conditional UPDATE with its event."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BadParameter, InstructionNotFound, WrongState
from maquette.core.states import InstructionState
from maquette.db import events
from maquette.db.tables import Instruction, InstructionEvent

_WITH_AN_AGENT = Instruction.dispatch & Instruction.result.is_not(None)
"""An agent took it and will report; nothing is to be done here."""


async def add(session: AsyncSession, new: Instruction, at: datetime, **data: Any) -> None:
    """Add an instruction with the first event of its history."""
    session.add(new)
    await session.flush()
    _note(session, new, "created", new.state, at, data)


async def by_id(
    session: AsyncSession, instruction_id: str, project_id: str | None = None
) -> Instruction:
    """Return an instruction; with a project, only one of its own."""
    found = await session.get(Instruction, instruction_id, populate_existing=True)
    if found is None or (project_id is not None and found.project_id != project_id):
        raise InstructionNotFound(
            f"There is no instruction {instruction_id!r} in this project; list its instructions."
        )
    return found


async def listing(
    session: AsyncSession,
    project_id: str,
    *,
    state: str | None,
    limit: int,
    before: str | None,
) -> Sequence[Instruction]:
    """Return a keyset page, newest first; `before` is the id of the last one seen."""
    query = select(Instruction).where(Instruction.project_id == project_id)
    if state is not None:
        query = query.where(Instruction.state == state)
    if before is not None:
        last = await session.get(Instruction, before)
        if last is None or last.project_id != project_id:
            raise BadParameter(f"{before!r} is no cursor of this list; begin again without one.")
        key = tuple_(Instruction.created_at, Instruction.id)
        query = query.where(key < (last.created_at, last.id))
    newest = (Instruction.created_at.desc(), Instruction.id.desc())
    return (await session.execute(query.order_by(*newest).limit(limit))).scalars().all()


async def history(
    session: AsyncSession, instruction_id: str, *, after: int, limit: int
) -> Sequence[InstructionEvent]:
    """Return a page of an instruction's events, oldest first."""
    query = (
        select(InstructionEvent)
        .where(InstructionEvent.instruction_id == instruction_id, InstructionEvent.id > after)
        .order_by(InstructionEvent.id)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def last_of(session: AsyncSession, instruction_id: str, kind: str) -> InstructionEvent | None:
    """Return the latest event of a kind."""
    query = (
        select(InstructionEvent)
        .where(InstructionEvent.instruction_id == instruction_id, InstructionEvent.kind == kind)
        .order_by(InstructionEvent.id.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def count_of(session: AsyncSession, instruction_id: str, kind: str) -> int:
    query = (
        select(func.count())
        .select_from(InstructionEvent)
        .where(InstructionEvent.instruction_id == instruction_id, InstructionEvent.kind == kind)
    )
    return (await session.execute(query)).scalar_one()


async def to_do(session: AsyncSession, limit: int, besides: Collection[str] = ()) -> Sequence[str]:
    """Return the ids of what is queued or was left running, the oldest first."""
    states = (InstructionState.QUEUED.value, InstructionState.RUNNING.value)
    query = (
        select(Instruction.id)
        .where(Instruction.state.in_(states), ~_WITH_AN_AGENT)
        .order_by(Instruction.created_at, Instruction.id)
        .limit(limit)
    )
    if besides:
        query = query.where(Instruction.id.not_in(besides))
    return (await session.execute(query)).scalars().all()


async def change(
    session: AsyncSession,
    instruction_id: str,
    kind: str,
    out_of: Collection[InstructionState],
    to: InstructionState,
    at: datetime,
    *,
    values: dict[str, Any] | None = None,
    **data: Any,
) -> Instruction:
    """Move it to another state, or raise `WrongState` where it is in none of `out_of`."""
    states = [one.value for one in out_of]
    changed = await session.execute(
        update(Instruction)
        .where(Instruction.id == instruction_id, Instruction.state.in_(states))
        .values(state=to.value, **(values or {}))
        .returning(Instruction.id)
    )
    moved = changed.scalar_one_or_none()
    found = await by_id(session, instruction_id)
    if moved is None:
        raise WrongState(
            f"The instruction {instruction_id} is {found.state}, so it cannot become {to.value}. "
            "Look at it again before you decide."
        )
    _note(session, found, kind, to.value, at, data)
    return found


def note(
    session: AsyncSession, instruction: Instruction, kind: str, at: datetime, **data: Any
) -> None:
    """Write down what happened to it without a change of its state."""
    _note(session, instruction, kind, instruction.state, at, data)


def _note(
    session: AsyncSession,
    instruction: Instruction,
    kind: str,
    state: str,
    at: datetime,
    data: dict[str, Any],
) -> None:
    session.add(
        InstructionEvent(instruction_id=instruction.id, kind=kind, state=state, data=data, at=at)
    )
    events.record(
        session,
        "instruction_changed",
        project_id=instruction.project_id,
        run_id=instruction.run_id,
        at=at,
        instruction=instruction.id,
        type=instruction.kind,
        state=state,
        change=kind,
    )
