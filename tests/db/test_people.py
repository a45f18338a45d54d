"""WEB-5: accounts, credentials and memberships on both databases, also all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from maquette import bootstrap
from maquette.core.errors import AlreadyExists, Unauthenticated, WrongState
from maquette.core.people import Caller, ProjectRole, Role, Scope
from maquette.db import credentials, people
from maquette.db.tables import LoginSession, Membership, User
from maquette.services import keys, members, sessions
from maquette.services import people as accounts
from maquette.services.people import Change
from maquette.services.studio import Studio
from maquette.services.tokens import Tokens
from maquette.settings import load
from tests.db import rows

PASSWORD = "correct horse battery"  # noqa: S105 - of people who do not exist


@pytest.fixture
async def studio(url: str, tmp_path: Path) -> AsyncGenerator[Studio]:
    settings = load(home=tmp_path / "home", database_url=url)
    async with bootstrap.open_studio(settings) as opened:
        yield opened


async def _made(studio: Studio, *names: str, role: Role = Role.CREATOR) -> list[Caller]:
    made = [await accounts.create(studio, name, role, Change()) for name in names]
    return [Caller(one.id, one.name, role) for one in made]


async def test_a_person_signs_in_and_is_known_by_all_that_they_get(studio: Studio) -> None:
    made = await accounts.create(studio, "ann", Role.CREATOR, Change(password=PASSWORD))
    begun = await sessions.sign_in(studio, "ann", PASSWORD, days=1)
    tokens = Tokens()
    access = await sessions.grant(studio, tokens, ("ann", PASSWORD), 5, [Scope.READ])
    _, key = await keys.make(studio, begun.caller, "k", [Scope.WRITE], days=1)
    for found, scopes in (
        (await sessions.by_session(studio, begun.token), set(Scope)),
        (await sessions.by_token(studio, tokens, access.text), {Scope.READ}),
        (await keys.known(studio, key), {Scope.WRITE}),
    ):
        assert found is not None
        assert (found.user_id, found.name, found.role) == (made.id, "ann", Role.CREATOR)
        assert found.scopes == scopes
    await sessions.leave_everywhere(studio, begun.caller)
    assert await sessions.by_session(studio, begun.token) is None
    assert await sessions.by_token(studio, tokens, access.text) is None
    assert await keys.known(studio, key) is not None
    with pytest.raises(Unauthenticated):
        await sessions.sign_in(studio, "ann", "not the password", days=1)


async def test_of_many_who_take_a_name_at_once_one_gets_it(studio: Studio) -> None:
    tries = [accounts.create(studio, "ann", Role.VIEWER, Change()) for _ in range(8)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    refused = [one for one in ended if isinstance(one, BaseException)]
    assert len(refused) == 7
    assert all(isinstance(one, AlreadyExists) for one in refused)


async def test_the_local_person_is_made_once_however_many_ask(studio: Studio) -> None:
    found = await asyncio.gather(*(accounts.local(studio) for _ in range(8)))
    assert len({one.user_id for one in found}) == 1


async def test_administrators_who_leave_at_once_leave_one(studio: Studio) -> None:
    names = [f"a{number}" for number in range(6)]
    await _made(studio, *names, role=Role.ADMIN)
    changes = [Change(role=Role.VIEWER), Change(disabled=True)] * 3
    ended = await asyncio.gather(
        *(accounts.change(studio, *pair) for pair in zip(names, changes, strict=True)),
        return_exceptions=True,
    )
    refused = [one for one in ended if isinstance(one, BaseException)]
    assert [type(one) for one in refused] == [WrongState]
    async with studio.shop.db.write() as session:
        assert len(await people.administrators(session)) == 1


async def test_owners_who_leave_at_once_leave_one(studio: Studio) -> None:
    owners = await _made(studio, *(f"o{number}" for number in range(6)))
    async with studio.shop.db.write() as session:
        session.add(rows.project())
        await session.flush()
        for one in owners:
            await people.join(session, "p", one.user_id, ProjectRole.OWNER, rows.NOW)
    ended = await asyncio.gather(
        *(members.remove(studio, "p", one.name) for one in owners[:3]),
        *(members.set_role(studio, "p", one.name, ProjectRole.EDITOR) for one in owners[3:]),
        return_exceptions=True,
    )
    refused = [one for one in ended if isinstance(one, BaseException)]
    assert [type(one) for one in refused] == [WrongState]
    async with studio.shop.db.read() as session:
        assert len(await people.owners(session, "p")) == 1


async def test_of_many_who_let_somebody_in_at_once_the_membership_is_one(studio: Studio) -> None:
    await _made(studio, "ann")
    async with studio.shop.db.write() as session:
        session.add(rows.project())
    await asyncio.gather(
        *(members.set_role(studio, "p", "ann", ProjectRole.EDITOR) for _ in range(8))
    )
    async with studio.shop.db.read() as session:
        count = await session.execute(select(func.count()).select_from(Membership))
        assert count.scalar_one() == 1


async def test_sessions_that_are_over_are_cleared_when_the_next_begins(studio: Studio) -> None:
    (ann,) = await _made(studio, "ann")
    now = datetime.now(UTC)
    for until in (now - timedelta(seconds=1), now + timedelta(days=1)):
        row = LoginSession(
            id=uuid4().hex,
            user_id=ann.user_id,
            created_at=now - timedelta(days=2),
            last_used_at=now,
            expires_at=until,
        )
        async with studio.shop.db.write() as session:
            session.add(row)
    begun = LoginSession(
        id="new", user_id=ann.user_id, created_at=now, last_used_at=now, expires_at=now
    )
    async with studio.shop.db.write() as session:
        await credentials.begin_session(session, begun)
    async with studio.shop.db.read() as session:
        left = (await session.execute(select(LoginSession.expires_at))).scalars().all()
    assert sorted(left) == [now, now + timedelta(days=1)]


async def test_a_new_password_that_comes_too_late_changes_nothing(studio: Studio) -> None:
    """Of two who change it at once, the second one's present password is the old one."""
    made = await accounts.create(studio, "ann", Role.CREATOR, Change(password=PASSWORD))
    ann = Caller(made.id, "ann", Role.CREATOR)
    ended = await asyncio.gather(
        *(
            sessions.change_password(studio, ann, PASSWORD, f"{PASSWORD} {number}", None)
            for number in range(2)
        ),
        return_exceptions=True,
    )
    assert len([one for one in ended if one is None]) == 1
    async with studio.shop.db.read() as session:
        epoch = (await session.execute(select(User.epoch))).scalar_one()
    assert epoch == 1
