"""Reading an archive whole before anything of it is taken in: every member, then every row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from maquette.core import archive
from maquette.core.archive import ArchiveManifest, OtherFile, table_member
from maquette.db import portable
from maquette.services.arrived import Arrived, Rows, is_plain, parsed
from maquette.services.portable import Member, Unpacker, unpacked

_OTHERS: TypeAdapter[list[OtherFile]] = TypeAdapter(list[OtherFile])


def read(path: Path, folder: Path) -> Arrived:
    """Check the whole archive, putting its tables into a folder; else raise `ArchiveDamaged`."""
    with unpacked(path) as unpacker:
        members = _Members(unpacker, folder)
        members.read()
        arrived = Arrived(members.manifest, folder, others=members.others)
        Rows(arrived, members.objects, unpacker.damaged).check()
    return arrived


class _Members:
    """One pass over all members: their order, their digests, their number."""

    def __init__(self, unpacker: Unpacker, folder: Path) -> None:
        self._unpacker = unpacker
        self._folder = folder
        self._sums: dict[str, str] = {}
        self._manifest: ArchiveManifest | None = None
        self.objects: dict[str, int] = {}
        """Their sizes, by digest."""
        self.others: dict[str, str] = {}
        self._object_bytes = self._file_bytes = self._runs = self._files = 0

    @property
    def manifest(self) -> ArchiveManifest:
        if self._manifest is None:
            self._fail("it has no manifest")
        return self._manifest

    def read(self) -> None:
        whole = False
        for member in self._unpacker.members():
            if whole or member.name in self._sums:
                self._fail(f"{member.name!r} is where it must not be")
            if (member.name == archive.MANIFEST) != (not self._sums):
                self._fail("its manifest is not its first member")
            if member.name == archive.CHECKSUMS:
                self._check_sums(self._unpacker.all(archive.LARGEST_MANIFEST_BYTES))
                whole = True
                continue
            self._sums[member.name] = self._take(member)
            if len(self._sums) > archive.MOST_MEMBERS:
                self._fail("it has too many members")
        if not whole:
            self._fail("its checksums are missing")
        self._check_counts()

    def _take(self, member: Member) -> str:
        """Check a member; return the SHA-256 of its bytes."""
        takers: dict[str, Callable[[Member], str]] = {
            archive.MANIFEST: lambda _: self._small(self._read_manifest),
            archive.NAMES: lambda _: self._small(self._read_names),
            "tables": self._table,
            "objects": self._object,
            "runs": self._run,
            "files": self._file,
        }
        return takers[member.name.partition("/")[0]](member)

    def _run(self, member: Member) -> str:
        self._runs += 1
        if not member.name.endswith(".json"):
            return self._hashed()
        return self._small(self._read_log)

    def _read_log(self, data: bytes) -> None:
        if not isinstance(self._parsed(data), dict):
            self._fail("a run log in it is none")

    def _file(self, member: Member) -> str:
        self._files += 1
        self._file_bytes += member.size_bytes
        if member.name not in self.others:
            self._fail(f"nothing says what {member.name!r} is called")
        return self._hashed()

    def _small(self, use: Callable[[bytes], None]) -> str:
        data = self._unpacker.all(archive.LARGEST_MANIFEST_BYTES)
        use(data)
        return hashlib.sha256(data).hexdigest()

    def _hashed(self) -> str:
        found = hashlib.sha256()
        for piece in self._unpacker.pieces():
            found.update(piece)
        return found.hexdigest()

    def _table(self, member: Member) -> str:
        table = Path(member.name).stem
        if table not in portable.BY_NAME or table not in self.manifest.tables:
            self._fail(f"{member.name!r} is unknown here; was it made by a newer Maquette")
        if member.size_bytes > archive.LARGEST_TABLE_BYTES:
            self._fail(f"{member.name!r} is too large")
        found = hashlib.sha256()
        with (self._folder / f"{table}.jsonl").open("xb") as file:
            for piece in self._unpacker.pieces():
                found.update(piece)
                file.write(piece)
        return found.hexdigest()

    def _object(self, member: Member) -> str:
        found = self._hashed()
        if found != member.name.rpartition("/")[2]:
            self._fail(f"{member.name!r} does not hold the bytes that it is named after")
        self.objects[found] = member.size_bytes
        self._object_bytes += member.size_bytes
        return found

    def _read_manifest(self, data: bytes) -> None:
        try:
            self._manifest = ArchiveManifest.model_validate_json(data)
        except ValidationError as error:
            self._fail(f"its manifest is wrong ({error.errors()[0]['msg']})")
        if self._manifest.version > archive.VERSION:
            self._fail("it was made by a newer Maquette, which must be installed first")

    def _read_names(self, data: bytes) -> None:
        try:
            rows = _OTHERS.validate_python([self._parsed(line) for line in data.splitlines()])
        except ValidationError as error:
            self._fail(f"its names are wrong ({error.errors()[0]['msg']})")
        self.others = {one.member: one.path for one in rows}
        paths = {one.path for one in rows}
        if len(self.others) != len(rows) or len(paths) != len(rows):
            self._fail("two of its files have one name")
        for path in paths:
            if not is_plain(path):
                self._fail(f"{path!r} is no plain name below a root")

    def _parsed(self, data: bytes) -> Any:
        return parsed(data, self._fail)

    def _check_sums(self, data: bytes) -> None:
        said = data.decode("ascii", "replace").splitlines()
        if said != [f"{digest}  {name}" for name, digest in self._sums.items()]:
            self._fail("its checksums do not fit its members")

    def _check_counts(self) -> None:
        told = self.manifest
        found = (
            len(self.objects),
            self._object_bytes,
            self._runs,
            self._files,
            self._file_bytes,
            {name for name in self._sums if name.startswith("tables/")},
            set(self.others),
        )
        wanted = (
            told.objects,
            told.object_bytes,
            told.runs,
            told.files,
            told.file_bytes,
            {table_member(name) for name in told.tables},
            {name for name in self._sums if name.startswith("files/")},
        )
        if found != wanted:
            self._fail("it does not hold what its manifest says")

    def _fail(self, why: str) -> NoReturn:
        raise self._unpacker.damaged(why)
