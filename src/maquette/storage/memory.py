"""Objects in a dictionary: for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from maquette.core.errors import ObjectNotFound
from maquette.core.storage import Key, Storage, Stored, checked_key


class MemoryStorage(Storage):
    """Forgets everything when the process ends."""

    id = "memory"

    def __init__(self, root: Path) -> None:
        self._objects: dict[Key, bytes] = {}

    async def put(self, key: Key, data: bytes) -> Stored:
        return Stored(key, len(self._objects.setdefault(checked_key(key), data)))

    async def read(self, key: Key) -> bytes:
        try:
            return self._objects[checked_key(key)]
        except KeyError:
            raise ObjectNotFound(f"No object is called {key!r}.") from None

    async def head(self, key: Key) -> Stored:
        return Stored(key, len(await self.read(key)))

    async def delete(self, key: Key) -> None:
        self._objects.pop(checked_key(key), None)

    async def walk(self, prefix: str) -> AsyncIterator[Stored]:
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield Stored(key, len(self._objects[key]))
