"""What every service works with; `bootstrap` builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maquette.jobs.engine import Engine
from maquette.jobs.workshop import Workshop


@dataclass(frozen=True)
class Studio:
    """An open installation."""

    shop: Workshop
    home: Path
    new_engine: Callable[[], Engine]

    @property
    def desk_lock(self) -> Path:
        """Whoever locks this file works all queued runs of the home."""
        return self.home / "desk.lock"
