"""What the steps of a job work with; `bootstrap` builds it, tests build their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maquette.core.clock import Clock
from maquette.core.operation import Operation
from maquette.core.provider import Provider
from maquette.core.registry import Registry
from maquette.core.storage import Storage
from maquette.db.engine import Database
from maquette.folders import PRIVATE, Folders
from maquette.jobs.keys import Keys
from maquette.jobs.limits import Gates
from maquette.jobs.workers import PixelPool


@dataclass(frozen=True)
class Place:
    """One project's bytes and the folders that show them."""

    storage: Storage
    folders: Folders


@dataclass(frozen=True)
class Retries:
    """How often, and how patiently, a call that was not charged is made again."""

    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    longest_asked_s: float = 600.0
    """A provider that asks for more patience than this fails the job instead."""

    def wait_s(self, tried: int, asked_s: float | None) -> float:
        """Double each time; what the provider asks for wins where it is longer."""
        own = min(self.first_wait_s * 2 ** (tried - 1), self.longest_wait_s)
        return max(own, asked_s or 0.0)


@dataclass(frozen=True)
class Workshop:
    """Everything below a job."""

    db: Database
    clock: Clock
    providers: Registry[Provider]
    operations: Registry[Operation[Any]]
    pool: PixelPool
    open_storage: Callable[[Path], Storage]
    open_folders: Callable[[Path], Folders]
    keys: Callable[[str], Awaitable[Keys]]
    """(project id) -> what its calls are made with."""
    weights: Path
    """Where operations find their models."""
    rescue: Path
    """A folder elsewhere for paid replies that the project's disk cannot take."""
    retries: Retries = Retries()
    parallel_jobs: int = 4
    gates: Gates = field(default_factory=Gates)

    def place(self, root: str | Path) -> Place:
        folders = self.open_folders(Path(root))
        return Place(self.open_storage(folders.root / PRIVATE), folders)
