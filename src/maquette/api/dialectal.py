"""Headers that every reply has where OpenAI's clients ask."""

from __future__ import annotations

import time

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maquette.api import dialects
from maquette.core import correlation


def held(connection: HTTPConnection) -> None:
    """Note that money may be held for the request: no client may send it again by itself."""
    connection.scope["state"]["held"] = True


def age_s(connection: HTTPConnection) -> float:
    """Return how long ago the request came in."""
    return time.perf_counter() - connection.scope["state"]["came_in"]


class Dialectal:
    """Names the request as OpenAI does, and ends retries once a job stands for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or dialects.of_path(scope["path"]) is not dialects.IMAGES:
            await self._app(scope, receive, send)
            return
        began = scope["state"]["came_in"] = time.perf_counter()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = correlation.current.get() or ""
                headers["OpenAI-Processing-Ms"] = str(round((time.perf_counter() - began) * 1000))
                if scope["state"].get("held"):
                    headers["X-Should-Retry"] = "false"
            await send(message)

        await self._app(scope, receive, told)
