"""Caps, the kill switch, the report, and decisions on calls whose outcome is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import BadParameter, Conflict, Forbidden, NotFound
from maquette.core.money import Usd
from maquette.core.people import Caller
from maquette.core.states import AttemptState
from maquette.db import costs, events, ledger, people
from maquette.db.costs import Call, Which
from maquette.db.tables import Attempt
from maquette.services import caps, metering
from maquette.services import costs as reports
from maquette.services.caps import Meter
from maquette.services.costs import Line
from maquette.services.studio import Studio

_MOST_UNDECIDED = 10_000
_MOST_TIMES, _MOST_CHARGED = 10, money.parse_usd("1000")
"""What a call may have cost at most: so many times what was reserved, or this if it is more."""


async def meters(studio: Studio) -> Sequence[Meter]:
    """Return the installation, today, every project and person, with or without a cap."""
    return await caps.meters(studio)


async def set_cap(studio: Studio, scope: str, limit: Usd | None) -> None:
    """Set a ceiling, as `caps.put` says; None takes it away."""
    await caps.put(studio, scope, limit)


async def report(studio: Studio, project: str | None = None) -> Sequence[Line]:
    """Sum up by day, project and model; also what deleted projects cost."""
    lines = await reports.report(studio, ("day", "project", "model"), Which(project=project))
    keys = ("day", "project", "provider", "model")
    return sorted(lines, key=lambda one: [getattr(one, name) or "" for name in keys], reverse=True)


@dataclass(frozen=True)
class Switch:
    """The kill switch: off is None."""

    stopped_since: datetime | None
    why: str | None


async def switch(studio: Studio) -> Switch:
    async with studio.shop.db.read() as session:
        row = await ledger.stopped(session)
        return (
            Switch(None, None)
            if row is None
            else Switch(row.spend_stopped_at, row.spend_stopped_why)
        )


async def stopped_since(studio: Studio) -> datetime | None:
    return (await switch(studio)).stopped_since


async def stopped_why(studio: Studio) -> str | None:
    return (await switch(studio)).why


async def stop(studio: Studio, why: str | None) -> None:
    """Throw the kill switch: no paid call goes out until it is taken back."""
    async with studio.shop.db.write() as session:
        await ledger.stop_spending(session, studio.shop.clock.now(), why)


async def allow(studio: Studio) -> None:
    async with studio.shop.db.write() as session:
        await ledger.stop_spending(session, None, None)


@dataclass(frozen=True)
class Undecided:
    """A paid call whose answer was lost."""

    attempt: str
    run: str
    kind: str
    """`pictures`, or `words`: then there is no run that goes on."""
    project: str
    user: str | None
    scene: str
    provider: str
    model: str
    reserved: Usd
    sent_at: datetime | None
    why: str


async def undecided(studio: Studio, caller: Caller | None = None) -> Sequence[Undecided]:
    """List the calls that may have been charged, those that the caller may decide about."""
    await metering.put_in_order(studio)
    async with studio.shop.db.read() as session:
        unknown = (AttemptState.UNKNOWN,)
        found = await costs.calls(session, Which(), _MOST_UNDECIDED, None, states=unknown)
        mine = [one for one in found if await _may_decide(session, caller, one)]
    return [_told(one) for one in reversed(mine)]


async def _may_decide(session: AsyncSession, caller: Caller | None, call: Call) -> bool:
    return await caps.owns(session, caller, call.attempt.project_id or "")


async def _may_see(session: AsyncSession, caller: Caller | None, call: Call) -> bool:
    if caller is None or caller.is_admin or call.attempt.user_id == caller.user_id:
        return True
    own = await people.projects_of(session, caller.user_id)
    return call.attempt.project_id in own


def _told(call: Call) -> Undecided:
    one = call.attempt
    return Undecided(
        attempt=one.id,
        run=call.run,
        kind=call.kind,
        project=call.project,
        user=call.user,
        scene=call.scene,
        provider=one.provider,
        model=one.model,
        reserved=money.from_nano(one.reserved_nano),
        sent_at=one.sent_at,
        why=one.error_message or "",
    )


async def decide(
    studio: Studio,
    attempt_id: str,
    *,
    charged: bool,
    amount: Usd | None,
    caller: Caller | None = None,
) -> Undecided:
    """Settle an unknown call as a person found it on the provider's own account page.

    An owner of the project can only confirm what was reserved: another sum, or none, is for
    administrators, since it may be another person's money. Return what it was: a run of pictures
    can go on now, a call of words is over.
    """
    if amount is not None and not charged:
        raise BadParameter("An amount was given for a call that was not charged; say one of both.")
    async with studio.shop.db.write() as session:
        found = await costs.found(session, attempt_id, beginning=caller is None)
        if len(found) != 1 or not await _may_see(session, caller, found[0]):
            raise NotFound(
                f"No single attempt is called {attempt_id!r}. `maquette spend unknown` lists them."
            )
        call, attempt = found[0], found[0].attempt
        if not await _may_decide(session, caller, call):
            raise Forbidden("Only an administrator or an owner of the project decides this.")
        nano = _decided(caller, attempt, charged=charged, amount=amount)
        if attempt.state != AttemptState.UNKNOWN:
            raise Conflict(f"Attempt {attempt.id} is {attempt.state}; there is nothing to decide.")
        now = studio.shop.clock.now()
        if charged:
            await ledger.write_off(session, attempt, nano, now)
        else:
            await ledger.release(session, attempt, now)
        events.record(
            session,
            "decided",
            project_id=attempt.project_id or "",
            run_id=call.run,
            job_id=attempt.job_id,
            at=now,
            attempt=attempt.id,
            charged=charged,
        )
    return _told(call)


def _decided(
    caller: Caller | None, attempt: Attempt, *, charged: bool, amount: Usd | None
) -> money.Nano:
    """Return what the call is to cost; refuse what the caller cannot say."""
    reserved = money.Nano(attempt.reserved_nano)
    nano = money.to_nano(amount) if amount is not None else reserved if charged else money.Nano(0)
    trusted = caller is None or caller.is_admin
    if not trusted and nano != reserved:
        raise Forbidden(
            "An owner of the project can say that the call was charged as reserved, "
            f"{money.show(money.from_nano(reserved))}; another amount, or none, is for an "
            "administrator to say."
        )
    most = max(Usd(money.from_nano(reserved) * _MOST_TIMES), _MOST_CHARGED)
    if money.from_nano(nano) > most:
        raise BadParameter(
            f"The call cannot have cost {money.show(money.from_nano(nano))}: "
            f"{money.show(money.from_nano(reserved))} was reserved, and at most {money.show(most)} "
            "is believed. Read the provider's page again."
        )
    return nano
