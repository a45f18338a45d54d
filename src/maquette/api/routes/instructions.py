"""Instructions: given, confirmed, cancelled, reported on, followed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from maquette.api.claims import ONCE, MadeBefore, TheClaim
from maquette.api.contract import raises
from maquette.api.door import Editing, Spending, Viewing
from maquette.api.house import TheStudio
from maquette.core import errors as e
from maquette.core import money
from maquette.core.instructions import InstructionKind
from maquette.core.states import InstructionState
from maquette.core.wanted import Wanted
from maquette.db.tables import Instruction, InstructionEvent
from maquette.services import instructing

router = APIRouter(prefix="/api/projects/{slug}/agent/instructions", tags=["instructions"])

_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
InstructionId = Annotated[str, Path(pattern=_ID)]
_MISSING = raises(e.InstructionNotFound)
_CHANGING = raises(e.InstructionNotFound, e.WrongState)


class NewInstruction(Wanted):
    """An instruction as it is given."""

    instruction_type: InstructionKind
    payload_json: dict[str, Any] = Field({}, examples=[{"stage": "style", "candidates": 3}])
    dispatch_to_agent: bool | None = None
    """Unset: true where an agent is configured."""
    draft: bool = False
    """Wait for `confirm` whatever it costs."""


class Confirmation(Wanted):
    """What the person saw."""

    worst_case_usd: (
        Annotated[Decimal, Field(ge=0, le=1_000_000_000, max_digits=19, decimal_places=9)] | None
    ) = None
    """Given: confirms only where this is still the worst case."""


class Report(Wanted):
    """How an instruction goes that an agent accepted."""

    state: Literal["running", "succeeded", "failed", "cancelled"]
    result: dict[str, Any] = Field({})
    message: Annotated[str, Field(max_length=4000)] | None = None


class InstructionError(BaseModel):
    """Why an instruction failed."""

    code: str
    message: str


class InstructionDocument(BaseModel):
    """An instruction."""

    id: str
    instruction_type: InstructionKind
    state: InstructionState
    payload_json: dict[str, Any]
    dispatch_to_agent: bool
    confirmed: bool
    worst_case_usd: str
    """The most it may cost; 0 where it costs nothing, or an agent spends its own."""
    run_id: str | None
    chat_session_id: str | None
    result: dict[str, Any] | None
    error: InstructionError | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Instruction) -> InstructionDocument:
        error = None
        if row.error_code is not None:
            error = InstructionError(code=row.error_code, message=row.error_message or "")
        return cls(
            id=row.id,
            instruction_type=InstructionKind(row.kind),
            state=InstructionState(row.state),
            payload_json=row.payload,
            dispatch_to_agent=row.dispatch,
            confirmed=row.confirmed,
            worst_case_usd=str(money.from_nano(row.worst_case_nano)),
            run_id=row.run_id,
            chat_session_id=row.session_id,
            result=row.result,
            error=error,
            cancel_requested=row.cancel_requested_at is not None,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )


class InstructionPage(BaseModel):
    """A page of instructions, newest first."""

    items: list[InstructionDocument]
    next: str | None = None
    """The cursor of the page after this one; null at the end."""


class ChangeDocument(BaseModel):
    """One change of an instruction."""

    id: int
    kind: str
    state: InstructionState
    data: dict[str, Any]
    at: datetime

    @classmethod
    def of(cls, row: InstructionEvent) -> ChangeDocument:
        data = {name: value for name, value in row.data.items() if name != "user_id"}
        return cls(
            id=row.id, kind=row.kind, state=InstructionState(row.state), data=data, at=row.at
        )


class ChangePage(BaseModel):
    """A page of changes, oldest first."""

    items: list[ChangeDocument]
    next: int | None = None
    """The cursor of the page after this one; null at the end."""


@router.post(
    "",
    status_code=201,
    summary="Give an instruction",
    responses=raises(e.UnsafePath, e.CapabilityMissing, e.BudgetExceeded, e.InstructionNotFound)
    | ONCE,
)
async def create_instruction(
    entry: Editing, studio: TheStudio, given: NewInstruction, claim: TheClaim, before: MadeBefore
) -> InstructionDocument:
    """Queue it, or let it wait for `confirm` where it may cost money."""
    if before is not None:
        made = before.removeprefix("instruction:")
        return InstructionDocument.of(await instructing.show(studio, entry.project, made))
    wanted = instructing.Wanted(
        given.instruction_type, given.payload_json, given.dispatch_to_agent, draft=given.draft
    )
    row = await instructing.create(studio, entry.project, entry.caller, wanted, claim)
    return InstructionDocument.of(row)


@router.get("", summary="List instructions")
async def list_instructions(
    entry: Viewing,
    studio: TheStudio,
    state: InstructionState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None, Query(pattern=_ID, description="`next` of the page that came before.")
    ] = None,
) -> InstructionPage:
    """Return a page of the project's instructions, newest first."""
    rows = await instructing.listing(studio, entry.project, state=state, limit=limit, before=before)
    items = [InstructionDocument.of(row) for row in rows]
    return InstructionPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/{instruction_id}", summary="Show an instruction", responses=_MISSING)
async def show_instruction(
    entry: Viewing, studio: TheStudio, instruction_id: InstructionId
) -> InstructionDocument:
    """Return one instruction as it stands."""
    return InstructionDocument.of(await instructing.show(studio, entry.project, instruction_id))


@router.post("/{instruction_id}/confirm", summary="Confirm an instruction", responses=_CHANGING)
async def confirm_instruction(
    entry: Spending,
    studio: TheStudio,
    instruction_id: InstructionId,
    seen: Confirmation | None = None,
) -> InstructionDocument:
    """Queue what waits for a person's word; it may then cost up to its worst case."""
    price = None if seen is None or seen.worst_case_usd is None else money.Usd(seen.worst_case_usd)
    row = await instructing.confirm(studio, entry.project, entry.caller, instruction_id, price)
    return InstructionDocument.of(row)


@router.post(
    "/{instruction_id}/cancel",
    status_code=202,
    summary="Cancel an instruction",
    responses=_CHANGING,
)
async def cancel_instruction(
    entry: Editing, studio: TheStudio, instruction_id: InstructionId
) -> InstructionDocument:
    """End it, or ask what runs to end; calls that were paid are waited for and kept."""
    row = await instructing.cancel(studio, entry.project, entry.caller, instruction_id)
    return InstructionDocument.of(row)


@router.post("/{instruction_id}/report", summary="Report on an instruction", responses=_CHANGING)
async def report_instruction(
    entry: Editing, studio: TheStudio, instruction_id: InstructionId, told: Report
) -> InstructionDocument:
    """Take in how it goes from the agent that it was dispatched to."""
    row = await instructing.report(
        studio,
        entry.project,
        entry.caller,
        instruction_id,
        InstructionState(told.state),
        told.result,
        told.message,
    )
    return InstructionDocument.of(row)


@router.get("/{instruction_id}/events", summary="List an instruction's changes", responses=_MISSING)
async def list_changes(
    entry: Viewing,
    studio: TheStudio,
    instruction_id: InstructionId,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    after: Annotated[
        int, Query(ge=0, le=2**63 - 1, description="`next` of the page that came before.")
    ] = 0,
) -> ChangePage:
    """Return a page of what happened to it, oldest first."""
    rows = await instructing.history(
        studio, entry.project, instruction_id, after=after, limit=limit
    )
    items = [ChangeDocument.of(row) for row in rows]
    return ChangePage(items=items, next=items[-1].id if len(items) == limit else None)
