"""The tools as OpenAI's clients take them: a list of functions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from maquette.agent.tools import TOOLS


class FunctionTold(BaseModel):
    """A function that a model may call; the member names are OpenAI's."""

    type: Literal["function"] = "function"
    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool = False
    """Arguments may be left out, which strict mode does not allow."""


def functions() -> list[FunctionTold]:
    """Describe every tool."""
    return [
        FunctionTold(name=one.name, description=one.says, parameters=one.schema()) for one in TOOLS
    ]
