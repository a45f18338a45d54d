"""Listening: sockets, signals and the order of stopping."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import cast

import uvicorn
from fastapi import FastAPI

from maquette.api.app import create_app
from maquette.api.house import House
from maquette.core.errors import AlreadyExists, BadParameter
from maquette.settings import Settings


def run_server(
    settings: Settings, host: str, ports: Sequence[int], *, work: bool, say: Callable[[str], None]
) -> None:
    """Serve until a signal; the first one lets answers and paid calls end."""
    check_host(host, settings)
    sockets = [bound(host, port) for port in ports]
    app = create_app(settings, work=work)
    server = Server(app, settings.server.grace_s, lambda: say(_words(host, sockets)))
    asyncio.run(server.serve_until_told(sockets))


class Server(uvicorn.Server):
    """Says where it listens once it does, and lets streams end when it stops."""

    def __init__(self, app: FastAPI, grace_s: float, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="websockets-sansio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=round(grace_s),
            )
        )
        self._app = app
        self._say_started = started

    async def serve_until_told(self, sockets: list[socket.socket]) -> None:
        """Serve until a signal; a second one waits for nobody, and paid calls stay unanswered."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._told)
            except NotImplementedError:  # Windows: no loop handlers there
                signal.signal(number, lambda _n, _f: loop.call_soon_threadsafe(self._told))
        await self._serve(sockets)

    def _told(self) -> None:
        if self.should_exit:
            os._exit(130)
        self.should_exit = True

    async def serve_here(self, sockets: list[socket.socket]) -> None:
        """Serve as a part of a program that handles the signals itself."""
        await self._serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cast("House", self._app.state.house).stop()
        await super().shutdown(sockets)


def check_host(host: str, settings: Settings) -> None:
    """Refuse to let strangers in where nobody has to sign in."""
    if settings.server.auth == "multi" or _is_loopback(host):
        return
    raise BadParameter(
        f"--host {host} can be reached by others, and in single-user mode nobody has to sign in. "
        "Set MAQUETTE_SERVER__AUTH=multi (`maquette user create NAME --role admin` makes the first "
        "account), or listen at 127.0.0.1."
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """Take a port, or say who may have it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, the event loop sends small answers at once: no 40 ms of Nagle's.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise AlreadyExists(
            f"Port {port} of {host} cannot be had ({error.strerror}). Is another server running? "
            "`--port 0` takes a free one."
        ) from None
    return found


def _words(host: str, sockets: Sequence[socket.socket]) -> str:
    shown = f"[{host}]" if ":" in host else host
    places = ", ".join(f"http://{shown}:{one.getsockname()[1]}" for one in sockets)
    return f"Maquette answers at {places} (API: /docs). Ctrl-C stops it."
