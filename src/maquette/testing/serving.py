"""The real server on a loopback port, in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from fastapi import FastAPI

from maquette.api.app import create_app
from maquette.api.house import House
from maquette.api.server import Server, bound
from maquette.core.provider import Provider
from maquette.net.client import trust
from maquette.settings import Settings


@dataclass(frozen=True)
class Served:
    """A running server and a client that talks to it."""

    url: str
    client: httpx2.AsyncClient
    app: FastAPI

    @property
    def house(self) -> House:
        return self.app.state.house


@asynccontextmanager
async def serving(
    settings: Settings,
    *,
    work: bool = True,
    providers: Mapping[str, Provider] | None = None,
    port: int = 0,
) -> AsyncGenerator[Served]:
    """Serve until the block ends; stopping is as graceful as in life."""
    app = create_app(settings, work=work, providers=providers)
    listening = bound("127.0.0.1", port)
    started = asyncio.Event()
    server = Server(app, settings.server.grace_s, started.set)
    task = asyncio.create_task(server.serve_here([listening]), name="server")
    await asyncio.wait(
        [task, asyncio.create_task(started.wait())], return_when=asyncio.FIRST_COMPLETED
    )
    if task.done():
        listening.close()
        await task
        raise RuntimeError("the server did not start; its log says why")
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        async with httpx2.AsyncClient(base_url=url, timeout=30, verify=trust()) as client:
            yield Served(url, client, app)
    finally:
        server.should_exit = True
        await task
