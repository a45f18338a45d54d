"""What people show at the door: browsers' sessions and keys for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import ApiKey, LoginSession, User


async def begin_session(session: AsyncSession, row: LoginSession) -> None:
    """Add a session, and clear those that are over."""
    await session.execute(delete(LoginSession).where(LoginSession.expires_at <= row.created_at))
    session.add(row)


async def by_session(
    session: AsyncSession, session_id: str, now: datetime
) -> tuple[User, LoginSession] | None:
    """Return whose session it is, while it lasts and the person is enabled."""
    query = (
        select(User, LoginSession)
        .join(LoginSession, LoginSession.user_id == User.id)
        .where(
            LoginSession.id == session_id,
            LoginSession.expires_at > now,
            User.disabled_at.is_(None),
        )
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def touch_session(session: AsyncSession, session_id: str, now: datetime) -> None:
    query = update(LoginSession).where(LoginSession.id == session_id)
    await session.execute(query.values(last_used_at=now))


async def end_session(session: AsyncSession, session_id: str) -> None:
    await session.execute(delete(LoginSession).where(LoginSession.id == session_id))


async def by_id(session: AsyncSession, user_id: str) -> User | None:
    """Return a person who is enabled."""
    query = select(User).where(User.id == user_id, User.disabled_at.is_(None))
    return (await session.execute(query)).scalar_one_or_none()


async def by_key(session: AsyncSession, hashed: str, now: datetime) -> tuple[User, ApiKey] | None:
    """Return whose key it is, while it is valid and the person is enabled."""
    query = (
        select(User, ApiKey)
        .join(ApiKey, ApiKey.user_id == User.id)
        .where(
            ApiKey.hash == hashed,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
            User.disabled_at.is_(None),
        )
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def touch_key(session: AsyncSession, key_id: str, now: datetime) -> None:
    await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now))


async def keys_of(
    session: AsyncSession, user_id: str, limit: int, after: ApiKey | None = None
) -> Sequence[ApiKey]:
    """Return a page of a person's keys that were not revoked, newest first."""
    query = select(ApiKey).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
    if after is not None:
        same = (ApiKey.created_at == after.created_at) & (ApiKey.id < after.id)
        query = query.where((ApiKey.created_at < after.created_at) | same)
    query = query.order_by(ApiKey.created_at.desc(), ApiKey.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def key_by_id(session: AsyncSession, key_id: str) -> tuple[ApiKey, User] | None:
    query = select(ApiKey, User).join(User, User.id == ApiKey.user_id).where(ApiKey.id == key_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])
