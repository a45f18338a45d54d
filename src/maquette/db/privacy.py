"""All that is known of one person: read out page by page, and taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from maquette.core.states import InstructionState, JobState
from maquette.db import tables as t
from maquette.db import wallets

PAGE = 200
ERASED = "(erased)"
"""What stands where a person's words were, in rows that have to stay."""
_TOLD = ("grant", "correction")
"""Movements of credits that an administrator has written something about."""


@dataclass(frozen=True)
class Section:
    """Rows of one kind: whose they are, in which order they are read, what of them is shown."""

    table: type[t.Base]
    key: InstrumentedAttribute[Any]
    hidden: frozenset[str] = frozenset()


_OWN_CHATS = select(t.ChatSession.id)
SECTIONS: Mapping[str, Section] = {
    "memberships": Section(t.Membership, t.Membership.project_id),
    "sign_ins": Section(t.LoginSession, t.LoginSession.id, frozenset({"id"})),
    "api_keys": Section(t.ApiKey, t.ApiKey.id, frozenset({"hash"})),
    "consents": Section(t.Consent, t.Consent.id),
    "favourites": Section(t.Favourite, t.Favourite.asset_id),
    "chats": Section(t.ChatSession, t.ChatSession.id),
    "chat_messages": Section(t.ChatMessage, t.ChatMessage.id),
    "instructions": Section(t.Instruction, t.Instruction.id),
    "voice_requests": Section(t.VoiceRequest, t.VoiceRequest.id),
    "runs": Section(t.Run, t.Run.id),
    "uploads": Section(t.Asset, t.Asset.id, frozenset({"words_id"})),
    "unfinished_uploads": Section(t.Upload, t.Upload.id),
    "credits": Section(t.CreditTransfer, t.CreditTransfer.id, frozenset({"by_id"})),
    "purchases": Section(t.CreditPurchase, t.CreditPurchase.id),
}


def _whose(section: Section, user_id: str) -> ColumnElement[bool]:
    table: Any = section.table
    if table is t.ChatMessage:
        return t.ChatMessage.session_id.in_(_OWN_CHATS.where(t.ChatSession.user_id == user_id))
    if table is t.Asset:
        return _uploaded_by(user_id)
    if table is t.CreditTransfer:
        return wallets.of_account(wallets.account(user_id))
    return (t.Run.creator_id if table is t.Run else table.user_id) == user_id


def _uploaded_by(user_id: str) -> ColumnElement[bool]:
    return and_(t.Asset.creator_id == user_id, t.Asset.job_id.is_(None))


async def page(
    session: AsyncSession, section: Section, user_id: str, after: Any
) -> Sequence[tuple[Any, dict[str, Any]]]:
    """Return (key, members) of the next rows after a key; None: from the first."""
    query = select(section.table).where(_whose(section, user_id)).order_by(section.key).limit(PAGE)
    if after is not None:
        query = query.where(section.key > after)
    columns = [
        column.key
        for column in section.table.__mapper__.columns
        if column.key not in section.hidden
    ]
    return [
        (getattr(row, section.key.key), {name: _plain(getattr(row, name)) for name in columns})
        for row in (await session.execute(query)).scalars()
    ]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


async def stored_uploads(
    session: AsyncSession, user_id: str, after: str
) -> Sequence[tuple[str, str, str, str | None, str]]:
    """Return (asset, name, digest, root, slug) of the next pictures that a person uploaded."""
    query = (
        select(t.Asset.id, t.Asset.name, t.Asset.digest, t.Project.root, t.Project.slug)
        .join(t.Project, t.Project.id == t.Asset.project_id)
        .where(_uploaded_by(user_id), t.Asset.id > after)
        .order_by(t.Asset.id)
        .limit(PAGE)
    )
    rows = await session.execute(query)
    return [(one, name, digest, root, slug) for one, name, digest, root, slug in rows]


async def recordings(
    session: AsyncSession, user_id: str
) -> Sequence[tuple[str, str, str | None, str]]:
    """Return (voice request, digest, root, slug) of all that was heard or said for a person."""
    query = (
        select(t.VoiceRequest.id, t.VoiceRequest.audio_digest, t.Project.root, t.Project.slug)
        .join(t.Project, t.Project.id == t.VoiceRequest.project_id)
        .where(t.VoiceRequest.user_id == user_id, t.VoiceRequest.audio_digest.is_not(None))
        .order_by(t.VoiceRequest.id)
    )
    rows = await session.execute(query)
    return [(one, digest or "", root, slug) for one, digest, root, slug in rows]


async def open_work(session: AsyncSession, user_id: str) -> str | None:
    """Return a run or an instruction of the person that is not ended."""
    final = [one.value for one in JobState if one.final]
    run = select(t.Run.id).where(t.Run.creator_id == user_id, t.Run.state.not_in(final))
    going = (InstructionState.QUEUED.value, InstructionState.RUNNING.value)
    told = select(t.Instruction.id).where(
        t.Instruction.user_id == user_id, t.Instruction.state.in_(going)
    )
    for query in (run, told):
        found = (await session.execute(query.limit(1))).scalar_one_or_none()
        if found is not None:
            return found
    return None


async def shared(session: AsyncSession, project_id: str, digest: str, but: str) -> bool:
    """Say whether another asset, or somebody's recording, has the same bytes."""
    asset = select(t.Asset.id).where(
        t.Asset.project_id == project_id, t.Asset.digest == digest, t.Asset.id != but
    )
    voice = select(t.VoiceRequest.id).where(
        t.VoiceRequest.project_id == project_id,
        t.VoiceRequest.audio_digest == digest,
        t.VoiceRequest.id != but,
    )
    for query in (asset, voice):
        if (await session.execute(query.limit(1))).first() is not None:
            return True
    return False


async def detach(session: AsyncSession, asset: t.Asset) -> None:
    """Leave a picture that others were made from, without who sent it and what they wrote."""
    suffix = asset.name.rpartition(".")[2]
    asset.name = f"picture-{asset.id[:8]}.{suffix}"
    asset.creator_id = None
    declared = update(t.Consent).where(t.Consent.asset_id == asset.id)
    await session.execute(declared.values(user_id=None, words=ERASED))


async def shut_out(session: AsyncSession, user_id: str, at: datetime) -> None:
    """End all that the person could come in with."""
    person = update(t.User).where(t.User.id == user_id)
    await session.execute(person.values(epoch=t.User.epoch + 1, disabled_at=at, password_hash=None))
    for table in (t.LoginSession, t.ApiKey):
        await session.execute(delete(table).where(table.user_id == user_id))


async def forget(session: AsyncSession, user_id: str) -> str:
    """Take away every row that is the person's own; the others lose their name. Return the new one.

    What money was spent stays in the books, under an id that is nobody's any more.
    """
    chats = select(t.ChatSession.id).where(t.ChatSession.user_id == user_id)
    own = select(t.Instruction.id).where(t.Instruction.user_id == user_id)
    keys = select(t.IdempotencyKey.caller).where(t.IdempotencyKey.caller == f"user:{user_id}")
    for gone in (
        delete(t.InstructionEvent).where(t.InstructionEvent.instruction_id.in_(own)),
        delete(t.Instruction).where(t.Instruction.user_id == user_id),
        update(t.Instruction).where(t.Instruction.session_id.in_(chats)).values(session_id=None),
        delete(t.ChatMessage).where(t.ChatMessage.session_id.in_(chats)),
        delete(t.ChatSession).where(t.ChatSession.user_id == user_id),
        delete(t.VoiceRequest).where(t.VoiceRequest.user_id == user_id),
        delete(t.Upload).where(t.Upload.user_id == user_id),
        delete(t.Favourite).where(t.Favourite.user_id == user_id),
        delete(t.Membership).where(t.Membership.user_id == user_id),
        delete(t.IdempotencyKey).where(t.IdempotencyKey.caller.in_(keys)),
        update(t.Consent).where(t.Consent.user_id == user_id).values(user_id=None, words=ERASED),
        update(t.Asset).where(t.Asset.creator_id == user_id).values(creator_id=None),
        update(t.Run).where(t.Run.creator_id == user_id).values(creator_id=None),
        update(t.Project).where(t.Project.owner_id == user_id).values(owner_id=None),
        update(t.Snapshot).where(t.Snapshot.user_id == user_id).values(user_id=None),
        update(t.Export).where(t.Export.user_id == user_id).values(user_id=None),
        update(t.CreditTransfer)
        .where(wallets.of_account(wallets.account(user_id)), t.CreditTransfer.kind.in_(_TOLD))
        .values(why=ERASED),
        update(t.CreditTransfer).where(t.CreditTransfer.by_id == user_id).values(by_id=None),
    ):
        await session.execute(gone)
    name = f"erased-{user_id}"
    await session.execute(
        update(t.User).where(t.User.id == user_id).values(name=name, verified=False)
    )
    return name
