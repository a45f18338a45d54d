"""The migrations make exactly what the models say, on both databases."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CheckConstraint

from maquette import bootstrap
from maquette.core.errors import Conflict, DatabaseTooNew
from maquette.db import migrate
from maquette.db.engine import sqlite_url
from maquette.db.tables import Base
from maquette.settings import load
from tests.db.conftest import named, on_server


@contextmanager
def connected(url: str) -> Generator[Connection]:
    driver = "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"
    engine = create_engine(make_url(url).set(drivername=driver))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def checks_of(connection: Connection) -> set[tuple[str, str]]:
    found = inspect(connection)
    return {
        (table, str(check["name"]))
        for table in Base.metadata.tables
        for check in found.get_check_constraints(table)
    }


def definitions(connection: Connection) -> list[tuple[Any, ...]]:
    """Return what Postgres itself says of every constraint and index."""
    constraints = text(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace"
    )
    indexes = text(
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname='public'"
    )
    rows = [*connection.execute(constraints), *connection.execute(indexes)]
    own = ("alembic_version", "asset_words")
    return sorted(tuple(row) for row in rows if row[0] not in own)


def set_revision(url: str, revision: str) -> None:
    with connected(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :new"), {"new": revision})


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    """The index of words is SQL alone: no model stands behind it."""
    return not (kind == "table" and (name or "").startswith("asset_words"))


def test_the_head_is_alembics_head() -> None:
    assert ScriptDirectory.from_config(migrate.configuration()).get_heads() == [migrate.HEAD]


def test_migrations_and_models_are_equal(url: str) -> None:
    with connected(url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": _ours}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_every_check_of_the_models_is_in_the_database(url: str) -> None:
    """Alembic's comparison does not look at CHECKs."""
    wanted = {
        (table.name, str(check.name))
        for table in Base.metadata.tables.values()
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    with connected(url) as connection:
        assert checks_of(connection) == wanted


def test_migrated_and_created_databases_have_the_same_definitions(
    postgres_url: str, postgres_template: str
) -> None:
    """Alembic compares no CHECK's words and no partial index's condition; Postgres writes them."""
    on_server(postgres_url, "CREATE DATABASE from_models")
    with connected(named(postgres_url, "from_models")) as connection:
        Base.metadata.create_all(connection)
    with (
        connected(named(postgres_url, "from_models")) as created,
        connected(named(postgres_url, postgres_template)) as migrated,
    ):
        assert definitions(migrated) == definitions(created)
    on_server(postgres_url, "DROP DATABASE from_models WITH (FORCE)")


def test_an_empty_database_is_absent_until_it_is_migrated(empty_url: str) -> None:
    assert migrate.status(empty_url) == "absent"
    assert migrate.migrate(empty_url) is None
    assert migrate.status(empty_url) == "current"


def test_migrating_again_changes_nothing(url: str) -> None:
    migrate.migrate(url)
    assert migrate.revision(url) == migrate.HEAD


def test_asking_for_the_revision_creates_no_file(tmp_path: Path) -> None:
    assert migrate.revision(sqlite_url(tmp_path / "app.db")) is None
    assert not (tmp_path / "app.db").exists()


def test_a_newer_database_is_refused_untouched(url: str) -> None:
    set_revision(url, "9999")
    with pytest.raises(DatabaseTooNew, match=r"9999.*Install the newer version"):
        migrate.status(url)
    with pytest.raises(DatabaseTooNew):
        migrate.migrate(url)
    assert migrate.revision(url) == "9999"


def test_an_older_database_is_not_upgraded_unasked(url: str, tmp_path: Path) -> None:
    set_revision(url, "0000")
    settings = load(home=tmp_path / "home", database_url=url)
    with pytest.raises(Conflict, match="maquette db migrate"):
        bootstrap.prepare_database(settings)
    assert migrate.revision(url) == "0000"
