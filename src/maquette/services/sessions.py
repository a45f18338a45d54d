"""Signing in, staying signed in, and leaving."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from maquette.core.errors import Forbidden, StorageUnavailable, Unauthenticated
from maquette.core.people import Caller, Role, Scope
from maquette.db import credentials, people
from maquette.db.tables import LoginSession, User
from maquette.services import passwords
from maquette.services.studio import Studio
from maquette.services.tokens import Tokens

TOUCHED_EVERY = timedelta(minutes=1)
"""When something was last used is written no more often than this."""


@dataclass(frozen=True)
class Begun:
    """A session that begins; its token is told once, to the browser."""

    caller: Caller
    token: str
    until: datetime


@dataclass(frozen=True)
class AccessToken:
    """A token for a program, good for some minutes."""

    text: str
    until: datetime
    scopes: frozenset[Scope]


def id_of(token: str) -> str:
    """Return what is stored of a session's token, or of a key."""
    return hashlib.sha256(token.encode()).hexdigest()


async def sign_in(studio: Studio, name: str, password: str, days: int) -> Begun:
    """Begin a session; who has no account cannot be told from who mistypes."""
    person = await _proven(studio, name, password)
    token, now = secrets.token_urlsafe(32), studio.shop.clock.now()
    until = now + timedelta(days=days)
    row = LoginSession(
        id=id_of(token), user_id=person.id, created_at=now, last_used_at=now, expires_at=until
    )
    async with studio.shop.db.write() as session:
        await credentials.begin_session(session, row)
    return Begun(caller_of(person, frozenset(Scope), "session"), token, until)


async def grant(
    studio: Studio, tokens: Tokens, who: tuple[str, str], minutes: int, scopes: Iterable[Scope]
) -> AccessToken:
    """Write an access token for a (name, password)."""
    person = await _proven(studio, *who)
    now, allowed = studio.shop.clock.now(), frozenset(scopes)
    until = now + timedelta(minutes=minutes)
    text = tokens.access(person.id, person.epoch, allowed, until, now)
    return AccessToken(text, until, allowed)


async def _proven(studio: Studio, name: str, password: str) -> User:
    async with studio.shop.db.read() as session:
        person = await people.by_name(session, name)
    enabled = person is not None and person.disabled_at is None
    stored = person.password_hash if person is not None and enabled else None
    if not await passwords.matches(password, stored) or person is None:
        raise Unauthenticated("The name or the password is wrong; try again.")
    return person


async def by_session(studio: Studio, token: str) -> Caller | None:
    """Return whose session this is the token of."""
    now, session_id = studio.shop.clock.now(), id_of(token)
    async with studio.shop.db.read() as session:
        found = await credentials.by_session(session, session_id, now)
    if found is None:
        return None
    person, row = found
    if now - row.last_used_at > TOUCHED_EVERY:
        with suppress(StorageUnavailable):  # a full disk must not lock people out
            async with studio.shop.db.write() as session:
                await credentials.touch_session(session, session_id, now)
    return caller_of(person, frozenset(Scope), "session")


async def by_token(studio: Studio, tokens: Tokens, text: str) -> Caller | None:
    """Return whom an access token names, while nothing of theirs was ended."""
    claims = tokens.read(text)
    if claims is None:
        return None
    async with studio.shop.db.read() as session:
        person = await credentials.by_id(session, claims.user_id)
    if person is None or person.epoch != claims.epoch:
        return None
    return caller_of(person, claims.scopes, "token")


def caller_of(person: User, scopes: frozenset[Scope], via: str) -> Caller:
    return Caller(person.id, person.name, Role(person.role), scopes, via)


async def leave(studio: Studio, token: str) -> None:
    """End one session."""
    async with studio.shop.db.write() as session:
        await credentials.end_session(session, id_of(token))


async def leave_everywhere(studio: Studio, caller: Caller) -> None:
    """End all of a person's sessions and access tokens; keys are revoked one by one."""
    async with studio.shop.db.write() as session:
        await people.end_everything(session, caller.user_id)


async def change_password(
    studio: Studio, caller: Caller, present: str, new: str, staying: str | None
) -> None:
    """Change one's own password; every session but the one of the token `staying` ends."""
    async with studio.shop.db.read() as session:
        person = await credentials.by_id(session, caller.user_id)
    stored = None if person is None else person.password_hash
    if not await passwords.matches(present, stored):
        raise Forbidden("The present password is wrong; nothing was changed.")
    hashed = await passwords.hashed(new)
    async with studio.shop.db.write() as session:
        changed = await people.for_change(session, caller.name)
        if changed is None or changed.password_hash != stored:
            raise Forbidden("The password was changed meanwhile; nothing was changed now.")
        changed.password_hash = hashed
        await people.end_everything(
            session, caller.user_id, None if staying is None else id_of(staying)
        )
