"""Our side of the process that holds the model: start it, talk to it, bury it.

All of it blocks, and runs in one thread, so that calls queue up there and no event loop waits.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from maquette.providers.diffusers import worker
from maquette.providers.diffusers.messages import (
    Begun,
    End,
    Failed,
    Failure,
    Made,
    News,
    Order,
    Preview,
    Progress,
    Ready,
    Stop,
    Stopped,
)

Tell = Callable[[News], None]

_LEAVES_A_MESS = frozenset[Failure]({"failed", "memory"})
"""After these nobody knows what the process still holds, or whether its device still works."""
_LOOK_S = 0.05
"""How often a waiting thread looks whether its call was given up."""
_START_S = 120.0
_STOP_S = 10.0
_BURY_S = 5.0


class Child:
    """At most one process at a time; the next order starts another where one has died."""

    def __init__(self, *, idle_s: float, stop_s: float = _STOP_S) -> None:
        self._idle_s = idle_s
        self._stop_s = stop_s
        self._process: Any = None
        self._pipe: Connection[Any, Any] | None = None

    @property
    def pid(self) -> int | None:
        """Whose memory the model is in; None: nobody's."""
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    def work(self, order: Order, tell: Tell, gone: threading.Event) -> End:
        """Return how the order ended; set `gone` to give it up. Never raises."""
        try:
            for _ in range(2):
                ended = self._tried(order, tell, gone)
                if isinstance(ended, Failed) and ended.kind in _LEAVES_A_MESS:
                    self.close()
                if ended is not None:
                    return ended
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            self.kill()
            return Failed("died", f"its process cannot be used ({type(error).__name__}: {error})")
        return Failed("died", "its process ended twice before it took the order")

    def close(self) -> None:
        """End the process in good order; it lets the model go."""
        process, pipe = self._process, self._pipe
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.join(_BURY_S)
        self.kill()

    def kill(self) -> int | None:
        """Be rid of the process; return its exit status."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is None:
            return None
        process.join(_LOOK_S)
        if process.is_alive():
            process.kill()
            process.join(_BURY_S)
        return process.exitcode

    def _tried(self, order: Order, tell: Tell, gone: threading.Event) -> End | None:
        """Hand the order over; None where the process had just ended of itself."""
        if gone.is_set():
            return Stopped()
        if self._pipe is None or not self._process.is_alive():
            self.kill()
            failed = self._start(gone)
            if failed is not None:
                return failed
        try:
            self._talk().send(order)
        except OSError:
            return self._buried(begun=False)
        return self._conversation(tell, gone)

    def _start(self, gone: threading.Event) -> Failed | Stopped | None:
        # Spawned, never forked: neither torch's nor our own threads survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=worker.serve, args=(theirs, self._idle_s), daemon=True
        )
        self._process.start()
        theirs.close()
        deadline = time.monotonic() + _START_S
        while not self._talk().poll(_LOOK_S):
            if gone.is_set() or time.monotonic() > deadline:
                self.kill()
                return Stopped() if gone.is_set() else Failed("died", "its process did not start")
        try:
            ready = self._talk().recv()
        except (EOFError, OSError):
            return Failed("died", f"its process could not start ({_how(self.kill())})")
        assert isinstance(ready, Ready)
        return None

    def _conversation(self, tell: Tell, gone: threading.Event) -> End | None:
        begun = False
        deadline: float | None = None
        while True:
            if gone.is_set() and deadline is None:
                deadline = time.monotonic() + self._stop_s
                self._send_stop()
            if deadline is not None and time.monotonic() > deadline:
                self.kill()
                return Stopped()
            try:
                if not self._talk().poll(_LOOK_S):
                    continue
                message = self._talk().recv()
            except (EOFError, OSError):
                return self._buried(begun=begun)
            if isinstance(message, Progress | Preview):
                tell(message)
            elif isinstance(message, Made | Failed | Stopped):
                return message
            else:
                begun = begun or isinstance(message, Begun)

    def _send_stop(self) -> None:
        try:
            self._talk().send(Stop())
        except OSError:
            return  # it is gone, which the next read tells

    def _buried(self, *, begun: bool) -> Failed | None:
        status = self.kill()
        if status == 0 and not begun:
            return None
        return Failed("died", f"its process died ({_how(status)})")

    def _talk(self) -> Connection[Any, Any]:
        assert self._pipe is not None
        return self._pipe


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        return f"killed by signal {-status}"
    return f"exit {status}"
