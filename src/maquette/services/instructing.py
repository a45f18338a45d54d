"""Instructions: given, confirmed, cancelled, reported on and looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from maquette.core import correlation, money
from maquette.core import instructions as i
from maquette.core.errors import (
    BadParameter,
    BudgetExceeded,
    CapabilityMissing,
    MaquetteError,
    UnsafePath,
    WrongState,
)
from maquette.core.instructions import InstructionKind, Payload
from maquette.core.money import Nano
from maquette.core.people import Caller
from maquette.core.states import InstructionState as State
from maquette.db import idempotency, instructions
from maquette.db.idempotency import Claim
from maquette.db.tables import Instruction, InstructionEvent, Project
from maquette.services import instructed
from maquette.services.studio import Studio

_PRICING_S = 20.0
"""Longer than that nobody waits for a price: the worker then finds it."""
_LONGEST_RESULT = 64 * 1024
_WAITING = (State.DRAFT, State.AWAITING_CONFIRMATION)


@dataclass(frozen=True)
class Wanted:
    """An instruction as it is given."""

    kind: InstructionKind
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])
    dispatch: bool | None = None
    """Whether another agent does it; None: where one is configured."""
    draft: bool = False
    session_id: str | None = None
    """The chat that proposes it."""
    proposed: bool = False
    """By a model or a voice: it waits for a person's word, even where it costs nothing."""


async def create(
    studio: Studio, project: Project, caller: Caller, wanted: Wanted, claim: Claim | None = None
) -> Instruction:
    """Write an instruction down; what may cost money waits for a person's word."""
    said = i.read(wanted.kind, wanted.payload)
    instructed.check_names(studio, project.root, said)
    dispatch = studio.agent is not None if wanted.dispatch is None else wanted.dispatch
    if dispatch and studio.agent is None:
        raise CapabilityMissing(
            "No agent is configured, so the instruction was not taken. Set MAQUETTE_AGENT_URL, or "
            "say dispatch_to_agent: false."
        )
    price, why = Nano(0), None
    if not dispatch and wanted.kind.is_run:
        price, why = await _priced(studio, project, wanted.kind, said)
    waits = wanted.proposed or price > 0 or (dispatch and wanted.kind.may_spend)
    state = State.AWAITING_CONFIRMATION if waits else State.QUEUED
    now = studio.shop.clock.now()
    new = Instruction(
        id=str(uuid4()),
        project_id=project.id,
        user_id=caller.user_id,
        session_id=wanted.session_id,
        kind=wanted.kind.value,
        state=(State.DRAFT if wanted.draft else state).value,
        payload=i.dumped(said),
        dispatch=dispatch,
        confirmed=False,
        worst_case_nano=price,
        created_at=now,
    )
    data = _by(caller) | ({} if why is None else {"unpriced": why})
    async with studio.shop.db.write() as session:
        if claim is not None:
            await idempotency.claim(session, claim, f"instruction:{new.id}")
        await instructions.add(session, new, now, **data)
    return new


async def _priced(
    studio: Studio, project: Project, kind: InstructionKind, said: Payload
) -> tuple[Nano, str | None]:
    """Return the worst case; where there is none to be had, the worker will say why."""
    try:
        async with asyncio.timeout(_PRICING_S):
            planned = await instructed.plan(studio, project, kind, said)
    except (UnsafePath, BudgetExceeded):
        raise
    except MaquetteError as error:
        return Nano(0), str(error)
    except TimeoutError:
        return Nano(0), "It takes a while to plan; the worker does."
    return money.to_nano(planned.worst_case), None


def _by(caller: Caller) -> dict[str, Any]:
    return {
        "by": caller.name,
        "user_id": caller.user_id,
        "correlation_id": correlation.current.get(),
    }


async def show(studio: Studio, project: Project, instruction_id: str) -> Instruction:
    async with studio.shop.db.read() as session:
        return await instructions.by_id(session, instruction_id, project.id)


async def listing(
    studio: Studio, project: Project, *, state: State | None, limit: int, before: str | None
) -> Sequence[Instruction]:
    """Return a page of a project's instructions, newest first."""
    only = None if state is None else state.value
    async with studio.shop.db.read() as session:
        return await instructions.listing(
            session, project.id, state=only, limit=limit, before=before
        )


async def history(
    studio: Studio, project: Project, instruction_id: str, *, after: int, limit: int
) -> Sequence[InstructionEvent]:
    """Return a page of what happened to an instruction, oldest first."""
    async with studio.shop.db.read() as session:
        found = await instructions.by_id(session, instruction_id, project.id)
        return await instructions.history(session, found.id, after=after, limit=limit)


async def confirm(
    studio: Studio,
    project: Project,
    caller: Caller,
    instruction_id: str,
    price: money.Usd | None = None,
) -> Instruction:
    """Queue what waits; its worst case is then the most it may cost. Twice is harmless.

    `price`: the worst case that the person saw; another one meanwhile refuses.
    """
    async with studio.shop.db.write() as session:
        found = await instructions.by_id(session, instruction_id, project.id)
        if price is not None and money.to_nano(price) != found.worst_case_nano:
            raise WrongState(
                f"The worst case is {money.show(money.from_nano(found.worst_case_nano))}, not "
                f"{money.show(price)}; look at it again before you confirm."
            )
        if found.confirmed and State(found.state) not in _WAITING:
            return found
        return await instructions.change(
            session,
            found.id,
            "confirmed",
            _WAITING,
            State.QUEUED,
            studio.shop.clock.now(),
            values={"confirmed": True},
            worst_case_nano=found.worst_case_nano,
            **_by(caller),
        )


async def cancel(
    studio: Studio, project: Project, caller: Caller, instruction_id: str
) -> Instruction:
    """End what has not begun; ask what runs to end: a paid call that was sent is waited for."""
    now = studio.shop.clock.now()
    async with studio.shop.db.write() as session:
        found = await instructions.by_id(session, instruction_id, project.id)
        state = State(found.state)
        if state is State.CANCELLED or (state is State.RUNNING and found.cancel_requested_at):
            return found
        if state is State.RUNNING and not (found.dispatch and found.result is not None):
            return await instructions.change(
                session,
                found.id,
                "cancel_requested",
                (State.RUNNING,),
                State.RUNNING,
                now,
                values={"cancel_requested_at": now},
                **_by(caller),
            )
        return await instructions.change(
            session,
            found.id,
            "cancelled",
            (*_WAITING, State.QUEUED, State.RUNNING),
            State.CANCELLED,
            now,
            values={"cancel_requested_at": now, "finished_at": now},
            **_by(caller),
        )


async def report(
    studio: Studio,
    project: Project,
    caller: Caller,
    instruction_id: str,
    state: State,
    result: Mapping[str, Any],
    message: str | None = None,
) -> Instruction:
    """Take in how an instruction goes that an agent accepted."""
    _check_result(result)
    now = studio.shop.clock.now()
    async with studio.shop.db.write() as session:
        found = await instructions.by_id(session, instruction_id, project.id)
        if not found.dispatch:
            raise WrongState(
                f"The instruction {found.id} is done by this installation, so nobody reports on it."
            )
        if State(found.state) is state and state.final:
            return found
        values: dict[str, Any] = {"result": dict(result)}
        if state.final:
            values["finished_at"] = now
        if state is State.FAILED:
            values["error_code"] = "agent-failed"
            values["error_message"] = message or "The agent says that it failed, and not why."
        return await instructions.change(
            session,
            found.id,
            "reported",
            (State.RUNNING,),
            state,
            now,
            values=values,
            message=message,
            **_by(caller),
        )


def _check_result(result: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(result, allow_nan=False))
    except (ValueError, RecursionError):
        raise BadParameter(
            "result has a number that is none, or is nested too deeply; write plain JSON."
        ) from None
    if size > _LONGEST_RESULT:
        raise BadParameter(
            f"result is over {_LONGEST_RESULT // 1024} KiB; report where the rest is instead."
        )
