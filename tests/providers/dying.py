"""Runs `maquette …` commands in forked children, each of which may be killed at a boundary.

A script of its own, told by lines of JSON what to run: it imports everything once, so that a
crash takes a fraction of a second. `{"argv": […], "kill_at": 7}` is answered by
`{"killed": true, "where": "before a put", "status": 0, "out": "…"}`.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests.forking import in_child
from tests.jobs.killing import (
    Boundaries,
    HastyEngine,
    ThreadPool,
    WatchedDatabase,
    WatchedFolders,
    WatchedStorage,
)

from maquette import bootstrap, cli
from maquette.jobs import dbos_engine


def patch(boundaries: Boundaries) -> None:
    """Let the command line's own objects pass the boundaries."""
    WatchedStorage.boundaries = WatchedFolders.boundaries = boundaries
    replaced: dict[str, Any] = {
        "Database": partial(WatchedDatabase, boundaries=boundaries),
        "PixelPool": ThreadPool,
        "Folders": WatchedFolders,
    }
    for name, value in replaced.items():
        setattr(bootstrap, name, value)
    real = bootstrap.registries

    def registries(settings: Any) -> Any:
        kinds, operations, storages = real(settings)
        storages.add({"watched": WatchedStorage})
        return kinds, operations, storages

    setattr(bootstrap, "registries", registries)  # noqa: B010 - as above
    dbos_engine.DbosEngine = HastyEngine
    boundaries.watch_commits()


def child(told: dict[str, Any], out: Path, trace: Path) -> int:
    """Be `maquette` until the end, or until the boundary."""
    with out.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["maquette", *told["argv"]]
    patch(Boundaries(told.get("kill_at"), trace))
    status = 1
    try:
        cli.main()
    except SystemExit as left:
        status = int(left.code or 0)
    sys.stdout.flush()
    return status


def main() -> None:
    folder = Path(sys.argv[1])
    out, trace = folder / "out", folder / "trace"
    for line in sys.stdin:
        told: dict[str, Any] = json.loads(line)
        trace.unlink(missing_ok=True)
        status = in_child(partial(child, told, out, trace))
        answer = {
            "killed": os.WIFSIGNALED(status),
            "where": trace.read_text() if trace.exists() else "",
            "status": os.waitstatus_to_exitcode(status),
            "out": out.read_text(),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
