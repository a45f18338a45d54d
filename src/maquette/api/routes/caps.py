"""Ceilings for money, how full they are, and the kill switch."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.door import Admin, SignedIn
from maquette.api.house import TheStudio
from maquette.core.errors import BadParameter, ProjectNotFound, UserNotFound
from maquette.core.money import Usd
from maquette.core.wanted import Wanted
from maquette.services import caps, spending
from maquette.services.caps import PATTERN, Meter
from maquette.services.costs import plain
from maquette.services.spending import Switch

router = APIRouter(prefix="/api", tags=["money"])

Scope = Annotated[
    str,
    Path(
        pattern=PATTERN,
        description="`installation`, `day`, `project:SLUG`, `project-day:SLUG`, `user:NAME`, "
        "`user-day:NAME`; `project-day` or `user-day` for all that have none of their own.",
    ),
]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$", examples=["25.00"])]
Why = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


class NewCap(Wanted):
    """A ceiling, in dollars."""

    limit_usd: Amount


class MeterDocument(BaseModel):
    """A cap, and how full it is."""

    scope: str
    day: str | None
    """The day that it counts, where it begins anew with each."""
    limit_usd: str | None
    """Null: no ceiling."""
    own: bool
    """False: the ceiling is that of all of its kind."""
    held_usd: str
    spent_usd: str
    percent: float | None
    """Spent and held, of the ceiling."""
    alerts: list[int]
    """The percentages that were reached and told of."""


class MeterList(BaseModel):
    """All that count, or are capped."""

    items: list[MeterDocument]
    next: None = None


class NewSwitch(Wanted):
    """Whether paid calls may go out."""

    stopped: bool
    why: Why | None = None
    """A word for the others."""


class SwitchDocument(BaseModel):
    """Whether paid calls may go out."""

    stopped: bool
    since: datetime | None
    why: str | None


@router.get("/caps", summary="Show the caps")
async def list_caps(caller: SignedIn, studio: TheStudio) -> MeterList:
    """Return all caps and counters; who is no administrator sees their own and their projects'."""
    return MeterList(items=[_document(one) for one in await caps.meters(studio, caller)])


@router.put(
    "/caps/{scope}",
    summary="Set a cap",
    responses=raises(BadParameter, ProjectNotFound, UserNotFound),
)
async def set_cap(_caller: Admin, studio: TheStudio, scope: Scope, wanted: NewCap) -> MeterDocument:
    """Set a ceiling; one below what is spent takes nothing back and refuses what comes next."""
    return _document(await caps.put(studio, scope, Usd(Decimal(wanted.limit_usd))))


@router.delete(
    "/caps/{scope}",
    status_code=204,
    summary="Take a cap away",
    responses=raises(BadParameter, ProjectNotFound, UserNotFound),
)
async def remove_cap(_caller: Admin, studio: TheStudio, scope: Scope) -> None:
    """Take a ceiling away; what was spent stays counted."""
    await caps.put(studio, scope, None)


@router.get("/spending", summary="Look at the kill switch")
async def show_switch(_caller: SignedIn, studio: TheStudio) -> SwitchDocument:
    """Say whether paid calls may go out."""
    return _switch(await spending.switch(studio))


@router.put("/spending", summary="Throw the kill switch")
async def set_switch(_caller: Admin, studio: TheStudio, wanted: NewSwitch) -> SwitchDocument:
    """Stop all paid calls of the installation, or let them go out again."""
    if wanted.stopped:
        await spending.stop(studio, wanted.why)
    else:
        await spending.allow(studio)
    return _switch(await spending.switch(studio))


def _switch(found: Switch) -> SwitchDocument:
    stopped = found.stopped_since is not None
    return SwitchDocument(stopped=stopped, since=found.stopped_since, why=found.why)


def _document(one: Meter) -> MeterDocument:
    return MeterDocument(
        scope=one.scope,
        day=one.day,
        limit_usd=None if one.limit is None else plain(one.limit),
        own=one.own,
        held_usd=plain(one.held),
        spent_usd=plain(one.spent),
        percent=one.percent,
        alerts=list(one.alerts),
    )
