"""Handing an instruction to another agent: one POST, sent again with the same key where it failed.

The key is the instruction's id, so an agent that took it once need not do it twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from maquette import net
from maquette.core import money
from maquette.core.errors import (
    BadProviderReply,
    CapabilityMissing,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from maquette.core.states import InstructionState
from maquette.db.tables import Instruction, Project
from maquette.services.studio import Agent, Studio

_WAIT_S = 60.0
_MOST_BYTES = 256 * 1024
_LATER = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Answer:
    """What an agent made of an instruction."""

    state: InstructionState
    """`running`: it will report; else how it ended."""
    result: Mapping[str, Any]
    message: str = ""


def document(row: Instruction, project: Project) -> dict[str, Any]:
    """Return what an agent is told."""
    here = f"/api/projects/{project.slug}/agent/instructions/{row.id}"
    return {
        "instruction_id": row.id,
        "instruction_type": row.kind,
        "payload_json": row.payload,
        "project": project.slug,
        "confirmed": row.confirmed,
        "worst_case_usd": str(money.from_nano(row.worst_case_nano)),
        "created_at": row.created_at.isoformat(),
        "report_to": f"{here}/report",
    }


async def send(studio: Studio, row: Instruction, project: Project) -> Answer:
    """Send once; raise what may be tried again as an error whose `retry` is `LATER`."""
    agent = studio.agent
    if agent is None:
        raise CapabilityMissing(
            "No agent is configured any more, so the instruction was not sent. Set "
            "MAQUETTE_AGENT_URL and give it again."
        )
    headers = {"Idempotency-Key": row.id}
    if agent.token is not None:
        headers["Authorization"] = f"Bearer {_token(agent)}"
    rules = replace(studio.wire, most_bytes=_MOST_BYTES)
    async with net.client(rules, headers=headers, wait_s=_WAIT_S) as client:
        with net.sending("the agent", paid=False):
            reply = await client.post(agent.url, json=document(row, project))
    return _read(reply.status_code, reply.headers, reply.content, agent)


def _token(agent: Agent) -> str:
    value = "" if agent.token is None else agent.token.get_secret_value().strip()
    if not value or not value.isascii() or not value.isprintable():
        raise CapabilityMissing(
            "The agent's token is empty or has characters that no token has, so nothing was sent. "
            "Set MAQUETTE_AGENT_TOKEN again."
        )
    return value


def _read(status: int, headers: Mapping[str, str], body: bytes, agent: Agent) -> Answer:
    said = _json(body)
    if 200 <= status < 300:
        return _accepted(status, said, agent)
    words = _words(said, body, agent)
    if status in _LATER:
        raise RateLimited(
            f"The agent asks for patience ({status}): {words}", retry_after=net.retry_after(headers)
        )
    if status >= 500:
        raise ProviderUnavailable(f"The agent failed ({status}): {words}")
    if 300 <= status < 400:
        raise ProviderRefused(
            f"The agent's address leads elsewhere ({status}), where nothing was sent. Set "
            "MAQUETTE_AGENT_URL to the address that answers."
        )
    raise ProviderRefused(f"The agent refused ({status}): {words}")


def _accepted(status: int, said: Any, agent: Agent) -> Answer:
    if not isinstance(said, dict):
        return Answer(InstructionState.SUCCEEDED, {"status": status})
    told = cast("dict[str, Any]", said)
    result = {"status": status, "agent": told}
    try:
        state = InstructionState(str(told.get("state", "succeeded")))
    except ValueError:
        raise BadProviderReply(
            f"The agent answered with the state {net.cleaned(told.get('state'))} which no "
            "instruction has; it should say running, succeeded, failed or cancelled."
        ) from None
    if state is InstructionState.QUEUED:
        state = InstructionState.RUNNING
    if state is InstructionState.FAILED:
        return Answer(state, result, f"The agent failed: {_words(said, b'', agent)}")
    if not state.final and state is not InstructionState.RUNNING:
        raise BadProviderReply(
            f"The agent answered with the state {state.value!r}; it should say running, "
            "succeeded, failed or cancelled."
        )
    return Answer(state, result)


def _json(body: bytes) -> Any:
    """Read an answer that a database can keep; None for any other."""
    try:
        found = json.loads(body)
        text = json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    kept = "\\u0000" not in text and ("\\ud" not in text.lower() or _whole(found))
    return found if kept else None


def _whole(found: Any) -> bool:
    """Say whether text has no half of a surrogate pair."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _words(said: Any, body: bytes, agent: Agent) -> str:
    """Quote the reason, wherever services put one, without the token."""
    found: Any = said
    for name in ("error", "detail", "message"):
        if isinstance(found, dict) and name in found:
            found = cast("dict[str, Any]", found)[name]
    if isinstance(found, dict) or found is None:
        found = body.decode(errors="replace").replace("\0", "") if found is None else ""
    token = None if agent.token is None else agent.token.get_secret_value()
    return net.cleaned(found, token)
