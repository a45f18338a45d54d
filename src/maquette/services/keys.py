"""API keys: made, listed, known again, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from maquette.core.errors import Forbidden, NotFound, StorageUnavailable, UserNotFound
from maquette.core.people import Caller, Scope
from maquette.db import credentials, people
from maquette.db.tables import ApiKey
from maquette.services.sessions import TOUCHED_EVERY, caller_of, id_of
from maquette.services.studio import Studio

BEGINNING = "mq_"
_SHOWN = 11
"""Characters of a key by which a person knows it again; 35 random ones stay secret."""


@dataclass(frozen=True)
class Key:
    """A key as lists show it."""

    id: str
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


async def make(
    studio: Studio, caller: Caller, name: str, scopes: Iterable[Scope], days: int | None
) -> tuple[Key, str]:
    """Make a key that allows no more than its maker's credential; return it with its text."""
    wanted = sorted(set(scopes))
    beyond = [one.value for one in wanted if one not in caller.scopes]
    if beyond:
        raise Forbidden(
            f"You have not the scope {beyond[0]!r} yourself, so a key that you make cannot have it."
        )
    text, now = BEGINNING + secrets.token_urlsafe(32), studio.shop.clock.now()
    row = ApiKey(
        id=str(uuid4()),
        user_id=caller.user_id,
        name=name,
        prefix=text[:_SHOWN],
        hash=id_of(text),
        scopes=[one.value for one in wanted],
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    async with studio.shop.db.write() as session:
        session.add(row)
    return _told(row), text


async def known(studio: Studio, text: str) -> Caller | None:
    """Return whose key it is, while it is valid."""
    now = studio.shop.clock.now()
    async with studio.shop.db.read() as session:
        found = await credentials.by_key(session, id_of(text), now)
    if found is None:
        return None
    person, row = found
    if row.last_used_at is None or now - row.last_used_at > TOUCHED_EVERY:
        with suppress(StorageUnavailable):  # a full disk must not lock programs out
            async with studio.shop.db.write() as session:
                await credentials.touch_key(session, row.id, now)
    scopes = frozenset(Scope(one) for one in row.scopes)
    return caller_of(person, scopes, f"key:{row.id}")


async def listing(studio: Studio, name: str, limit: int, after: str | None = None) -> Sequence[Key]:
    """Return a page of a person's keys, newest first, without those that were revoked."""
    async with studio.shop.db.read() as session:
        person = await people.by_name(session, name)
        if person is None:
            raise UserNotFound(f"There is no person {name!r}. `maquette user list` shows all.")
        last = None if after is None else await credentials.key_by_id(session, after)
        page = await credentials.keys_of(session, person.id, limit, last[0] if last else None)
        return [_told(one) for one in page]


async def revoke(studio: Studio, key_id: str, caller: Caller) -> None:
    """End a key for good: the caller's own; an administrator ends anybody's."""
    await _revoke(studio, key_id, None if caller.is_admin else caller.name)


async def revoke_of(studio: Studio, key_id: str, name: str) -> None:
    """End a key of the person of that name."""
    await _revoke(studio, key_id, name)


async def _revoke(studio: Studio, key_id: str, name: str | None) -> None:
    async with studio.shop.db.write() as session:
        found = await credentials.key_by_id(session, key_id)
        if found is None or name not in (None, found[1].name):
            raise NotFound(f"There is no key {key_id!r} here; a list of keys shows their ids.")
        row = found[0]
        row.revoked_at = row.revoked_at or studio.shop.clock.now()


def _told(row: ApiKey) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=tuple(Scope(one) for one in row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
