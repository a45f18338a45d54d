"""Import an archive in a process that kills itself at one boundary; run by test_importing."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maquette import bootstrap
from maquette.db import events
from maquette.folders import Folders
from maquette.services import importing
from maquette.settings import load
from maquette.storage.local import LocalStorage


def main(home: str, archive: str, slug: str, fatal: int) -> None:
    """Import; at the boundary of that number nothing more is done. Print how many there were."""
    reached = 0

    def boundary() -> None:
        nonlocal reached
        reached += 1
        if reached == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(owner: Any, name: str) -> None:
        """Make a boundary before and after each call."""
        plain: Callable[..., Any] = getattr(owner, name)

        def sync(*given: Any, **named: Any) -> Any:
            boundary()
            result = plain(*given, **named)
            boundary()
            return result

        async def asynchronous(*given: Any, **named: Any) -> Any:
            boundary()
            result = await plain(*given, **named)
            boundary()
            return result

        is_async = inspect.iscoroutinefunction(plain)
        setattr(owner, name, asynchronous if is_async else sync)

    for owner, name in (
        (Folders, "prepare"),
        (Folders, "claim"),
        (Folders, "place"),
        (Folders, "write"),
        (LocalStorage, "put"),
        (importing, "_insert"),
        (events, "write"),
    ):
        watched(owner, name)

    async def work() -> None:
        async with bootstrap.open_studio(load(home=Path(home))) as studio:
            await importing.import_archive(studio, Path(archive), slug=slug or None)

    asyncio.run(work())
    sys.stdout.write(f"{reached}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
