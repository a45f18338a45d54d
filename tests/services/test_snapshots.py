"""Snapshots keep rows, outlive sweeping, and show their files again."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from sqlalchemy import update

from maquette.core.errors import AlreadyExists, ProjectBusy, SnapshotNotFound, StorageDamaged
from maquette.core.requests import Digest, digest_of
from maquette.core.storage import object_key
from maquette.db.tables import Run, Snapshot
from maquette.services import exporting, keeping, snapshots
from maquette.services.packing import line
from maquette.services.studio import Studio
from tests.conftest import Opener
from tests.services.conftest import Begin, made_in, see

DAY_S = 24 * 3600


def age(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - DAY_S
            os.utime(path, (then, then))


async def states(studio: Studio, root: Path) -> dict[str, str]:
    found = await snapshots.restore(studio, "demo", "first", root=root)
    return {one.path: one.state for one in found}


async def test_a_snapshot_is_listed_shown_and_deleted(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """LAB-21."""
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        made = await snapshots.create(studio, "demo", "first", root=root)
        assert (made.counts["runs"], made.counts["files"]) == (1, 2)
        with pytest.raises(AlreadyExists, match="another name"):
            await snapshots.create(studio, "demo", "first", root=root)
        second = await snapshots.create(studio, "demo", "second", root=root)
        assert await snapshots.show(studio, "demo", "first") == made
        assert await snapshots.show(studio, "demo", made.id[:8]) == made
        assert [one.name for one in await snapshots.listing(studio, "demo", 1, None)] == ["second"]
        assert await snapshots.listing(studio, "demo", 5, second.id) == [made]
        await snapshots.delete(studio, "demo", "first")
        with pytest.raises(SnapshotNotFound, match="There is no snapshot 'first'"):
            await snapshots.show(studio, "demo", "first")


async def test_sweeping_leaves_a_snapshot_until_it_is_deleted(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        made = await snapshots.create(studio, "demo", "first", root=root)
        path = root / ".maquette" / object_key(Digest(made.sha256))
        age(root / ".maquette")
        await keeping.sweep(studio, "demo", root, dry_run=False)
        assert path.is_file()
        await snapshots.delete(studio, "demo", "first")
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
        assert [one.key for one in swept] == [object_key(Digest(made.sha256))]
        assert not path.exists()


async def test_restoring_shows_what_was_there_and_archives_what_is(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        first = {path: asset.id for path, asset in await made_in(studio)}
        await snapshots.create(studio, "demo", "first", root=root)
        await see(studio, await begin(studio, candidates=2))
        newer = {path: asset.id for path, asset in await made_in(studio)}
        assert newer["outputs/coast.png"] != first["outputs/coast.png"]
        before = (root / "outputs/coast.png").read_bytes()
        (root / "outputs/dunes.png").unlink()
        restored = await snapshots.restore(studio, "demo", "first", root=root)
        after = dict(await made_in(studio))
        again = await states(studio, root)
        _, flaws = await keeping.verify(studio, "demo", root)
    told = {one.path: one for one in restored}
    assert told["outputs/coast.png"].state == "shown"
    kept = told["outputs/coast.png"].replaced
    assert kept is not None
    assert (root / kept).read_bytes() == before
    assert after[kept].id == newer["outputs/coast.png"]
    assert {path: after[path].id for path in first} == first
    for path in first:
        assert digest_of((root / path).read_bytes()) == after[path].digest
    assert "outputs/coast.c2.png" in after, "what came later stays"
    assert set(again.values()) == {"same"}
    assert flaws == []


async def test_what_was_deleted_for_good_is_told(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        await snapshots.create(studio, "demo", "first", root=root)
        found = dict(await made_in(studio))
        (root / ".maquette" / object_key(Digest(found["outputs/coast.png"].digest))).unlink()
        shows = {path: asset.digest for path, asset in found.items()}
        assert await states(studio, root) == {
            path: "gone" if digest == shows["outputs/coast.png"] else "same"
            for path, digest in shows.items()
        }


async def test_a_project_that_is_worked_is_not_restored(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        await snapshots.create(studio, "demo", "first", root=root)
        async with studio.shop.db.write() as session:
            await session.execute(update(Run).where(Run.id == seen.run).values(state="running"))
        with pytest.raises(ProjectBusy):
            await states(studio, root)


HEAD = line({"format": "maquette-snapshot", "version": 1})
FILE = {"path": "../x.png", "asset_id": "a"}
ASSET = line({"table": "assets", "row": {"id": "a", "digest": "0" * 64}})


@pytest.mark.parametrize(
    "data",
    [
        b"no gzip",
        gzip.compress(b"{}\n"),
        gzip.compress(HEAD)[:-4],
        gzip.compress(HEAD.replace(b"1", b"2")),
        gzip.compress(HEAD + b"[]\n"),
        gzip.compress(HEAD + line({"table": "files", "row": FILE})),
        gzip.compress(HEAD + ASSET + line({"table": "files", "row": FILE})),
        gzip.compress(
            HEAD + ASSET + line({"table": "files", "row": FILE | {"path": ".maquette/x"}})
        ),
        gzip.compress(HEAD + b" " * 80_000_000),
    ],
    ids=[
        "no gzip",
        "no head",
        "cut short",
        "another version",
        "no object",
        "a file outside",
        "an asset and a file outside",
        "a file of the server's own",
        "a bomb",
    ],
)
async def test_a_snapshot_that_a_stranger_wrote_is_refused(
    open_studio: Opener, begin: Begin, root: Path, data: bytes
) -> None:
    """Snapshots come in archives too, and nobody looked into them before."""
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        made = await snapshots.create(studio, "demo", "first", root=root)
        digest = digest_of(data)
        await studio.shop.place(root).storage.put(object_key(digest), data)
        async with studio.shop.db.write() as session:
            row = await session.get_one(Snapshot, made.id)
            row.digest = digest
        with pytest.raises(StorageDamaged, match="cannot be read"):
            await states(studio, root)


async def test_a_snapshot_goes_with_an_export(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        made = await snapshots.create(studio, "demo", "first", root=root)
        output = tmp_path / "demo.tar.gz"
        facts = await exporting.export(studio, "demo", root=root, output=output)
    assert facts.missing == 0
    assert made.sha256.encode() in gzip.decompress(output.read_bytes())
