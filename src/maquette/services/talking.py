"""Chats about a project: what people say is kept first, then the assistant is asked."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import instructions as i
from maquette.core.errors import (
    BadParameter,
    BudgetExceeded,
    CapabilityMissing,
    MaquetteError,
    NotConfirmed,
)
from maquette.core.instructions import InstructionKind
from maquette.core.language import ChatMessage as Told
from maquette.core.language import ChatModel, ChatRequest, ToolCall
from maquette.core.money import Nano
from maquette.core.people import Caller
from maquette.db import events, idempotency, talk
from maquette.db.tables import ChatMessage, ChatSession, Project
from maquette.language import assistant
from maquette.language.assistant import Reply
from maquette.services import briefing, instructed, instructing, metering, words
from maquette.services.metering import Bill, Commit, Priced
from maquette.services.starting import Spending
from maquette.services.studio import Studio

log = logging.getLogger(__name__)
MOST_BYTES = 16 * 1024
_TOLD_AGAIN = 200
"""Messages that are looked at for the history; the assistant's own limit is in bytes."""
NO_MODEL = (
    "No language model is configured, so nobody answers here. Your message is kept. Start a "
    "server such as LM Studio or Ollama and set MAQUETTE_LANGUAGE__MODEL, "
    "MAQUETTE_LANGUAGE__BASE_URL and MAQUETTE_LANGUAGE__FREE=true; or set a service's model, "
    "address, key name and price. `maquette doctor` shows what is set."
)


@dataclass(frozen=True)
class Said:
    """What a person said, and what came back."""

    message: ChatMessage
    answer: ChatMessage | None
    """None: the process died before there was one."""


@dataclass(frozen=True)
class _Asking:
    """A question to a model, priced."""

    model: ChatModel
    request: ChatRequest
    call: Priced


async def create(
    studio: Studio, project: Project, caller: Caller, title: str, claim: idempotency.Claim | None
) -> ChatSession:
    """Begin a conversation."""
    made = ChatSession(
        id=str(uuid4()),
        project_id=project.id,
        user_id=caller.user_id,
        title=title,
        created_at=studio.shop.clock.now(),
    )
    async with studio.shop.db.write() as session:
        if claim is not None:
            await idempotency.claim(session, claim, f"chat:{made.id}")
        session.add(made)
    return made


async def chat(studio: Studio, project_id: str, session_id: str) -> ChatSession:
    async with studio.shop.db.read() as session:
        return await talk.chat_in(session, project_id, session_id)


async def chats(
    studio: Studio, project_id: str, limit: int, before: str | None
) -> Sequence[ChatSession]:
    """Return a page of conversations, newest first; `before` is the id of the last one seen."""
    async with studio.shop.db.read() as session:
        last = None if before is None else await talk.chat_in(session, project_id, before)
        cursor = None if last is None else (last.created_at, last.id)
        return await talk.chats(session, project_id, limit=limit, before=cursor)


async def messages(
    studio: Studio, project_id: str, session_id: str, limit: int, after: int
) -> Sequence[ChatMessage]:
    """Return a page of a conversation, oldest first."""
    async with studio.shop.db.read() as session:
        found = await talk.chat_in(session, project_id, session_id)
        return await talk.messages(session, found.id, limit=limit, after=after)


async def said_before(studio: Studio, project_id: str, session_id: str, message_id: int) -> Said:
    """Return what an earlier try of the same request kept; nothing is asked again."""
    async with studio.shop.db.read() as session:
        found = await talk.chat_in(session, project_id, session_id)
        rows = await talk.messages(session, found.id, limit=10, after=message_id - 1)
    answer = next((one for one in rows[1:] if one.data.get("answers") == message_id), None)
    return Said(rows[0], answer)


async def say(
    studio: Studio,
    project: Project,
    caller: Caller,
    session_id: str,
    content: str,
    spending: Spending,
) -> Said:
    """Keep what a person says, then ask; what goes wrong from then on is the answer.

    Only a price that was not allowed is refused before anything is kept.
    """
    if len(content.encode()) > MOST_BYTES:
        raise BadParameter(f"The message is over {MOST_BYTES // 1024} KiB; say it in parts.")
    found = await chat(studio, project.id, session_id)
    asking: _Asking | MaquetteError | None
    try:
        asking = await _asking(studio, project, found, content)
        if asking is not None:
            metering.check(asking.call, spending)
    except (NotConfirmed, BudgetExceeded):
        raise
    except MaquetteError as error:
        asking = error
    row = _row(studio, found, "user", content, {"by": caller.user_id})
    async with studio.shop.db.write() as session:
        await _add(session, found, row)
        if spending.claim is not None:
            await idempotency.claim(session, spending.claim, f"message:{row.id}")
    answer = await studio.errands.see_through(
        _answered(studio, project, caller, found, row, asking, spending)
    )
    return Said(row, answer)


async def _asking(
    studio: Studio, project: Project, found: ChatSession, content: str
) -> _Asking | None:
    """Put the question together and price it; None: there is no model."""
    model = (await words.of_project(studio, project.id)).model
    if model is None:
        return None
    lack = model.missing()
    if lack is not None:
        raise CapabilityMissing(f"The language model cannot be asked. {lack}")
    async with studio.shop.db.read() as session:
        rows = await talk.last_messages(session, found.id, _TOLD_AGAIN)
    told = [_told(one) for one in reversed(rows) if one.role != "system"]
    facts = await briefing.facts(studio, project, found.id)
    request = assistant.request(facts, [*told, Told("user", content)], TOOLS)
    price = assistant.worst_case(model, request)
    return _Asking(model, request, Priced("chat", "language", model.id, price, model.priced_by()))


def _told(row: ChatMessage) -> Told:
    return Told("user" if row.role == "user" else "assistant", row.content)


async def _answered(
    studio: Studio,
    project: Project,
    caller: Caller,
    found: ChatSession,
    row: ChatMessage,
    asking: _Asking | MaquetteError | None,
    spending: Spending,
) -> ChatMessage:
    """Ask, and keep the answer, or why there is none."""
    if asking is None:
        return await _kept(studio, found, row, NO_MODEL, CapabilityMissing.code)
    if isinstance(asking, MaquetteError):
        return await _kept(studio, found, row, str(asking), asking.code)
    answer: list[ChatMessage] = []

    async def send() -> tuple[Reply, Bill]:
        reply = await assistant.ask(
            asking.model, asking.request, lambda call: _problem(studio, project, call)
        )
        return reply, Bill.of(reply.spent)

    async def keep(reply: Reply, cost: Nano) -> Commit:
        answer.append(_answer(studio, found, row, reply, cost))

        async def commit(session: AsyncSession) -> None:
            await _add(session, found, answer[0])

        return commit

    unclaimed = replace(spending, claim=None)  # the key names the message
    try:
        await metering.metered(studio, project, asking.call, unclaimed, send, keep)
    except MaquetteError as error:
        return await _kept(studio, found, row, f"There is no answer: {error}", error.code)
    except Exception as error:
        log.exception("the assistant failed in an unforeseen way")
        said = "There is no answer: something went wrong that nobody foresaw. The log has it."
        return await _kept(studio, found, row, f"{said} ({type(error).__name__})", "internal")
    return await _proposed(studio, project, caller, found, answer[0])


def _answer(
    studio: Studio, found: ChatSession, row: ChatMessage, reply: Reply, cost: Nano
) -> ChatMessage:
    usage = reply.spent.usage
    data: dict[str, Any] = {
        "answers": row.id,
        "model": reply.model,
        "proposals": [
            {"instruction_type": one.name, "payload_json": dict(one.arguments)}
            for one in reply.proposals
        ],
        "problems": list(reply.problems),
        "note": reply.note,
        "usage": None if usage is None else vars(usage),
    }
    made = _row(studio, found, "assistant", reply.text or _unsaid(reply), data)
    made.cost_nano = cost
    return made


def _unsaid(reply: Reply) -> str:
    """Say what an answer without words does."""
    if not reply.proposals:
        return "The model answered with nothing that could be used; ask in other words."
    kinds = ", ".join(dict.fromkeys(one.name for one in reply.proposals))
    return f"Proposed: {kinds}. Nothing is done before you confirm it."


async def _proposed(
    studio: Studio, project: Project, caller: Caller, found: ChatSession, answer: ChatMessage
) -> ChatMessage:
    """Write the proposals down as instructions, each of which waits for a person."""
    proposals: list[dict[str, Any]] = [dict(one) for one in answer.data["proposals"]]
    if not proposals:
        return answer
    for one in proposals:
        wanted = instructing.Wanted(
            kind=InstructionKind(one["instruction_type"]),
            payload=one["payload_json"],
            session_id=found.id,
            proposed=True,
        )
        try:
            made = await instructing.create(studio, project, caller, wanted)
            one["id"], one["state"] = made.id, made.state
        except MaquetteError as error:
            one["problem"] = str(error)
    async with studio.shop.db.write() as session:
        row = await session.get_one(ChatMessage, answer.id)
        row.data = {**row.data, "proposals": proposals}
        _tell(session, found, row)
    return row


def _problem(studio: Studio, project: Project, call: ToolCall) -> str | None:
    """Say what is wrong with what a model asks for; its words are data like any others."""
    if call.name not in set(InstructionKind):
        known = ", ".join(InstructionKind)
        return f"There is no tool {call.name!r}; there are: {known}."
    if call.unread:
        return "The arguments are no JSON object."
    try:
        said = i.read(InstructionKind(call.name), call.arguments)
        json.dumps(i.dumped(said), ensure_ascii=False).encode()
        instructed.check_names(studio, project.root, said)
    except MaquetteError as error:
        return str(error)
    except UnicodeEncodeError:
        return "The arguments have halves of surrogate pairs."
    return "The arguments have a NUL." if "\\u0000" in json.dumps(i.dumped(said)) else None


TOOLS = tuple(
    assistant.tool(kind.value, model.__doc__ or kind.value, model.model_json_schema())
    for kind, model in i.PAYLOADS.items()
)


def _row(
    studio: Studio, found: ChatSession, role: str, content: str, data: dict[str, Any]
) -> ChatMessage:
    now = studio.shop.clock.now()
    return ChatMessage(
        session_id=found.id, role=role, content=content, data=data, cost_nano=0, created_at=now
    )


async def _kept(
    studio: Studio, found: ChatSession, row: ChatMessage, content: str, code: str
) -> ChatMessage:
    """Keep why there is no answer, in our own words."""
    made = _row(studio, found, "system", content, {"answers": row.id, "error_code": code})
    async with studio.shop.db.write() as session:
        await _add(session, found, made)
    return made


async def _add(session: AsyncSession, found: ChatSession, row: ChatMessage) -> None:
    session.add(row)
    await session.flush()
    _tell(session, found, row)


def _tell(session: AsyncSession, found: ChatSession, row: ChatMessage) -> None:
    events.record(
        session,
        "chat_message",
        project_id=found.project_id,
        at=row.created_at,
        chat=found.id,
        message=row.id,
        role=row.role,
    )
