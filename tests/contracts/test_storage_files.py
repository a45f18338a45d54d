"""The local store takes files without holding them, and gives objects out in pieces."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from maquette.core.errors import ObjectNotFound
from maquette.core.requests import digest_of
from maquette.core.storage import Key, object_key
from maquette.storage.local import LocalStorage

ONE = Key("objects/aa/one")
BYTES = bytes(range(256)) * 4096


@pytest.fixture
def store(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store")


def scratch_file(tmp_path: Path, data: bytes = BYTES) -> Path:
    path = tmp_path / "store" / "tmp" / "mine.tmp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


async def read_all(store: LocalStorage, start: int = 0, end: int | None = None) -> list[bytes]:
    return [piece async for piece in store.stream(ONE, start, end)]


async def test_a_file_of_the_store_becomes_the_object_uncopied(
    store: LocalStorage, tmp_path: Path
) -> None:
    path = scratch_file(tmp_path)
    number = path.stat().st_ino
    assert (await store.put_file(ONE, path)).size_bytes == len(BYTES)
    found = store.local_path(ONE)
    assert found is not None
    assert (found.read_bytes(), found.stat().st_ino) == (BYTES, number)
    assert found.stat().st_mode & 0o222 == 0
    assert list(path.parent.iterdir()) == [path]


async def test_a_file_of_somebody_else_stays_theirs(store: LocalStorage, tmp_path: Path) -> None:
    path = tmp_path / "theirs.png"
    path.write_bytes(BYTES)
    await store.put_file(ONE, path)
    path.write_bytes(b"painted over")
    assert await store.read(ONE) == BYTES


async def test_an_object_that_is_there_is_not_written_again(
    store: LocalStorage, tmp_path: Path
) -> None:
    await store.put(ONE, b"first")
    await store.put_file(ONE, scratch_file(tmp_path))
    assert await store.read(ONE) == b"first"


async def test_an_object_that_was_cut_short_is_healed(store: LocalStorage, tmp_path: Path) -> None:
    key = object_key(digest_of(BYTES))
    await store.put(key, b"cut")
    await store.put_file(key, scratch_file(tmp_path))
    assert await store.read(key) == BYTES


async def test_many_files_at_once_are_one_object(store: LocalStorage, tmp_path: Path) -> None:
    path = scratch_file(tmp_path)
    await asyncio.gather(*(store.put_file(ONE, path) for _ in range(16)))
    assert await store.read(ONE) == BYTES
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (1, None), (300_000, 300_001), (5, 900_000), (7, 7)]
)
async def test_a_range_comes_in_pieces(store: LocalStorage, start: int, end: int | None) -> None:
    await store.put(ONE, BYTES)
    pieces = await read_all(store, start, end)
    assert b"".join(pieces) == BYTES[start:end]
    assert all(0 < len(piece) <= 256 * 1024 for piece in pieces)


async def test_an_absent_object_is_said_to_be_absent(store: LocalStorage) -> None:
    with pytest.raises(ObjectNotFound, match="objects/aa/one"):
        await read_all(store)
