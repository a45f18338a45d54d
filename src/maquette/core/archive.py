"""What an archive of a project is made of: its members' names, its manifest, its limits.

A `.tar.gz` whose members lie in this order, each a plain file:

    manifest.json        what follows, and how much of it
    tables/<table>.jsonl one row a line, tables in the order in which they refer to each other
    names.jsonl          what the members below `files/` are called
    objects/<aa>/<sha>   the stored bytes, by their SHA-256
    runs/<run>.json …    run logs and contact sheets
    files/<number>       other files of the root, where they were asked for
    checksums.sha256     `<sha256>  <member>` of every member before it, for `sha256sum -c`
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION = 1
"""Of the archive; raised when an older Maquette could not read a newer one."""

MANIFEST = "manifest.json"
NAMES = "names.jsonl"
CHECKSUMS = "checksums.sha256"

MOST_MEMBERS = 1_000_000
LONGEST_LINE_BYTES = 32 * 1024 * 1024
LARGEST_TABLE_BYTES = 2 * 1024**3
LARGEST_MANIFEST_BYTES = 64 * 1024 * 1024
MOST_UNPACKED_TO_PACKED = 200
"""Beyond a first free part: what unpacks to more is a bomb and no project."""
FREE_PART_BYTES = 64 * 1024 * 1024

_MEMBER = re.compile(
    r"manifest\.json|checksums\.sha256|names\.jsonl|tables/[a-z_]{1,64}\.jsonl"
    r"|objects/(?P<two>[0-9a-f]{2})/(?P=two)[0-9a-f]{62}"
    r"|runs/[A-Za-z0-9][A-Za-z0-9_-]{0,39}(\.contact-sheet\.png|\.json)|files/[0-9]{7}"
)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]


class ArchivedProject(BaseModel):
    """Whose archive it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,36}$")]
    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    name: Annotated[str, Field(max_length=1000)]


class ArchiveManifest(BaseModel):
    """The first member: what follows, so that nothing can be missing unnoticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["maquette-project"] = "maquette-project"
    version: Annotated[int, Field(ge=1)] = VERSION
    schema_revision: Annotated[str, Field(max_length=32)]
    """Of the database that it came from."""
    project: ArchivedProject
    tables: Annotated[dict[str, Count], Field(max_length=64)]
    """Rows by table."""
    objects: Count
    object_bytes: Count
    missing: list[Sha256] = []
    """Objects that rows name and the store did not have."""
    runs: Count
    """Members below `runs/`."""
    files: Count
    """Members below `files/`."""
    file_bytes: Count = 0


class OtherFile(BaseModel):
    """A file of the root that Maquette did not make, and the member that holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    member: Annotated[str, Field(pattern=r"^files/[0-9]{7}$")]
    path: Annotated[str, Field(min_length=1, max_length=4000)]


def is_member(name: str) -> bool:
    """Say whether an archive may hold something of that name."""
    return _MEMBER.fullmatch(name) is not None


def table_member(table: str) -> str:
    return f"tables/{table}.jsonl"
