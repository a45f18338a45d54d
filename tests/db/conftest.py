"""Fresh databases of both kinds: a copy of one that was migrated once."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.engine import make_url

from maquette.db import migrate
from maquette.db.engine import Database, sqlite_url

BOTH = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "app.db"
    migrate.migrate(sqlite_url(path))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    name = f"template_{uuid4().hex}"
    on_server(postgres_url, f"CREATE DATABASE {name}")
    migrate.migrate(named(postgres_url, name))
    return name


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "empty.db")
        return
    server: str = request.getfixturevalue("postgres_url")
    with _created(server, "template0") as url:
        yield url


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of this version, without any row."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "app.db")
        yield sqlite_url(tmp_path / "app.db")
        return
    server: str = request.getfixturevalue("postgres_url")
    with _created(server, request.getfixturevalue("postgres_template")) as fresh:
        yield fresh


@pytest.fixture
async def db(url: str) -> AsyncGenerator[Database]:
    database = Database(url)
    yield database
    await database.close()


class _created:  # noqa: N801 - reads as a word
    """A Postgres database that is dropped at the end."""

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._name = f"test_{uuid4().hex}"
        self._template = template

    def __enter__(self) -> str:
        on_server(self._server, f"CREATE DATABASE {self._name} TEMPLATE {self._template}")
        return named(self._server, self._name)

    def __exit__(self, *_error: object) -> None:
        on_server(self._server, f"DROP DATABASE {self._name} WITH (FORCE)")


def named(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def on_server(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())
