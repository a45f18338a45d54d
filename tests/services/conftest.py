"""Runs on the scripted provider, begun and worked in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pytest

from maquette.db import assets
from maquette.db.tables import Asset, Project
from maquette.imaging import png
from maquette.services import projects
from maquette.services.studio import Studio
from tests.jobs.conftest import Begin, begin, see

__all__ = ["Begin", "begin", "made_in", "noise", "see"]


def noise(seed: int = 0, *, height_px: int = 24, width_px: int = 32) -> bytes:
    """Return a PNG that no guard objects to."""
    rng = np.random.default_rng(seed)
    return png.write(rng.integers(0, 256, (height_px, width_px, 3), np.uint8))


async def made_in(studio: Studio, slug: str = "demo") -> Sequence[tuple[str, Asset]]:
    """Return the shown files of a project with their assets."""
    project = await projects.find(studio, slug)
    async with studio.shop.db.read() as session:
        return [(file.path, asset) for file, asset in await assets.files(session, project.id)]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """One picture outside of every project."""
    path = tmp_path / "given.png"
    path.write_bytes(noise(9))
    return path


async def project_of(studio: Studio, slug: str = "demo") -> Project:
    return await projects.find(studio, slug)


@pytest.fixture
def fresh_postgres(postgres_url: str) -> str:
    """An empty database on the Postgres server."""
    name = f"services_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    head, _, tail = postgres_url.partition("/postgres?")
    return f"{head}/{name}?{tail}"
