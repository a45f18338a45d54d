"""The storage extension point: immutable objects by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NewType

from maquette.core.errors import BadParameter
from maquette.core.requests import Digest

Key = NewType("Key", str)
"""`objects/<sha256[:2]>/<sha256>` or `replies/<attempt>`; ASCII, no `..`, at most 512 long."""


def object_key(digest: Digest) -> Key:
    return Key(f"objects/{digest[:2]}/{digest}")


def reply_key(attempt_id: str) -> Key:
    return checked_key(f"replies/{attempt_id}")


def checked_key(text: str) -> Key:
    """Refuse a key that could leave the store."""
    parts = text.split("/")
    plain = text.isascii() and len(text) <= 512 and "\\" not in text and "\0" not in text
    if not plain or any(part in ("", ".", "..") for part in parts):
        raise BadParameter(f"{text!r} cannot be a key of the store.")
    return Key(text)


@dataclass(frozen=True)
class Stored:
    """What is under a key."""

    key: Key
    size_bytes: int


class Storage(ABC):
    """Write-once objects. A key is never overwritten with other bytes."""

    id: ClassVar[str]

    @abstractmethod
    def __init__(self, root: Path) -> None:
        """Open the store of the project whose private folder is `root`."""

    @abstractmethod
    async def put(self, key: Key, data: bytes) -> Stored:
        """All or nothing, durable on return; putting a key that exists is a no-op.

        Only an object that was cut short is written again, by the bytes that it is named after.
        """

    @abstractmethod
    async def read(self, key: Key) -> bytes:
        """Raise `ObjectNotFound` where there is none."""

    @abstractmethod
    async def head(self, key: Key) -> Stored:
        """Raise `ObjectNotFound` where there is none."""

    @abstractmethod
    async def delete(self, key: Key) -> None:
        """Deleting what is gone is fine."""

    def local_path(self, key: Key) -> Path | None:
        """Return where the object's file lies on this machine, for stores that keep files."""
        return None

    @abstractmethod
    def walk(self, prefix: str) -> AsyncIterator[Stored]:
        """List the objects whose key begins with `prefix`, in order."""
