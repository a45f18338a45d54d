"""The MCP server over streamable HTTP: for an application that lets messages in.

The older protocol's sessions are kept until they are idle for long. Each person has some of them:
a new one more ends the one that they have not used for the longest time.
Only this file and `server` are slow to load, so they are loaded when the first message comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
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
_MOST_OF_ONE = 20
_SESSION = b"mcp-session-id"
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
        self._sessions: dict[str, dict[bytes, AuthenticatedUser]] = {}
        """Of each person, with whose credential each was opened; the last used is the last."""

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
        user = scope["user"] = AuthenticatedUser(_token(who.caller))
        named = _session_in(scope["headers"])

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < _REFUSED:
                theirs = self._sessions.setdefault(who.caller.user_id, {})
                if scope["method"] == "DELETE":
                    theirs.pop(named or b"", None)
                elif named is not None:
                    theirs[named] = theirs.pop(named, user)
                elif (opened := _session_in(message["headers"])) is not None:
                    theirs[opened] = user
                    await self._make_room(theirs)
            await send(message)

        await self._manager.handle_request(scope, receive, noted)

    async def _make_room(self, theirs: dict[bytes, AuthenticatedUser]) -> None:
        """End sessions as their clients would, where somebody has too many."""
        while len(theirs) > _MOST_OF_ONE:
            session = next(iter(theirs))
            scope: Message = {
                "type": "http",
                "method": "DELETE",
                "path": "/",
                "query_string": b"",
                "headers": [(_SESSION, session)],
                "state": {},
                "user": theirs.pop(session),
            }
            await self._manager.handle_request(scope, _nothing, _nowhere)


_KEY = "agent"
_REFUSED = 400


def _session_in(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    return next((value for name, value in headers if name.lower() == _SESSION), None)


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nowhere(_message: Message) -> None: ...


def _who(context: ServerRequestContext[Any, Any]) -> Who:
    assert context.request is not None
    return context.request.scope["state"][_KEY]


def _token(caller: Caller) -> AccessToken:
    return AccessToken(token="", client_id=caller.key, scopes=[], subject=caller.user_id)
