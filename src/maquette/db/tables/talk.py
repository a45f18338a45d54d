"""Instructions with their history, chats, and what was heard and said."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from maquette.core.states import InstructionState
from maquette.db.base import Base, Serial, one_of


class Instruction(Base):
    """A typed order that may wait for a person's word."""

    __tablename__ = "agent_instructions"
    __table_args__ = (
        one_of("state", InstructionState),
        Index("ix_agent_instructions_project_id_created_at", "project_id", "created_at", "id"),
        Index("ix_agent_instructions_state", "state", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    session_id: Mapped[str | None] = mapped_column(ForeignKey("chat_sessions.id"))
    """The chat that proposed it."""
    kind: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(24))
    payload: Mapped[dict[str, Any]]
    dispatch: Mapped[bool]
    """Whether another agent does it, rather than this installation."""
    confirmed: Mapped[bool] = mapped_column(default=False)
    worst_case_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    run_id: Mapped[str | None] = mapped_column(String(40))
    result: Mapped[dict[str, Any] | None]
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class InstructionEvent(Base):
    """One change of an instruction; never changed itself."""

    __tablename__ = "agent_instruction_events"
    __table_args__ = (Index("ix_agent_instruction_events_instruction_id", "instruction_id", "id"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    instruction_id: Mapped[str] = mapped_column(ForeignKey("agent_instructions.id"))
    kind: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(24))
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class ChatSession(Base):
    """A conversation about a project."""

    __tablename__ = "chat_sessions"
    __table_args__ = (
        Index("ix_chat_sessions_project_id_created_at", "project_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class ChatMessage(Base):
    """What a person or the assistant wrote."""

    __tablename__ = "chat_messages"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant', 'system')", name="role_known"),
        Index("ix_chat_messages_session_id", "session_id", "id"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("chat_sessions.id"))
    role: Mapped[str] = mapped_column(String(12))
    content: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]]
    """The instructions it proposed, the model, the usage, or why there is no answer."""
    cost_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime]


class VoiceRequest(Base):
    """Speech that was heard, or spoken, with its audio in the project's store."""

    __tablename__ = "voice_requests"
    __table_args__ = (
        CheckConstraint("kind IN ('stt', 'tts')", name="kind_known"),
        CheckConstraint("state IN ('running', 'succeeded', 'failed')", name="state_known"),
        Index("ix_voice_requests_project_id_created_at", "project_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(String(3))
    state: Mapped[str] = mapped_column(String(12))
    text: Mapped[str | None] = mapped_column(Text)
    """What was heard, or what was to be said."""
    audio_digest: Mapped[str | None] = mapped_column(String(64))
    audio_media_type: Mapped[str | None] = mapped_column(String(64))
    audio_bytes: Mapped[int | None]
    data: Mapped[dict[str, Any]]
    """Who did it, with which voice and language, the confidence, notes."""
    cost_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
