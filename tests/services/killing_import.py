"""Import an archive in processes that kill themselves at boundaries; run by test_importing.

The first imports it whole, into `whole`; then every third boundary kills one, in `killed-<n>`. A
line of JSON tells how many boundaries there were, and then how each of the others ended.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from maquette import bootstrap
from maquette.db import events
from maquette.folders import Folders
from maquette.services import importing
from maquette.settings import load
from maquette.storage.local import LocalStorage
from tests.forking import in_child


def imported(home: Path, archive: str, slug: str, fatal: int) -> int:
    """Import; at the boundary of that number nothing more is done. Return how many there were."""
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
        async with bootstrap.open_studio(load(home=home)) as studio:
            await importing.import_archive(studio, Path(archive), slug=slug or None)

    asyncio.run(work())
    return reached


def act(folder: Path, archive: str, slug: str, fatal: int) -> int:
    """Be one process; a whole import writes down how many boundaries it passed."""
    reached = imported(folder / (f"killed-{fatal}" if fatal else "whole"), archive, slug, fatal)
    (folder / "boundaries").write_text(str(reached))
    return 0


def main(folder: Path, archive: str, slug: str) -> None:
    assert in_child(partial(act, folder, archive, slug, 0)) == 0
    boundaries = int((folder / "boundaries").read_text())
    endings = {
        fatal: os.waitstatus_to_exitcode(in_child(partial(act, folder, archive, slug, fatal)))
        for fatal in range(1, boundaries + 1, 3)
    }
    sys.stdout.write(json.dumps({"boundaries": boundaries, "endings": endings}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
