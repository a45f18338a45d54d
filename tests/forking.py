"""Children that may die, of a parent that imports everything: each takes a fraction of a second."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from importlib import import_module

from sqlalchemy.orm import configure_mappers


def in_child(act: Callable[[], int]) -> int:
    """Fork, act, leave with the status that `act` returns; return the child's wait status.

    What a child that lives had to import is imported here too, so that the next one need not.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = act()
            os.write(writing, " ".join(sys.modules.keys() - _KNOWN).encode())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as told:
        names = told.read().split()
    _, status = os.waitpid(child, 0)
    _learn(names)
    return status


_KNOWN: set[str] = set()


def _learn(names: Collection[str]) -> None:
    if not names or _KNOWN.issuperset(names):
        return
    for name in names:
        with suppress(ImportError):
            import_module(name)
    _KNOWN.update(names)
    configure_mappers()
    gc.collect()
    gc.freeze()
