"""LAB-23: `kill -9` in the middle of a sync loses nothing: the next one completes it."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

import pytest

from maquette.core.bucket import Bucket
from maquette.services import mirror
from maquette.testing.s3_server import KEYS, S3Server
from tests.conftest import Opener
from tests.storage.conftest import contents, keys_in, mirrored, write
from tests.storage.test_mirror import files_below, part_of

FILES = 240
_DEADLINE_S = 120
COMMAND = [sys.executable, "-c", "from maquette.cli import main; main()", "project", "sync-s3"]


@pytest.mark.parametrize("after", [1, 60])
async def test_a_sync_that_is_killed_is_completed_by_the_next(
    open_studio: Opener,
    root: Path,
    bucket: Bucket,
    s3_server: S3Server,
    tmp_path: Path,
    after: int,
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        for number in range(FILES):
            write(root / f"scenes/{number:03}.bin", os.urandom(40_000))
        write(root / "scenes/large.bin", os.urandom(20 * 1024 * 1024))
    client = part_of(s3_server, bucket)
    environment = {**os.environ, **KEYS, "MAQUETTE_HOME": str(tmp_path / "home")}
    sync = await asyncio.create_subprocess_exec(*COMMAND, "demo", env=environment, stdout=DEVNULL)
    async with asyncio.timeout(_DEADLINE_S):
        while len(await keys_in(client)) < after:
            assert sync.returncode is None
        sync.kill()
        assert await sync.wait() < 0
    before = await contents(client)
    assert after <= len(before) < FILES, "it was killed in the middle"
    whole = files_below(root)
    assert {name: whole[name] for name in before} == before, "no object is half a file"
    async with open_studio() as studio:
        told = await mirror.sync(studio, "demo", root)
    assert told.complete
    assert told.skipped >= len(before)
    assert await contents(client) == whole
