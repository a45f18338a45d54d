"""What was spent: sums, the calls behind them, and those that nobody has decided about."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.dates import Day
from maquette.api.door import SignedIn, Spender
from maquette.api.house import TheStudio
from maquette.core import errors as e
from maquette.core.money import Usd
from maquette.core.wanted import Wanted
from maquette.services import costs, spending
from maquette.services.costs import Line, Spent, Which, plain
from maquette.services.people import NAME
from maquette.services.spending import Undecided

router = APIRouter(prefix="/api/costs", tags=["money"])

_WORD = "(day|user|project|model)"
GroupBy = Annotated[
    str,
    Query(
        pattern=f"^{_WORD}(,{_WORD}){{0,3}}$",
        description="`day`, `user`, `project`, `model`, or several, joined by commas.",
        examples=["day,model"],
    ),
]
AttemptId = Annotated[str, Path(max_length=36, pattern=r"^[A-Za-z0-9-]+$")]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,9})?$", examples=["0.04"])]


def _which(
    first: Annotated[Day, Query(alias="from", description="The first day.")] = None,
    last: Annotated[Day, Query(alias="to", description="The last day.")] = None,
    user: Annotated[str | None, Query(pattern=NAME, description="A person's name.")] = None,
    project: Annotated[
        str | None, Query(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="A slug.")
    ] = None,
    model: Annotated[
        str | None,
        Query(max_length=200, pattern=r"^[^\x00:]+:[^\x00]+$", description="`provider:model`."),
    ] = None,
) -> Which:
    return Which(
        None if first is None else first.isoformat(),
        None if last is None else last.isoformat(),
        user,
        project,
        model,
    )


TheCalls = Annotated[Which, Depends(_which)]


class CostLine(BaseModel):
    """One line of a report; what it is not grouped by is null."""

    day: str | None
    user: str | None
    project: str | None
    provider: str | None
    model: str | None
    calls: int
    estimated_usd: str
    """Of the calls that were charged, to be compared with what they were charged."""
    actual_usd: str
    unknown_usd: str
    """Of calls that may have been charged."""


class CostReport(BaseModel):
    """A report, the latest day first."""

    items: list[CostLine]
    next: None = None


class CallDocument(BaseModel):
    """One call and its money."""

    id: str
    kind: str
    """`pictures`, or `words`: a call of a language or speech model."""
    run: str
    scene: str
    project: str
    user: str | None
    provider: str
    model: str
    state: str
    day: str
    """On which the caps count it."""
    sent_at: datetime | None
    finished_at: datetime | None
    estimated_usd: str
    actual_usd: str
    usage: dict[str, Any] | None
    """As the provider counts it."""
    priced_by: dict[str, Any] | None
    """The price at the time: its day, where it comes from, its numbers."""
    error_code: str | None
    error_message: str | None


class CallPage(BaseModel):
    """A page of calls, the latest first."""

    items: list[CallDocument]
    next: str | None = None


class UnknownDocument(BaseModel):
    """A paid call whose answer was lost."""

    id: str
    kind: str
    run: str
    scene: str
    project: str
    user: str | None
    provider: str
    model: str
    reserved_usd: str
    """The most that it may have cost; it stays counted until somebody decides."""
    sent_at: datetime | None
    why: str


class UnknownList(BaseModel):
    """All that the caller may decide about, oldest first."""

    items: list[UnknownDocument]
    next: None = None


class Decision(Wanted):
    """What the provider's own usage page says."""

    charged: bool
    amount_usd: Amount | None = None
    """What was charged; null: as much as was reserved."""


@router.get("", summary="Sum up what was spent", responses=raises(e.BadParameter, e.UserNotFound))
async def report(
    caller: SignedIn, studio: TheStudio, which: TheCalls, group_by: GroupBy = "day"
) -> CostReport:
    """Return sums of all paid calls; who is no administrator sees theirs and their projects'."""
    lines = await costs.report(studio, costs.dimensions(group_by), which, caller)
    return CostReport(items=[_line(one) for one in lines])


@router.get(
    ".csv",
    summary="Sum up for a spreadsheet",
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        **raises(e.BadParameter, e.UserNotFound),
    },
)
async def report_csv(
    caller: SignedIn, studio: TheStudio, which: TheCalls, group_by: GroupBy = "day"
) -> Response:
    """Return the same as a table in which nothing is a formula."""
    by = costs.dimensions(group_by)
    text = costs.as_csv(by, await costs.report(studio, by, which, caller))
    headers = {"Content-Disposition": 'attachment; filename="costs.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8; header=present", headers=headers)


@router.get("/calls", summary="List single calls", responses=raises(e.BadParameter, e.UserNotFound))
async def list_calls(
    caller: SignedIn,
    studio: TheStudio,
    which: TheCalls,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None,
        Query(
            max_length=36,
            pattern=r"^[A-Za-z0-9-]+$",
            description="The `next` of the page before.",
        ),
    ] = None,
) -> CallPage:
    """Return a page of paid calls that were sent, the latest first."""
    found = await costs.calls(studio, which, caller, limit, before)
    items = [_call(one) for one in found]
    return CallPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/unknown", summary="List calls whose outcome is unknown")
async def list_unknown(caller: SignedIn, studio: TheStudio) -> UnknownList:
    """Return calls that may have been charged and that the caller may decide about."""
    found = await spending.undecided(studio, caller)
    return UnknownList(items=[_unknown(one) for one in found])


@router.post(
    "/unknown/{attempt}/decide",
    summary="Decide an unknown outcome",
    responses=raises(e.BadParameter, e.NotFound, e.Forbidden, e.Conflict),
)
async def decide(
    caller: Spender, studio: TheStudio, attempt: AttemptId, decision: Decision
) -> UnknownDocument:
    """Say whether the call was charged; an owner of the project can only say: as reserved.

    Administrators can say any amount up to ten times what was reserved, or $1000 if that is more.
    """
    amount = None if decision.amount_usd is None else Usd(Decimal(decision.amount_usd))
    return _unknown(
        await spending.decide(
            studio, attempt, charged=decision.charged, amount=amount, caller=caller
        )
    )


def _line(one: Line) -> CostLine:
    return CostLine(
        day=one.day,
        user=one.user,
        project=one.project,
        provider=one.provider,
        model=one.model,
        calls=one.calls,
        estimated_usd=plain(one.estimated),
        actual_usd=plain(one.actual),
        unknown_usd=plain(one.unknown),
    )


def _call(one: Spent) -> CallDocument:
    facts = {name: value for name, value in vars(one).items() if name in CallDocument.model_fields}
    return CallDocument(**facts, estimated_usd=plain(one.estimated), actual_usd=plain(one.actual))


def _unknown(one: Undecided) -> UnknownDocument:
    return UnknownDocument(
        id=one.attempt,
        kind=one.kind,
        run=one.run,
        scene=one.scene,
        project=one.project,
        user=one.user,
        provider=one.provider,
        model=one.model,
        reserved_usd=plain(one.reserved),
        sent_at=one.sent_at,
        why=one.why,
    )
