"""Chats, voice requests, and the runs that carry the money of calls to their models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import ChatNotFound, VoiceRequestNotFound
from maquette.core.states import InstructionState, JobState
from maquette.db.tables import Asset, ChatMessage, ChatSession, Instruction, Run, VoiceRequest

Cursor = tuple[datetime, str]


async def open_calls(session: AsyncSession) -> Sequence[str]:
    """Return the ids of the runs of calls that have not ended, or whose process died."""
    open_ = Run.state == JobState.RUNNING.value
    query = select(Run.id).where(Run.kind == "words", open_, ~Run.foreign).order_by(Run.id)
    return (await session.execute(query)).scalars().all()


async def chat_in(session: AsyncSession, project_id: str, session_id: str) -> ChatSession:
    """Return a project's chat session."""
    found = await session.get(ChatSession, session_id)
    if found is None or found.project_id != project_id:
        raise ChatNotFound(
            f"There is no chat session {session_id!r} in this project; list its sessions."
        )
    return found


async def chats(
    session: AsyncSession, project_id: str, *, limit: int, before: Cursor | None
) -> Sequence[ChatSession]:
    """Return a keyset page of chat sessions, newest first."""
    key = tuple_(ChatSession.created_at, ChatSession.id)
    query = select(ChatSession).where(ChatSession.project_id == project_id)
    if before is not None:
        query = query.where(key < before)
    newest = (ChatSession.created_at.desc(), ChatSession.id.desc())
    return (await session.execute(query.order_by(*newest).limit(limit))).scalars().all()


async def messages(
    session: AsyncSession, session_id: str, *, limit: int, after: int
) -> Sequence[ChatMessage]:
    """Return a page of a session's messages, oldest first."""
    query = (
        select(ChatMessage)
        .where(ChatMessage.session_id == session_id, ChatMessage.id > after)
        .order_by(ChatMessage.id)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def last_messages(
    session: AsyncSession, session_id: str, limit: int
) -> Sequence[ChatMessage]:
    """Return the latest messages, newest first."""
    query = (
        select(ChatMessage)
        .where(ChatMessage.session_id == session_id)
        .order_by(ChatMessage.id.desc())
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def proposed(session: AsyncSession, session_id: str, limit: int) -> Sequence[Instruction]:
    """Return the latest instructions that a chat proposed, newest first."""
    query = (
        select(Instruction)
        .where(Instruction.session_id == session_id)
        .order_by(Instruction.created_at.desc(), Instruction.id.desc())
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def voice_in(session: AsyncSession, project_id: str, request_id: str) -> VoiceRequest:
    """Return a project's voice request."""
    found = await session.get(VoiceRequest, request_id)
    if found is None or found.project_id != project_id:
        raise VoiceRequestNotFound(
            f"There is no voice request {request_id!r} in this project; list them to find it."
        )
    return found


async def voices(
    session: AsyncSession, project_id: str, *, limit: int, before: Cursor | None
) -> Sequence[VoiceRequest]:
    """Return a keyset page of voice requests, newest first."""
    key = tuple_(VoiceRequest.created_at, VoiceRequest.id)
    query = select(VoiceRequest).where(VoiceRequest.project_id == project_id)
    if before is not None:
        query = query.where(key < before)
    newest = (VoiceRequest.created_at.desc(), VoiceRequest.id.desc())
    return (await session.execute(query.order_by(*newest).limit(limit))).scalars().all()


async def left_running(session: AsyncSession) -> Sequence[VoiceRequest]:
    """Return the voice requests that have not ended, or whose process died."""
    query = select(VoiceRequest).where(VoiceRequest.state == "running")
    return (await session.execute(query)).scalars().all()


async def last_picture(session: AsyncSession, project_id: str) -> str | None:
    """Return the id of the latest picture that a run made."""
    made = Asset.kind.not_in(("source", "reference", "adopted", "mask"))
    mine = (Asset.project_id == project_id, Asset.deleted_at.is_(None), made)
    newest = (Asset.created_at.desc(), Asset.id.desc())
    query = select(Asset.id).where(*mine).order_by(*newest).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def waiting(session: AsyncSession, project_id: str) -> str | None:
    """Return the id of the latest instruction that waits for a person's word."""
    state = InstructionState.AWAITING_CONFIRMATION.value
    query = (
        select(Instruction.id)
        .where(Instruction.project_id == project_id, Instruction.state == state)
        .order_by(Instruction.created_at.desc(), Instruction.id.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()
