"""The rows of an archive: each checked before one of them is written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, cast

from sqlalchemy import JSON, BigInteger, Boolean, CheckConstraint, Column, Integer, String

from maquette.core import archive
from maquette.core.archive import ArchiveManifest
from maquette.core.errors import ArchiveDamaged
from maquette.core.states import InstructionState
from maquette.db import portable
from maquette.db.base import Moment
from maquette.db.portable import Carried, Row
from maquette.folders import PRIVATE

_HEX = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_IDS = {
    "runs": re.compile(r"\d{8}-\d{6}-[0-9a-f]{4,8}", re.ASCII),
    "run_jobs": re.compile(r"\d{8}-\d{6}-[0-9a-f]{4,8}-\d{3,}", re.ASCII),
}
"""Ids become names of files and folders, so they look like ours: the others by `_ID`."""
_LISTED = re.compile(r"(\w+) IN \('(.+)'\)")
_BELOW_ZERO = frozenset({"priority"})
_MEDIA_TYPES = frozenset({"media_type", "audio_media_type"})
_DEEPEST = 100


@dataclass
class Arrived:
    """An archive that is whole; its tables lie in a folder."""

    manifest: ArchiveManifest
    folder: Path
    ids: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By table, in the order of the archive."""
    others: dict[str, str] = field(default_factory=dict[str, str])
    """By member, what each of the other files is called."""
    shown: dict[str, str] = field(default_factory=dict[str, str])
    """By name in the folders, the digest of what it shows."""

    def rows(self, carried: Carried) -> Iterator[Row]:
        """Yield a table's rows as the archive has them."""
        path = self.folder / f"{carried.name}.jsonl"
        if path.exists():
            with path.open("rb") as file:
                while text := file.readline():
                    yield json.loads(text)


class Rows:
    """One pass over all rows: their members, their types, and what they refer to."""

    def __init__(
        self,
        arrived: Arrived,
        objects: Mapping[str, int],
        damaged: Callable[[str], ArchiveDamaged],
    ) -> None:
        self._arrived = arrived
        self._sizes = objects
        self._known = objects.keys() | set(arrived.manifest.missing)
        self._damaged = damaged
        self._ids: dict[str, set[str]] = {}
        self._pictures: dict[str, str] = {}
        """By asset, the digest."""

    def check(self) -> None:
        for carried in portable.CARRIED:
            self._ids[carried.name] = set()
            count = 0
            for row in self._lines(carried):
                self._check_row(carried, row)
                count += 1
            if count != self._arrived.manifest.tables.get(carried.name, 0):
                self._fail(f"it has not as many {carried.name} as its manifest says")
            if carried.key is not None:
                self._arrived.ids[carried.name] = sorted(self._ids[carried.name])
        if self._ids["projects"] != {self._arrived.manifest.project.id}:
            self._fail("its project is not the one that its manifest names")

    def _lines(self, carried: Carried) -> Iterator[Row]:
        path = self._arrived.folder / f"{carried.name}.jsonl"
        if not path.exists():  # an older archive knew no such table
            return
        with path.open("rb") as file:
            while text := file.readline(archive.LONGEST_LINE_BYTES):
                if not text.endswith(b"\n"):
                    self._fail(f"a row of {carried.name} is too long or cut short")
                row = parsed(text, self._fail)
                if not isinstance(row, dict):
                    self._fail(f"a row of {carried.name} is no row")
                yield row

    def _check_row(self, carried: Carried, row: Row) -> None:
        columns = {one.name: one for one in carried.columns()}
        if row.keys() - columns.keys():
            self._fail(f"a row of {carried.name} has members that are unknown here")
        for name, column in columns.items():
            given = name in row
            if not given and not column.nullable and column.default is None:
                self._fail(f"a row of {carried.name} lacks {name!r}")
            if given and not _fits(column, row[name]):
                self._fail(f"a row of {carried.name} has a {name!r} that cannot be")
            goal = portable.target(column)
            other = row.get(name)
            if goal is not None and other is not None and other not in self._ids[goal]:
                self._fail(f"a row of {carried.name} refers to {goal} that are not in it")
        self._check_bytes(carried, row)
        if carried.key is not None:
            own = row[carried.key.name]
            if not _IDS.get(carried.name, _ID).fullmatch(own):
                self._fail(f"a row of {carried.name} has an id that cannot be")
            if own in self._ids[carried.name]:
                self._fail(f"two rows of {carried.name} have one id")
            self._ids[carried.name].add(own)

    def _check_bytes(self, carried: Carried, row: Row) -> None:
        """See that every digest is one and its bytes are here, or known to be missing."""
        column = portable.DIGESTS.get(carried.name)
        digest = None if column is None else row.get(column)
        if digest is not None and (not _HEX.fullmatch(digest) or digest not in self._known):
            self._fail(f"the bytes of {carried.name} {digest!r} are not in it")
        if carried.name == "blobs" and row["size_bytes"] != self._sizes.get(
            row["digest"], row["size_bytes"]
        ):
            self._fail(f"the bytes {digest!r} are not as many as its row says")
        if carried.name == "assets":
            self._pictures[row["id"]] = row["digest"]
        if carried.name == "files":
            if not is_plain(row["path"]):
                self._fail(f"{row['path']!r} is no plain name below a root")
            self._arrived.shown[row["path"]] = self._pictures[row["asset_id"]]

    def _fail(self, why: str) -> NoReturn:
        raise self._damaged(why)


def parsed(data: bytes, fail: Callable[[str], NoReturn]) -> Any:
    """Read JSON that a stranger wrote: no NaN, no endless nesting, no text that is none."""

    def refused(word: str) -> NoReturn:
        fail(f"{word} is no number")

    try:
        found = json.loads(data, parse_constant=refused)
    except (ValueError, RecursionError):
        fail("a document in it is no JSON")
    if not _is_sound(found):
        fail("a document in it holds what cannot be stored")
    return found


def _is_sound(value: Any, depth: int = 0) -> bool:
    if depth > _DEEPEST:
        return False
    if isinstance(value, str):
        return is_text(value)
    children: list[Any] = []
    if isinstance(value, list):
        children = cast("list[Any]", value)
    elif isinstance(value, dict):
        document = cast("dict[str, Any]", value)
        children = [*document, *document.values()]
    return all(_is_sound(one, depth + 1) for one in children)


def is_text(value: str) -> bool:
    """Say whether both databases can keep a text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _fits(column: Column[Any], value: Any) -> bool:
    """Say whether a value can stand in a column."""
    kind = column.type
    if value is None:
        return bool(column.nullable)
    if isinstance(kind, Moment):
        return isinstance(value, str) and moment(value) is not None
    if isinstance(kind, JSON):
        return isinstance(value, dict | list)
    if isinstance(kind, Boolean):
        return isinstance(value, bool)
    if isinstance(kind, Integer):
        bits = 63 if isinstance(kind, BigInteger) else 31
        whole = isinstance(value, int) and not isinstance(value, bool)
        least = -(2**bits) if column.name in _BELOW_ZERO else 0
        return whole and least <= value < 2**bits
    assert isinstance(kind, String), f"{column} is of a kind that no archive holds"
    short = isinstance(value, str) and (kind.length is None or len(value) <= kind.length)
    return short and _is_word(column, value)


def _is_word(column: Column[Any], value: str) -> bool:
    """Say whether a column allows a text."""
    if column.name in _MEDIA_TYPES:
        return _MEDIA_TYPE.fullmatch(value) is not None
    words = _words(column)
    return words is None or value in words


def _words(column: Column[Any]) -> frozenset[str] | None:
    """Return the words that a column may have, where its table lists them."""
    for one in column.table.constraints:
        found = _LISTED.fullmatch(str(one.sqltext)) if isinstance(one, CheckConstraint) else None
        if found is not None and found[1] == column.name:
            return frozenset(found[2].split("', '"))
    is_event = column.name == "state" and column.table.name == "agent_instruction_events"
    return frozenset(InstructionState) if is_event else None


def moment(text: str) -> datetime | None:
    """Return an aware time, or None where the text is none, or none that UTC has."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def is_plain(path: str) -> bool:
    """Say whether a name stays below the root and out of the store, on every system."""
    parts = path.split("/")
    plain = is_text(path) and "\\" not in path and ":" not in parts[0]
    if not plain or any(part in ("", ".", "..") for part in parts):
        return False
    return parts[0].casefold() != PRIVATE
