"""Chats about a project, with an assistant where a language model is configured."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from maquette.api.claims import ONCE, MadeBefore, TheClaim
from maquette.api.contract import raises
from maquette.api.door import Editing, Viewing
from maquette.api.house import TheStudio
from maquette.api.permission import Permission
from maquette.core import errors as e
from maquette.core import money
from maquette.core.wanted import Wanted
from maquette.db.tables import ChatMessage, ChatSession
from maquette.services import talking
from maquette.services.talking import Said

router = APIRouter(prefix="/api/projects/{slug}/chat/sessions", tags=["chat"])

SessionId = Annotated[str, Path(max_length=36, pattern=r"^[A-Za-z0-9-]+$")]


class NewChat(Wanted):
    """A conversation to begin."""

    title: Annotated[str, Field(max_length=200, examples=["Scene planning"])] = ""


class ChatDocument(BaseModel):
    """A conversation."""

    id: str
    title: str
    created_at: datetime

    @classmethod
    def of(cls, row: ChatSession) -> Self:
        """Describe a row."""
        return cls(id=row.id, title=row.title, created_at=row.created_at)


class ChatPage(BaseModel):
    """A page of conversations, newest first."""

    items: list[ChatDocument]
    next: str | None = None


class NewMessage(Permission, extra="forbid"):
    """Something to say."""

    content: Annotated[str, Field(min_length=1, max_length=talking.MOST_BYTES)]


class Proposal(BaseModel):
    """An instruction that the assistant proposes; it waits for a person's confirmation."""

    id: str | None = None
    """Of the instruction; null where it could not be written down."""
    instruction_type: str
    payload_json: dict[str, Any]
    problem: str | None = None


class MessageDocument(BaseModel):
    """What a person, the assistant or the system said."""

    id: int
    role: str
    content: str
    created_at: datetime
    model: str | None = None
    """Which model answered; null for people and the system."""
    proposals: list[Proposal] = []
    problems: list[str] = []
    """What the assistant asked for that nobody can be asked to confirm."""
    note: str = ""
    error_code: str | None = None
    """Why there is no answer."""
    cost_usd: str

    @classmethod
    def of(cls, row: ChatMessage) -> Self:
        """Describe a row."""
        return cls(
            id=row.id,
            role=row.role,
            content=row.content,
            created_at=row.created_at,
            model=row.data.get("model"),
            proposals=[
                Proposal(
                    id=one.get("id"),
                    instruction_type=one["instruction_type"],
                    payload_json=one["payload_json"],
                    problem=one.get("problem"),
                )
                for one in row.data.get("proposals", ())
            ],
            problems=row.data.get("problems", []),
            note=row.data.get("note", ""),
            error_code=row.data.get("error_code"),
            cost_usd=str(money.from_nano(row.cost_nano)),
        )


class MessagePage(BaseModel):
    """A page of a conversation, oldest first."""

    items: list[MessageDocument]
    next: int | None = None


class Exchange(BaseModel):
    """What was said, and the answer to it."""

    message: MessageDocument
    answer: MessageDocument | None
    """Role `assistant`, or `system` with the reason why there is no answer."""

    @classmethod
    def of(cls, said: Said) -> Self:
        """Describe two rows."""
        answer = None if said.answer is None else MessageDocument.of(said.answer)
        return cls(message=MessageDocument.of(said.message), answer=answer)


@router.post("", status_code=201, summary="Begin a chat", responses=ONCE)
async def create_chat(
    entry: Editing, studio: TheStudio, wanted: NewChat, claim: TheClaim, made: MadeBefore
) -> ChatDocument:
    """Begin a conversation about the project."""
    if made is not None:
        found = await talking.chat(studio, entry.project.id, made.partition(":")[2])
        return ChatDocument.of(found)
    return ChatDocument.of(
        await talking.create(studio, entry.project, entry.caller, wanted.title, claim)
    )


@router.get("", summary="List chats", responses=raises(e.ChatNotFound))
async def list_chats(
    entry: Viewing,
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None, Query(max_length=36, description="`next` of the page that came before.")
    ] = None,
) -> ChatPage:
    """Return a page of the project's conversations, newest first."""
    found = await talking.chats(studio, entry.project.id, limit, before)
    items = [ChatDocument.of(one) for one in found]
    return ChatPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/{session_id}/messages", summary="Read a chat", responses=raises(e.ChatNotFound))
async def list_messages(
    entry: Viewing,
    studio: TheStudio,
    session_id: SessionId,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    after: Annotated[
        int, Query(ge=0, le=2**63 - 1, description="`next` of the page that came before.")
    ] = 0,
) -> MessagePage:
    """Return a page of what was said, oldest first."""
    found = await talking.messages(studio, entry.project.id, session_id, limit, after)
    items = [MessageDocument.of(one) for one in found]
    return MessagePage(items=items, next=items[-1].id if len(items) == limit else None)


@router.post(
    "/{session_id}/messages",
    status_code=201,
    summary="Say something",
    responses=raises(e.ChatNotFound, e.NotConfirmed, e.BudgetExceeded, e.RequestTimedOut) | ONCE,
)
async def say(
    entry: Editing,
    studio: TheStudio,
    session_id: SessionId,
    wanted: NewMessage,
    claim: TheClaim,
    made: MadeBefore,
) -> Exchange:
    """Keep a message, then ask the assistant; whatever it proposes waits for confirmation."""
    if made is not None:
        message = int(made.partition(":")[2])
        found = await talking.said_before(studio, entry.project.id, session_id, message)
        return Exchange.of(found)
    spending = wanted.spending(entry, claim)
    return Exchange.of(
        await talking.say(studio, entry.project, entry.caller, session_id, wanted.content, spending)
    )
