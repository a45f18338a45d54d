"""A stand-in for another agent on loopback: it takes instructions, refuses, fails and dawdles.

Like a real one it does an instruction once, however often it is sent with the same key.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from maquette.testing.http_server import Exchange, LoopbackServer

Does = Literal["answer", "cut", "garbage", "wait"]
"""`cut`: the work is taken and the answer lost; `wait`: the answer comes when `go` is called."""


@dataclass(frozen=True)
class Act:
    """What one call meets."""

    does: Does = "answer"
    status: int = 200
    body: Mapping[str, Any] = field(default_factory=lambda: {"state": "succeeded"})
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Seen:
    """One request as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class AgentStandIn:
    """Acts are used up one a call; then it answers plainly."""

    def __init__(self, *script: Act) -> None:
        self._script = list(script)
        self._lock = threading.Lock()
        self._go = threading.Event()
        self.called = threading.Event()
        """Set once a call has arrived."""
        self.seen: list[Seen] = []
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        return f"{self._server.url}/instructions"

    @property
    def keys(self) -> Sequence[str]:
        """The idempotency keys of all calls, in order."""
        with self._lock:
            return [one.headers.get("idempotency-key", "") for one in self.seen]

    def go(self) -> None:
        """Let those who wait have their answer."""
        self._go.set()

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._go.set()
        self._server.__exit__(*exc)

    def _handle(self, exchange: Exchange) -> None:
        body = exchange.body()
        with self._lock:
            act = self._script.pop(0) if self._script else Act()
            self.seen.append(Seen(exchange.path, exchange.headers, json.loads(body)))
        self.called.set()
        if act.does == "wait":
            self._go.wait(30)
        if act.does == "cut":
            exchange.cut()
            return
        reply = b"<html>" if act.does == "garbage" else json.dumps(act.body).encode()
        exchange.answer(act.status, reply, headers=act.headers)
