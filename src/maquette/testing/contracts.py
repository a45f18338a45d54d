"""Contract suites for plugin authors: subclass one, supply its fixtures, inherit the tests.

The product's own plugins run the same suites, so a plugin that passes is as good as a built-in
one. Needs pytest; pytest collects a subclass whose name begins with `Test`::

    class TestBucket(StorageContract):
        @pytest.fixture
        def storage(self, tmp_path):
            return BucketStorage(tmp_path)

To see a failure's values, let pytest rewrite the asserts: in your `conftest.py`, call
`pytest.register_assert_rewrite` with `maquette.testing.contracts`,
`maquette.testing.operation_contract` and `maquette.testing.provider_contract`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from maquette.core.errors import BadParameter, ObjectNotFound
from maquette.core.storage import Key, Storage, Stored
from maquette.jobs.engine import Engine
from maquette.testing.operation_contract import FixedWork, OperationContract
from maquette.testing.provider_contract import FakeRun, ProviderContract, RequestFor

__all__ = [
    "EngineContract",
    "FakeRun",
    "FixedWork",
    "NewEngine",
    "OperationContract",
    "ProviderContract",
    "RequestFor",
    "StorageContract",
]

R = TypeVar("R")

ONE = Key("objects/aa/one")
UNSAFE = ("", "/", "/x", "../x", "objects/../../x", "objects//x", "objects/./x", "a\\b", "x\0", "é")


class StorageContract:
    """What every `Storage` promises.

    Fixtures: `storage`, an empty store.
    """

    def test_reads_back_what_it_stored(self, storage: Storage) -> None:
        assert asyncio.run(storage.put(ONE, b"bytes")) == Stored(ONE, 5)
        assert asyncio.run(storage.read(ONE)) == b"bytes"
        assert asyncio.run(storage.head(ONE)) == Stored(ONE, 5)

    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, None), (0, 3), (7, 300_000), (299_999, None), (5, 5), (400_000, None)],
    )
    def test_streams_any_part_in_small_pieces(
        self, storage: Storage, start: int, end: int | None
    ) -> None:
        data = bytes(range(256)) * 1200
        asyncio.run(storage.put(ONE, data))
        pieces = asyncio.run(_pieces(storage, start, end))
        assert b"".join(pieces) == data[start:end]
        assert all(0 < len(piece) <= 256 * 1024 for piece in pieces)

    def test_streaming_what_is_absent_says_so(self, storage: Storage) -> None:
        for end in (None, 2):
            with pytest.raises(ObjectNotFound, match="objects/aa/one"):
                asyncio.run(_pieces(storage, 0, end))

    @pytest.mark.parametrize("size_bytes", [0, 5, 9 * 1024 * 1024])
    def test_takes_a_file(self, storage: Storage, tmp_path: Path, size_bytes: int) -> None:
        path = tmp_path / "a-file"
        path.write_bytes(b"\x07" * size_bytes)
        for _ in range(2):
            assert asyncio.run(storage.put_file(ONE, path)) == Stored(ONE, size_bytes)
        assert asyncio.run(storage.read(ONE)) == path.read_bytes()

    def test_a_file_never_overwrites(self, storage: Storage, tmp_path: Path) -> None:
        path = tmp_path / "a-file"
        path.write_bytes(b"\x07" * (9 * 1024 * 1024))
        asyncio.run(storage.put(ONE, b"one"))
        asyncio.run(storage.put_file(ONE, path))
        assert asyncio.run(storage.read(ONE)) == b"one"

    def test_a_signed_address_is_an_address(self, storage: Storage) -> None:
        asyncio.run(storage.put(ONE, b"bytes"))
        url = asyncio.run(storage.signed_url(ONE, 60, "image/png"))
        assert url is None or url.startswith(("http://", "https://"))

    def test_stores_nothing_at_all(self, storage: Storage) -> None:
        asyncio.run(storage.put(ONE, b""))
        assert asyncio.run(storage.read(ONE)) == b""

    @pytest.mark.parametrize("other", [b"two", b"longer", b""])
    def test_never_overwrites(self, storage: Storage, other: bytes) -> None:
        asyncio.run(storage.put(ONE, b"one"))
        asyncio.run(storage.put(ONE, other))
        assert asyncio.run(storage.read(ONE)) == b"one"

    def test_many_at_once_store_it_once(self, storage: Storage) -> None:
        async def crowd() -> bytes:
            await asyncio.gather(*(storage.put(ONE, b"bytes") for _ in range(16)))
            return await storage.read(ONE)

        assert asyncio.run(crowd()) == b"bytes"
        assert asyncio.run(_listed(storage, "")) == [Stored(ONE, 5)]

    def test_an_absent_object_is_said_to_be_absent(self, storage: Storage) -> None:
        with pytest.raises(ObjectNotFound, match="objects/aa/one"):
            asyncio.run(storage.read(ONE))
        with pytest.raises(ObjectNotFound, match="objects/aa/one"):
            asyncio.run(storage.head(ONE))

    def test_deletes_and_forgives_what_is_gone(self, storage: Storage) -> None:
        asyncio.run(storage.put(ONE, b"bytes"))
        asyncio.run(storage.delete(ONE))
        asyncio.run(storage.delete(ONE))
        with pytest.raises(ObjectNotFound):
            asyncio.run(storage.head(ONE))

    def test_walks_a_prefix_in_order(self, storage: Storage) -> None:
        for name in ("replies/x", "objects/b/2", "objects/a/1", "objects/b/1", "objectsextra"):
            asyncio.run(storage.put(Key(name), name.encode()))
        found = asyncio.run(_listed(storage, "objects/"))
        assert [one.key for one in found] == ["objects/a/1", "objects/b/1", "objects/b/2"]
        assert [one.size_bytes for one in found] == [11, 11, 11]
        assert [one.key for one in asyncio.run(_listed(storage, "objects/b/2"))] == ["objects/b/2"]

    def test_walks_an_empty_store(self, storage: Storage) -> None:
        assert asyncio.run(_listed(storage, "objects/")) == []

    @pytest.mark.parametrize("key", UNSAFE)
    def test_refuses_a_key_that_could_leave_the_store(self, storage: Storage, key: str) -> None:
        with pytest.raises(BadParameter):
            asyncio.run(storage.put(Key(key), b"bytes"))

    def test_a_local_path_holds_the_bytes(self, storage: Storage) -> None:
        asyncio.run(storage.put(ONE, b"bytes"))
        path = storage.local_path(ONE)
        assert path is None or path.read_bytes() == b"bytes"


async def _pieces(storage: Storage, start: int, end: int | None) -> list[bytes]:
    return [piece async for piece in storage.stream(ONE, start, end)]


async def _listed(storage: Storage, prefix: str) -> list[Stored]:
    found: AsyncIterator[Stored] = storage.walk(prefix)
    return [one async for one in found]


NewEngine = Callable[[], Engine]
_DEADLINE_S = 30.0


class EngineContract:
    """What every durable `Engine` promises.

    Fixtures: `new_engine`, a function that opens an engine on the same, at first empty, storage:
    calling it again is what a new process does.
    """

    def test_calls_for_a_submitted_ticket(self, new_engine: NewEngine) -> None:
        assert self.told(self._calls(new_engine, ["run-001.0"])) == ["run-001"]

    def test_a_ticket_submitted_twice_is_called_once(self, new_engine: NewEngine) -> None:
        calls = self.told(self._calls(new_engine, ["run-001.0", "run-001.0"]))
        assert calls == ["run-001"]

    def test_another_round_is_called_again(self, new_engine: NewEngine) -> None:
        calls = self.told(self._calls(new_engine, ["run-001.0", "run-001.1"]))
        assert calls == ["run-001", "run-001"]

    def test_a_finished_ticket_is_not_called_after_a_relaunch(self, new_engine: NewEngine) -> None:
        self.told(self._calls(new_engine, ["run-001.0"]))
        assert self.told(self._calls(new_engine, ["run-001.0", "run-002.0"])) == ["run-002"]

    def test_unfinished_work_is_called_again_after_a_relaunch(self, new_engine: NewEngine) -> None:
        """The process went away in the middle: nobody has to submit it again."""

        async def leave() -> None:
            engine, begun = new_engine(), asyncio.Event()

            async def work(_job: str) -> None:
                begun.set()
                await asyncio.Event().wait()

            await engine.launch(work)
            await engine.submit("run-001.0")
            await asyncio.wait_for(begun.wait(), _DEADLINE_S)
            await engine.close()

        async def come_back() -> bool:
            engine, called = new_engine(), asyncio.Event()

            async def work(job: str) -> None:
                assert job == "run-001"
                called.set()

            await engine.launch(work)
            try:
                await asyncio.wait_for(called.wait(), _DEADLINE_S)
                await _ended(engine, "run-001.0")
            finally:
                await engine.close()
            return called.is_set()

        self.told(leave())
        assert self.told(come_back())

    def test_a_ticket_nobody_submitted_has_not_ended(self, new_engine: NewEngine) -> None:
        async def story() -> bool:
            engine = new_engine()
            await engine.launch(_nothing)
            try:
                return await engine.ended("run-009.0")
            finally:
                await engine.close()

        assert self.told(story()) is False

    def test_work_in_progress_has_not_ended(self, new_engine: NewEngine) -> None:
        async def story() -> tuple[bool, bool]:
            engine, begun, go_on = new_engine(), asyncio.Event(), asyncio.Event()

            async def work(_job: str) -> None:
                begun.set()
                await go_on.wait()

            await engine.launch(work)
            try:
                await engine.submit("run-001.0")
                await asyncio.wait_for(begun.wait(), _DEADLINE_S)
                during = await engine.ended("run-001.0")
                go_on.set()
                await _ended(engine, "run-001.0")
                return during, await engine.ended("run-001.0")
            finally:
                await engine.close()

        assert self.told(story()) == (False, True)

    async def _calls(self, new_engine: NewEngine, tickets: list[str]) -> list[str]:
        """Submit tickets, wait until all have ended, and return the jobs that were called."""
        calls: list[str] = []

        async def work(job: str) -> None:
            calls.append(job)

        engine = new_engine()
        await engine.launch(work)
        try:
            for ticket in tickets:
                await engine.submit(ticket)
            for ticket in tickets:
                await _ended(engine, ticket)
        finally:
            await engine.close()
        return calls

    @staticmethod
    def told(story: Coroutine[Any, Any, R]) -> R:
        return asyncio.run(story)


async def _nothing(_job: str) -> None:
    """Work that is done."""


async def _ended(engine: Engine, ticket: str) -> None:
    async with asyncio.timeout(_DEADLINE_S):
        while not await engine.ended(ticket):  # noqa: ASYNC110 - the port has nothing to wait on
            await asyncio.sleep(0.02)
