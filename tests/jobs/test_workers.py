"""The worker processes: limits in time and memory, and no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from maquette.core.errors import OperationCrashed, OperationTimedOut
from maquette.jobs.workers import PixelPool

PARENT = """
import asyncio, os, time
from maquette.jobs.workers import PixelPool

async def main():
    pool = PixelPool(workers=1)
    print(await pool.run(os.getpid), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
async def pool() -> AsyncGenerator[PixelPool]:
    pool = PixelPool(workers=1, timeout_s=2, memory_mb=512)
    yield pool
    await pool.close()


async def test_a_crash_fails_one_call_only(pool: PixelPool) -> None:
    """D8: the next call has a new worker."""
    with pytest.raises(OperationCrashed, match="died"):
        await pool.run(os._exit, 3)
    assert await pool.run(abs, -7) == 7


async def test_an_endless_call_is_stopped(pool: PixelPool) -> None:
    """D8."""
    began = time.monotonic()
    with pytest.raises(OperationTimedOut, match="2 s"):
        await pool.run(time.sleep, 60)
    assert time.monotonic() - began < 30
    assert await pool.run(abs, -7) == 7


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit on Windows")
async def test_a_worker_has_its_share_of_memory_only(pool: PixelPool) -> None:
    """D8: a bomb fails its own job."""
    with pytest.raises(OperationCrashed, match="memory"):
        await pool.run(bytearray, 4 << 30)
    assert await pool.run(abs, -7) == 7


def test_a_killed_parent_leaves_no_worker_behind(tmp_path: Path) -> None:
    """kill -9 of the studio: its workers end by themselves."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while _alive(worker):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
