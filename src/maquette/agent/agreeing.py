"""Asking the person themselves, through a client that can: MCP calls it elicitation."""

from __future__ import annotations

import asyncio
from typing import Any

import mcp_types as t
from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError

from maquette.agent.call import Answer
from maquette.agent.tells import JobTold
from maquette.core import money
from maquette.core.errors import ShuttingDown
from maquette.services.confirming import KEPT
from maquette.services.studio import unless_stopped

KEY = "price"
_MEMBER = "pay"


def can_be_asked(context: ServerRequestContext[Any, Any]) -> bool:
    """Tell whether the client shows forms to its person; one that says no more means forms."""
    known = context.session.client_capabilities
    asks = None if known is None else known.elicitation
    return asks is not None and (asks.form is not None or asks.url is None)


def question(answer: Answer) -> t.ElicitRequest:
    """Ask whether the price is agreed to."""
    told, proposal = answer.told, answer.proposal
    assert isinstance(told, JobTold)
    assert proposal is not None
    price, plan = money.show(proposal.price), told.plan
    what = (
        ""
        if plan is None
        else f"{plan.tool} with {plan.model or plan.mode}, {plan.count} pictures: "
    )
    return t.ElicitRequest(
        params=t.ElicitRequestFormParams(
            message=f"{what} costs up to {price}. May it be spent?",
            requested_schema={
                "type": "object",
                "properties": {
                    _MEMBER: {"type": "boolean", "title": f"Spend up to {price}", "default": False}
                },
                "required": [_MEMBER],
            },
        )
    )


async def ask(
    context: ServerRequestContext[Any, Any], wanted: t.ElicitRequest, gone: asyncio.Event
) -> t.ElicitResult | None:
    """Ask over a connection that takes questions; None where nobody answered in time."""
    form = wanted.params
    assert isinstance(form, t.ElicitRequestFormParams)
    asking = context.session.elicit_form(
        form.message, form.requested_schema, related_request_id=context.request_id
    )
    try:
        async with asyncio.timeout(KEPT.total_seconds()):
            return await unless_stopped(asking, gone)
    except (TimeoutError, ShuttingDown, MCPError):  # nobody there, or a client that cannot
        return None


def agreed(said: object) -> bool:
    """Tell whether a person said yes; everything else is a no."""
    return (
        isinstance(said, t.ElicitResult)
        and said.action == "accept"
        and (said.content or {}).get(_MEMBER) is True
    )
