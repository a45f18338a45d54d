"""Opening the installation for one command, and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from maquette.services.studio import Studio

T = TypeVar("T")


def with_studio(work: Callable[[Studio], Awaitable[T]]) -> T:
    """Open the studio, do the work, close it."""
    from maquette import bootstrap, settings  # noqa: PLC0415 - `--help` need not wait for it

    async def session() -> T:
        async with bootstrap.open_studio(settings.load()) as studio:
            return await work(studio)

    return asyncio.run(session())


def on_interrupt(first: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Let the first Ctrl-C end the run cleanly; the second leaves at once.

    After a second one a paid call may be left without its answer: its outcome is then unknown.
    """
    loop = asyncio.get_running_loop()
    pressed: list[asyncio.Task[None]] = []

    def interrupted() -> None:
        if pressed:
            if sys.stderr.isatty():
                sys.stderr.write("\x1b[?25h")  # the progress bar hid the cursor
                sys.stderr.flush()
            os._exit(130)
        pressed.append(loop.create_task(first()))

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP"):  # the terminal was closed
        numbers.append(signal.SIGHUP)
    for number in numbers:
        try:
            loop.add_signal_handler(number, interrupted)
        except NotImplementedError:  # Windows: no loop handlers there
            signal.signal(number, lambda _n, _f: loop.call_soon_threadsafe(interrupted))
