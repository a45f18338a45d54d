"""The MCP server over streamable HTTP: for an application that lets messages in.

Only this file and `server` are slow to load, so they are loaded when the first message comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mcp.server import ServerRequestContext
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from maquette.agent import server
from maquette.agent.call import Office
from maquette.agent.server import Who
from maquette.core.people import Caller

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_MOST_SESSIONS = 1000
_IDLE_S = 30 * 60


class Exchange:
    """Answers messages until it is told to stop; the streams that are open then are ended."""

    def __init__(self, office: Office, most_bytes: int) -> None:
        self._manager = StreamableHTTPSessionManager(
            server.made(office, _who),
            max_request_body_size=most_bytes,
            session_idle_timeout=_IDLE_S,
            max_sessions=_MOST_SESSIONS,
        )
        self.ready = asyncio.Event()

    async def keep(self, stopping: asyncio.Event) -> None:
        async with self._manager.run():
            self.ready.set()
            await stopping.wait()

    async def answer(
        self, who: Who, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answer a message of somebody who was let in."""
        scope["state"][_KEY] = who
        # A session is only its owner's: another caller who knows its name is told there is none.
        scope["user"] = AuthenticatedUser(_token(who.caller))
        await self._manager.handle_request(scope, receive, send)


_KEY = "agent"


def _who(context: ServerRequestContext[Any, Any]) -> Who:
    assert context.request is not None
    return context.request.scope["state"][_KEY]


def _token(caller: Caller) -> AccessToken:
    return AccessToken(token="", client_id=caller.key, scopes=[], subject=caller.user_id)
