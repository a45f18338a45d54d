"""The process that holds the model: it reads orders from a pipe until the pipe is closed.

It never reaches the network: the libraries are told that they are offline, and an audit hook
refuses every connection all the same.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from maquette.providers.diffusers.messages import (
    Begun,
    End,
    Failed,
    Order,
    Preview,
    Progress,
    Ready,
    Stop,
)

_OUTWARD = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
)


def serve(pipe: Connection[Any, Any], idle_s: float) -> None:
    """Take orders one by one; end when the pipe closes, or when idle for `idle_s` (0: never)."""
    # Ctrl-C reaches the whole group; what it means is the parent's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    go_offline()
    makes = _Maker(pipe)
    # The first order is on its way: only after one can it be idle.
    wait_s: float | None = None
    try:
        pipe.send(Ready())
        while pipe.poll(wait_s):
            message = pipe.recv()
            # A `Stop` that came too late for its order finds nothing to stop.
            if isinstance(message, Order):
                pipe.send(Begun())
                pipe.send(makes.make(message))
                wait_s = idle_s or None
    except (EOFError, OSError):
        return


def go_offline() -> None:
    """Refuse every connection of this process, for good."""
    sys.addaudithook(_refuse_connections)
    try:
        constants: Any = importlib.import_module("huggingface_hub.constants")
    except ImportError:
        return  # the engine says what is missing
    constants.HF_HUB_OFFLINE = True
    constants.HF_HUB_DISABLE_TELEMETRY = True


def _refuse_connections(event: str, _args: tuple[object, ...]) -> None:
    if event in _OUTWARD:
        raise OSError(f"{event} was refused: local models never use the network.")


class _Maker:
    """Carries orders to the engine, and its news back."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self._engine: Any = None
        self._stopped = False

    def make(self, order: Order) -> End:
        self._stopped = False
        if self._engine is None:
            self.told(0.0, "loading diffusers")
            try:
                self._engine = _engine()
            except (ImportError, OSError, RuntimeError) as error:
                return Failed("unfit", _cannot_import(error))
        return self._engine.make(order, self)

    def told(self, fraction: float, note: str) -> None:
        self._pipe.send(Progress(fraction, note))

    def shown(self, index: int, data: bytes) -> None:
        self._pipe.send(Preview(index, data))

    def stopped(self) -> bool:
        while not self._stopped and self._pipe.poll():
            self._stopped = isinstance(self._pipe.recv(), Stop)
        return self._stopped


def _engine() -> Any:
    from maquette.providers.diffusers.engine import Engine  # noqa: PLC0415 - the picture libraries

    return Engine()


def _cannot_import(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"[:400]
    return (
        f"torch or diffusers cannot be loaded ({said}), so nothing was made. A torchvision that "
        "was built for another torch is a common cause; Maquette needs none, so uninstall it, or "
        "install the extra 'local' again."
    )


def _die_with_parent() -> None:
    """Leave no orphan behind when the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
