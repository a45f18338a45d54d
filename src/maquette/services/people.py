"""People: the one that a laptop's studio belongs to, and accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import BadParameter, UserNotFound, WrongState
from maquette.core.money import Usd
from maquette.core.people import Caller, Role
from maquette.db import ledger, people
from maquette.db.tables import User
from maquette.services import passwords
from maquette.services.studio import Studio

LOCAL = "local"
"""The name of the person in single-user mode."""

NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"
"""A part of a project's slug as well: everybody may have a project of their own."""

_TAKEN = frozenset({"me"})
"""In addresses it is whoever asks."""


@dataclass(frozen=True)
class Person:
    """An account, with what it may spend and has spent."""

    id: str
    name: str
    role: Role
    disabled: bool
    verified: bool
    has_password: bool
    quota_bytes: int | None
    spend_cap: Usd | None
    spent: Usd
    held: Usd
    created_at: datetime


@dataclass(frozen=True)
class Change:
    """What is changed of an account; None leaves it as it is."""

    role: Role | None = None
    disabled: bool | None = None
    verified: bool | None = None
    password: str | None = None
    quota_bytes: tuple[int | None] | None = None
    """In a tuple, because None itself takes the ceiling away."""
    spend_cap: tuple[Usd | None] | None = None


async def local(studio: Studio) -> Caller:
    """Return the person of a single-user studio, made on first use."""
    async with studio.shop.db.read() as session:
        found = await people.by_name(session, LOCAL)
    if found is None:
        async with studio.shop.db.write() as session:
            found = await people.make_missing(session, LOCAL, Role.ADMIN, studio.shop.clock.now())
    return Caller(found.id, found.name, Role.ADMIN)


async def create(studio: Studio, name: str, role: Role, change: Change) -> Person:
    """Make an account; without a password nobody can sign in to it yet."""
    check_name(name)
    hashed = None if change.password is None else await passwords.hashed(change.password)
    async with studio.shop.db.write() as session:
        person = User(
            id=str(uuid4()),
            name=name,
            role=role.value,
            epoch=0,
            verified=False,
            created_at=studio.shop.clock.now(),
        )
        await people.add(session, person)
        await _apply(session, person, change, hashed)
        return await _told(session, person)


def check_name(name: str) -> None:
    if not re.fullmatch(NAME, name) or name in _TAKEN:
        raise BadParameter(
            f"{name!r} cannot name a person: use lower-case letters, digits, - and _, beginning "
            "with a letter or digit, at most 40, and not `me`."
        )


async def listing(studio: Studio, limit: int, after: str = "") -> Sequence[Person]:
    """Return a page of accounts by name."""
    async with studio.shop.db.read() as session:
        caps = await ledger.caps(session)
        found = await people.page(session, limit, after)
        return [await _told(session, one, caps) for one in found]


async def show(studio: Studio, name: str) -> Person:
    async with studio.shop.db.read() as session:
        return await _told(session, _known(await people.by_name(session, name), name))


async def change(studio: Studio, name: str, wanted: Change) -> Person:
    """Change an account; the last administrator can be neither disabled nor demoted."""
    hashed = None if wanted.password is None else await passwords.hashed(wanted.password)
    async with studio.shop.db.write() as session:
        before = await people.administrators(session)
        person = _known(await people.for_change(session, name), name)
        if wanted.disabled or wanted.role not in (None, Role.ADMIN):
            _check_not_last(before, person)
        if wanted.role is not None:
            person.role = wanted.role.value
        if wanted.disabled is not None:
            since = person.disabled_at or studio.shop.clock.now()
            person.disabled_at = since if wanted.disabled else None
        await _apply(session, person, wanted, hashed)
        if wanted.disabled or hashed is not None:
            await people.end_everything(session, person.id)
        return await _told(session, person)


async def _apply(session: AsyncSession, person: User, change: Change, hashed: str | None) -> None:
    if hashed is not None:
        person.password_hash = hashed
    if change.verified is not None:
        person.verified = change.verified
    if change.quota_bytes is not None:
        person.quota_bytes = change.quota_bytes[0]
    if change.spend_cap is not None:
        limit = change.spend_cap[0]
        nano = None if limit is None else int(money.to_nano(limit))
        await ledger.set_cap(session, f"user:{person.id}", nano)
    await session.flush()


def _check_not_last(administrators: Sequence[User], person: User) -> None:
    """Leave somebody who is an administrator, and somebody who can sign in as one."""
    others = [one for one in administrators if one.id != person.id]
    was = [one for one in administrators if one.id == person.id]
    lost = bool(was) and not others
    locked_out = any(one.password_hash for one in was) and not any(
        one.password_hash for one in others
    )
    if lost or locked_out:
        raise WrongState(
            f"{person.name!r} is the last administrator who can sign in. Make another one first: "
            "`maquette user create NAME --role admin`."
        )


def _known(person: User | None, name: str) -> User:
    if person is None:
        raise UserNotFound(f"There is no person {name!r}. `maquette user list` shows all.")
    return person


async def _told(
    session: AsyncSession, person: User, caps: Mapping[str, int] | None = None
) -> Person:
    key = f"user:{person.id}"
    held, spent = await ledger.budget(session, key)
    limit = (await ledger.caps(session) if caps is None else caps).get(key)
    return Person(
        id=person.id,
        name=person.name,
        role=Role(person.role),
        disabled=person.disabled_at is not None,
        verified=person.verified,
        has_password=person.password_hash is not None,
        quota_bytes=person.quota_bytes,
        spend_cap=None if limit is None else money.from_nano(limit),
        spent=money.from_nano(spent),
        held=money.from_nano(held),
        created_at=person.created_at,
    )
