"""Bring a database to this version's schema, never past it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DatabaseError

from maquette.core.errors import Conflict, DatabaseTooNew, StorageUnavailable
from maquette.db.engine import is_sqlite, prepare_sqlite

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0005"
"""The revision that this version's code is written for; a test keeps it equal to Alembic's."""

Status = Literal["absent", "current", "behind"]


def _connect(url: str) -> Engine:
    parsed = make_url(url)
    if not is_sqlite(url):
        return create_engine(parsed.set(drivername="postgresql+psycopg"))
    engine = create_engine(parsed.set(drivername="sqlite"))
    event.listen(engine, "connect", prepare_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def revision(url: str) -> str | None:
    """Return the schema's revision; None where there is no schema yet."""
    path = make_url(url).database
    if is_sqlite(url) and not (path and Path(path).exists()):
        return None
    engine = _connect(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except DatabaseError as error:
        raise StorageUnavailable(
            f"The database {url_words(url)} cannot be opened ({error.orig}). Nothing was changed. "
            "Restore it from a backup, or name another one."
        ) from error
    finally:
        engine.dispose()


def url_words(url: str) -> str:
    """Name a database without its password."""
    parsed = make_url(url)
    return repr(parsed.database if is_sqlite(url) else parsed.render_as_string())


def status(url: str) -> Status:
    """Compare with this version; raise `DatabaseTooNew` where a newer one has been here."""
    found = revision(url)
    if found is None:
        return "absent"
    if found == HEAD:
        return "current"
    if found > HEAD:
        raise DatabaseTooNew(
            f"The database has schema {found}, this version of Maquette knows {HEAD}. "
            "Nothing was changed. Install the newer version, or set MAQUETTE_HOME elsewhere."
        )
    return "behind"


def ensure(url: str) -> None:
    """Create the schema where there is none; an older one is upgraded by a person's word alone."""
    state = status(url)
    if state == "absent":
        migrate(url)
    elif state == "behind":
        raise Conflict(
            f"The database {url_words(url)} is of an older version. `maquette db migrate` upgrades "
            "the one of MAQUETTE_HOME or MAQUETTE_DATABASE_URL and keeps a backup; nothing was "
            "changed."
        )


def migrate(url: str) -> Path | None:
    """Create or upgrade the schema; return the backup made of an older SQLite database."""
    from alembic import command  # noqa: PLC0415 - a quarter of a second, rarely needed

    state = status(url)
    backup = _back_up(url) if state == "behind" and is_sqlite(url) else None
    if is_sqlite(url):
        Path(make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = _connect(url)
    try:
        with engine.begin() as connection:
            config = configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
    return backup


def configuration() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _back_up(url: str) -> Path:
    source = Path(make_url(url).database or "")
    target = _new_file(source.with_suffix(f".before-{HEAD}.db"))
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
    return target


def _new_file(wanted: Path) -> Path:
    """Make an empty file that was not there: an earlier backup is never written over."""
    path, number = wanted, 2
    while True:
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            path = wanted.with_name(f"{wanted.stem}-{number}.db")
            number += 1
        else:
            return path
