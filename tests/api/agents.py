"""Agents that talk to a running server with the official client of their protocol."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types as t
import numpy as np
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from maquette.core.people import Caller, Role, Scope
from maquette.imaging import codec
from maquette.services import keys
from maquette.testing.serving import Served

MODES = ("auto", "legacy")
"""The protocol of 2026, a request at a time, and the older one, with sessions."""


@asynccontextmanager
async def agent(
    served: Served, key: str | None = None, mode: str = "auto", **more: Any
) -> AsyncGenerator[Client]:
    """Connect as a client does that was given an address, and a key where one is needed."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(
            streamable_http_client(f"{served.url}/mcp", http_client=http), mode=mode, **more
        ) as client,
    ):
        yield client


class Progress:
    """What a client is told while it waits."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.sent = asyncio.Event()
        """The provider's call is on its way."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.seen.append(progress)
        if message == "sent":
            self.sent.set()


async def key_of(served: Served, user_id: str, name: str, role: Role, *scopes: Scope) -> str:
    """Make a key of somebody's with these scopes."""
    caller = Caller(user_id, name, role)
    _, text = await keys.make(served.house.studio, caller, "agent", list(scopes), None)
    return text


def told(result: t.CallToolResult) -> Mapping[str, Any]:
    """Return what a tool told, which must have worked."""
    assert not result.is_error, words(result)
    return result.structured_content


def words(result: t.CallToolResult) -> str:
    return "\n".join(one.text for one in result.content if isinstance(one, t.TextContent))


def refused(result: t.CallToolResult, code: str) -> str:
    """Return a refusal's words, which must end with its code."""
    assert result.is_error, result
    assert words(result).endswith(f"({code})"), words(result)
    return words(result)


def pictures(result: t.CallToolResult) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Decode the pictures of an answer; each is followed by the link to all of it."""
    found: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
    for one, link in zip(result.content[1::2], result.content[2::2], strict=True):
        assert isinstance(one, t.ImageContent)
        assert isinstance(link, t.ResourceLink)
        found.append(codec.decode(base64.b64decode(one.data), name="picture").pixels)
    return found
