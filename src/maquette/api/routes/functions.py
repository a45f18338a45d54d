"""The tools for agents, as OpenAI's clients take them."""

from __future__ import annotations

from fastapi import APIRouter

from maquette.agent import manifest
from maquette.agent.manifest import FunctionTold
from maquette.api.door import SignedIn

router = APIRouter(prefix="/v1/functions", tags=["agents"])


@router.get("", summary="List the functions for agents")
async def list_functions(_caller: SignedIn) -> list[FunctionTold]:
    """Return the tools of the MCP server at `/mcp` as functions that a model may call."""
    return manifest.functions()
