"""Rows of `maquette privacy …`: each on a person of its own."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4
from zipfile import ZipFile

from tests.cli.rows import Doing, Row

if TYPE_CHECKING:
    from tests.cli.conftest import Said, Workplace


def _with_person(words: str) -> Doing:
    """Make somebody called PERSON, then run a command line about them."""

    def made(place: Workplace) -> Said:
        name = f"p{uuid4().hex[:12]}"
        place.once("db init", lambda: place("db", "init"))
        with closing(sqlite3.connect(place.home / "app.db")) as books, books:
            books.execute(
                "INSERT INTO users (id, name, role, epoch, verified, created_at) "
                "VALUES (?, ?, 'creator', 0, 0, '2026-01-01 00:00:00')",
                (str(uuid4()), name),
            )
        return place(*shlex.split(words.replace("PERSON", name)))

    return made


def _erased(said: Said) -> bool:
    with closing(sqlite3.connect(said.place / "home" / "app.db")) as books:
        names = {row[0] for row in books.execute("SELECT name FROM users")}
    return said.status == 0 and said.words[2] not in names


def _is_written(said: Said) -> bool:
    path = said.place / "own.zip"
    if not path.exists() or said.status != 0:
        return False
    with ZipFile(path) as archive:
        return "account.json" in archive.namelist()


ROWS = (
    Row(
        "privacy export",
        "--output",
        _with_person("privacy export PERSON --output own.zip"),
        _with_person("privacy export PERSON"),
        _is_written,
    ),
    Row(
        "privacy erase",
        "--yes",
        _with_person("privacy erase PERSON --yes"),
        _with_person("privacy erase PERSON"),
        _erased,
    ),
    Row(
        "privacy erase",
        "--json",
        _with_person("privacy erase PERSON --json"),
        _with_person("privacy erase PERSON"),
        lambda said: said.is_json,
    ),
)
