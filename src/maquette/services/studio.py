"""What every service works with; `bootstrap` builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

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
        """Whoever locks this file works all queued runs of the database beside it."""
        url = make_url(self.shop.db.url)
        if self.shop.db.is_sqlite and url.database:
            return Path(url.database).with_suffix(".desk.lock")
        return self.home / "desk.lock"
