"""The durable engine on SQLite, against its contract; kill -9 is in `tests/jobs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from maquette.db.engine import sqlite_url
from maquette.jobs.dbos_engine import DbosEngine
from maquette.testing.contracts import EngineContract, NewEngine


class TestDbosEngine(EngineContract):
    """D1."""

    @pytest.fixture
    def new_engine(self, tmp_path: Path) -> NewEngine:
        return lambda: DbosEngine(sqlite_url(tmp_path / "app.db"), tmp_path / "engine.db")
