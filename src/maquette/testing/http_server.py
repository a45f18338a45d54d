"""A small HTTP/1.1 server on loopback for tests: every byte of a request can be looked at.

It runs in threads of its own, so that it serves tests with and without an event loop, and it can
misbehave: cut a connection before or after reading, answer slowly, or with anything at all.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Part:
    """One part of a multipart body."""

    name: str
    data: bytes
    filename: str | None = None
    media_type: str = ""


class Exchange:
    """One request on the wire; `answer` it, or `cut` the connection."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self._body: bytes | None = None
        self.method = handler.command
        self.path = handler.path
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in handler.headers.items()
        }

    def body(self) -> bytes:
        """Read the body, once."""
        if self._body is None:
            length = int(self.headers.get("content-length", "0"))
            self._body = self._handler.rfile.read(length)
        return self._body

    def answer(
        self,
        status: int,
        body: bytes,
        *,
        media_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole answer."""
        self.begin(status, media_type, {**(headers or {}), "Content-Length": str(len(body))})
        self.send(body)

    def begin(self, status: int, media_type: str, headers: Mapping[str, str]) -> None:
        """Send the head of an answer; what follows ends where the connection does."""
        self.body()
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", media_type)
        self._handler.send_header("Connection", "close")
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self._handler.close_connection = True

    def send(self, data: bytes) -> None:
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def cut(self) -> None:
        """Reset the connection."""
        self._handler.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._handler.connection.close()


def parts_of(body: bytes, content_type: str) -> list[Part]:
    """Split a multipart body; the bytes of each part are exactly as sent."""
    found = re.search(r'boundary="?([^";]+)', content_type)
    if found is None:
        raise ValueError(f"{content_type!r} has no boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, _, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    text = head.decode()
    name = re.search(r'[; ]name="([^"]*)"', text)
    filename = re.search(r'filename="([^"]*)"', text)
    media_type = re.search(r"(?im)^content-type: *(\S+)", text)
    if name is None:
        raise ValueError(f"a part without a name: {text!r}")
    return Part(
        name=name[1],
        data=data,
        filename=filename[1] if filename else None,
        media_type=media_type[1] if media_type else "",
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Five, the default, is refused where a crowd calls at once."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up early is what some tests are about."""


class LoopbackServer:
    """Serves `handle` on a free port of 127.0.0.1; a context manager."""

    def __init__(self, handle: Callable[[Exchange], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                handle(Exchange(self))

            def do_GET(self) -> None:
                handle(Exchange(self))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
                """Keep the tests' output clean."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
