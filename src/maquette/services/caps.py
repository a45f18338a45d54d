"""Ceilings for money: whose they are, how full they are, and who is told when they fill up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import BadParameter, UserNotFound
from maquette.core.money import Usd
from maquette.core.people import Caller, ProjectRole
from maquette.db import caps, ledger, people, projects
from maquette.db.caps import BY_DAY, DEFAULTS, Level
from maquette.services.studio import Studio

PATTERN = r"^(installation|day|(project|project-day|user|user-day)(:[a-z0-9][a-z0-9_-]{0,63})?)$"
"""Of a scope, as a person writes it."""
MOST = money.Usd(money.parse_usd("1000000000"))
_OF_PERSON, _OF_PROJECT = ("user", "user-day"), ("project", "project-day")


@dataclass(frozen=True)
class Meter:
    """A cap, and how full it is."""

    scope: str
    """`installation`, `day`, `project:SLUG`, `project-day:SLUG`, `user:NAME`, `user-day:NAME`,
    `project-day` or `user-day`."""
    limit: Usd | None
    held: Usd
    spent: Usd
    day: str | None = None
    """The day that it counts, where it begins anew with each."""
    own: bool = True
    """The ceiling is its own, not that of all of its kind."""
    percent: float | None = None
    """How much of the ceiling is spent or held; None: there is none."""
    alerts: tuple[int, ...] = ()
    """The percentages that were reached."""


async def meters(studio: Studio, caller: Caller | None = None) -> Sequence[Meter]:
    """Return what an administrator sees: all that counts or is capped; others see their own."""
    today = studio.shop.clock.today()
    async with studio.shop.db.read() as session:
        if caller is None or caller.is_admin:
            names = await _names(session)
            always = ("installation", "day", *DEFAULTS, *(one for one in names if _total(one)))
            found = {one.key: one for one in await caps.levels(session, today)}
            for key in always:
                period = caps.period_of(key, today)
                found.setdefault(key, Level(key, period, None, own=False, held=0, settled=0))
        else:
            names = await _own_names(session, caller)
            found = {one.key: one for one in await caps.levels(session, today, names)}
    shown = [(names.get(key, key), one) for key, one in found.items()]
    known = [(name, one) for name, one in shown if not _nameless(name, one)]
    return [_meter(name, one) for name, one in sorted(known, key=_order)]


def _total(key: str) -> bool:
    return key.partition(":")[0] == "project"


def _nameless(name: str, level: Level) -> bool:
    """Leave out the counters of projects that are gone."""
    return name == level.key and ":" in name


def _order(shown: tuple[str, Level]) -> tuple[int, str]:
    kinds = ("installation", "day", *_OF_PROJECT, *_OF_PERSON)
    return kinds.index(shown[0].partition(":")[0]), shown[0]


async def _names(session: AsyncSession) -> Mapping[str, str]:
    """Return every counter's key as a person writes it."""
    found = {
        f"{kind}:{one.id}": f"{kind}:{one.slug}"
        for one in await projects.everyone(session)
        for kind in _OF_PROJECT
    }
    for person_id, name in await people.names(session):
        found |= {f"{kind}:{person_id}": f"{kind}:{name}" for kind in _OF_PERSON}
    return found


async def _own_names(session: AsyncSession, caller: Caller) -> Mapping[str, str]:
    """Return the counters of a person and of the projects that they own."""
    found = {f"{kind}:{caller.user_id}": f"{kind}:{caller.name}" for kind in _OF_PERSON}
    for one in await people.owned(session, caller.user_id):
        found |= {f"{kind}:{one.id}": f"{kind}:{one.slug}" for kind in _OF_PROJECT}
    return found


def _meter(name: str, level: Level) -> Meter:
    used = level.held + level.settled
    percent = None
    if level.limit is not None:
        percent = round(100 * used / level.limit, 2) if level.limit else 100.0
    is_default = name in DEFAULTS
    return Meter(
        scope=name,
        day=None if is_default else level.period or None,
        limit=None if level.limit is None else money.from_nano(level.limit),
        own=level.own,
        held=money.from_nano(level.held),
        spent=money.from_nano(level.settled),
        percent=None if is_default else percent,
        alerts=level.reached,
    )


async def put(studio: Studio, scope: str, limit: Usd | None) -> Meter:
    """Set a ceiling, or with None take it away; what was spent stays counted."""
    if limit is not None and limit > MOST:
        raise BadParameter(f"A cap is at most {money.show(MOST)}; write less, or take it away.")
    nano = None if limit is None else int(money.to_nano(limit))
    today = studio.shop.clock.today()
    async with studio.shop.db.write() as session:
        key = await _key(session, scope)
        await ledger.set_cap(session, key, nano, today)
    async with studio.shop.db.read() as session:
        (level,) = await caps.levels(session, today, [key])
    return _meter(scope, level)


async def _key(session: AsyncSession, scope: str) -> str:
    kind, _, name = scope.partition(":")
    if name and kind in _OF_PROJECT:
        return f"{kind}:{(await projects.by_slug(session, name)).id}"
    if name and kind in _OF_PERSON:
        person = await people.by_name(session, name)
        if person is None:
            raise UserNotFound(f"There is no person {name!r}. `maquette user list` shows all.")
        return f"{kind}:{person.id}"
    if scope == "installation" or scope in BY_DAY:
        return scope
    raise BadParameter(
        f"{scope!r} has no cap; write installation, day or project:SLUG, project-day:SLUG, "
        "user:NAME, user-day:NAME, or project-day or user-day for all that have none of their own."
    )


async def names_of(session: AsyncSession, key: str) -> str:
    """Return a counter's key as a person writes it; one of something that is gone stays."""
    kind, _, of = key.partition(":")
    if kind in _OF_PROJECT:
        project = await projects.by_id(session, of)
        return key if project is None else f"{kind}:{project.slug}"
    if kind in _OF_PERSON:
        person = await people.by_id(session, of)
        return key if person is None else f"{kind}:{person.name}"
    return key


async def owns(session: AsyncSession, caller: Caller | None, project_id: str) -> bool:
    """Say whether a caller may decide about a project's money."""
    if caller is None or caller.is_admin:
        return True
    return await people.role_in(session, project_id, caller.user_id) is ProjectRole.OWNER
