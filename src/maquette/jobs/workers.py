"""Worker processes for pixels: a crash, a bomb or an endless loop there fails one job."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

from maquette.core.errors import OperationCrashed, OperationTimedOut

P = ParamSpec("P")
R = TypeVar("R")


class PixelPool:
    """Runs picklable functions in spawned processes, each with a time and a memory limit.

    Spawned, never forked: Numba's threads do not survive a fork.
    """

    def __init__(self, *, workers: int = 2, timeout_s: float = 300, memory_mb: int = 6144) -> None:
        self._timeout_s = timeout_s
        self._pool = ProcessPool(
            max_workers=workers,
            context=multiprocessing.get_context("spawn"),
            initializer=_prepare_worker,
            initargs=(memory_mb,),
        )

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `work` returns; cancelling stops the worker at once."""
        return await self.run_patiently(1.0, work, *args, **kwargs)

    async def run_patiently(
        self, patience: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Do the same with `patience` times the usual limit."""
        timeout_s = self._timeout_s * patience
        future = self._pool.schedule(work, args=args, kwargs=kwargs, timeout=timeout_s)
        try:
            return await asyncio.wrap_future(future)
        except TimeoutError:
            raise OperationTimedOut(
                f"{work.__name__} was stopped after {timeout_s:g} s. Try a smaller picture, "
                "or raise MAQUETTE_WORKERS__TIMEOUT_S."
            ) from None
        except ProcessExpired as error:
            raise OperationCrashed(
                f"The worker process of {work.__name__} died (exit {error.exitcode}). "
                "The picture may be too large for MAQUETTE_WORKERS__MEMORY_MB."
            ) from None
        except MemoryError:
            raise OperationCrashed(
                f"{work.__name__} needs more memory than a worker may take. Try a smaller picture, "
                "or raise MAQUETTE_WORKERS__MEMORY_MB."
            ) from None

    async def close(self) -> None:
        self._pool.stop()
        await asyncio.to_thread(self._pool.join)


def _prepare_worker(memory_mb: int) -> None:
    # Ctrl-C reaches the whole group; what it means is the parent's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - POSIX only

        limit = memory_mb * 1024 * 1024
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or hard > limit:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _die_with_parent() -> None:
    """Leave no orphan behind when the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
