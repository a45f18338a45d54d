"""The built-in stores, against the contract that plugins inherit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from maquette.core.storage import Key, Storage
from maquette.storage.local import LocalStorage
from maquette.storage.memory import MemoryStorage
from maquette.storage.s3 import S3Storage
from maquette.testing.contracts import StorageContract
from maquette.testing.s3_server import S3Server

ONE = Key("objects/aa/one")


class TestLocalStorage(StorageContract):
    """Files below one folder."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return LocalStorage(tmp_path / "store")

    def test_objects_are_read_only(self, storage: Storage) -> None:
        """D3: nobody changes a stored picture unawares."""
        asyncio.run(storage.put(ONE, b"bytes"))
        path = storage.local_path(ONE)
        assert path is not None and path.stat().st_mode & 0o222 == 0

    def test_another_process_reads_them(self, storage: Storage, tmp_path: Path) -> None:
        asyncio.run(storage.put(ONE, b"bytes"))
        assert asyncio.run(LocalStorage(tmp_path / "store").read(ONE)) == b"bytes"


class TestMemoryStorage(StorageContract):
    """A dictionary."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return MemoryStorage(tmp_path)


class TestS3Storage(StorageContract):
    """A bucket of a real S3 server."""

    @pytest.fixture
    def storage(self, tmp_path: Path, s3_server: S3Server) -> Storage:
        async def owner(_private: Path) -> str:
            return "some-project"

        return S3Storage(tmp_path, s3_server.client(s3_server.bucket("studio")), owner)
