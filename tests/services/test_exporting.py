"""A project becomes one file, whole or not at all, and always the same one."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from sqlalchemy import update

from maquette.core.archive import CHECKSUMS, MANIFEST, ArchiveManifest
from maquette.core.errors import ExportNotFound, ProjectBusy, StorageDamaged
from maquette.core.pipeline import ColourStep, PostChain, UpscaleStep
from maquette.core.requests import Digest
from maquette.core.storage import object_key
from maquette.db import archives, portable, secrets
from maquette.db.base import Base
from maquette.db.tables import Run
from maquette.services import exporting, projects
from maquette.services.studio import Studio
from tests.conftest import Opener
from tests.services.conftest import Begin, made_in, see

CHAIN = PostChain(upscale=UpscaleStep(), colour=ColourStep())

LEFT_AT_HOME = {
    "api_keys",
    "borrowed_assets",
    "budgets",
    "cap_alerts",
    "caps",
    "credit_purchases",
    "credit_reversals",
    "credit_transfers",
    "events",
    "favourites",
    "hold_budgets",
    "holds",
    "idempotency_keys",
    "installation",
    "login_sessions",
    "memberships",
    "notices",
    "past_spending",
    "project_api_secrets",
    "project_exports",
    "uploads",
    "users",
    "workers",
}
"""Tables of which no archive knows; a new table must be put here or be carried."""


async def exported(
    studio: Studio, root: Path, output: Path, *, all_files: bool = False
) -> exporting.ExportFacts:
    return await exporting.export(studio, "demo", root=root, output=output, all_files=all_files)


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


async def test_an_archive_holds_rows_bytes_logs_and_its_checksums(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    """LAB-22."""
    output = tmp_path / "out" / "demo.tar.gz"
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, candidates=2, post=CHAIN))
        facts = await exported(studio, root, output)
        shown = dict(await made_in(studio))
    assert (facts.state, facts.path, facts.missing) == ("succeeded", str(output), 0)
    assert facts.size_bytes == output.stat().st_size
    found = members(output)
    names = list(found)
    assert (names[0], names[-1]) == (MANIFEST, CHECKSUMS)
    manifest = ArchiveManifest.model_validate_json(found[MANIFEST])
    assert manifest.project.slug == "demo"
    assert manifest.tables["runs"] == 1
    assert manifest.tables["run_jobs"] == 2
    assert manifest.tables["files"] == len(shown)
    assert {object_key(Digest(one.digest)) for one in shown.values()} <= set(names)
    assert f"runs/{seen.run}.json" in names
    told = found["tables/files.jsonl"].splitlines()
    assert sorted(shown) == [json.loads(line)["path"] for line in told]


async def test_sha256sum_and_tar_read_an_archive(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    output, folder = tmp_path / "demo.tar.gz", tmp_path / "unpacked"
    folder.mkdir()
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        facts = await exported(studio, root, output)
    told = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-c", f"tar xzf {output} && sha256sum -c --quiet {CHECKSUMS} && sha256sum {output}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split()[0] == facts.sha256


async def test_the_same_project_gives_the_same_bytes(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio, candidates=2))
        first = await exported(studio, root, tmp_path / "1.tar.gz")
        second = await exported(studio, root, tmp_path / "2.tar.gz")
    assert first.sha256 == second.sha256


async def test_no_secret_and_nobodys_path_goes_with_it(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    output = tmp_path / "demo.tar.gz"
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        project = await projects.find(studio, "demo")
        async with studio.shop.db.write() as session:
            now = studio.shop.clock.now()
            await secrets.put(session, (project.id, "x", "key"), b"sealed-words", "k", now)
        await exported(studio, root, output)
    found = members(output)
    rows = b"".join(found[name] for name in found if name.startswith("tables/"))
    assert b"sealed-words" not in gzip.decompress(output.read_bytes())
    assert str(root).encode() not in rows


async def test_a_project_that_is_worked_is_not_exported(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await begin(studio)
        with pytest.raises(ProjectBusy, match="is not finished"):
            await exported(studio, root, tmp_path / "demo.tar.gz")
    assert not (tmp_path / "demo.tar.gz").exists()


async def test_a_damaged_object_fails_the_export_and_leaves_no_file(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out" / "demo.tar.gz"
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        _, asset = (await made_in(studio))[0]
        path = root / ".maquette" / object_key(Digest(asset.digest))
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(StorageDamaged, match="maquette verify"):
            await exported(studio, root, output)
        project = await projects.find(studio, "demo")
        (told,) = await exporting.listing(studio, project, 10, None)
    assert (told.state, told.size_bytes) == ("failed", None)
    assert "damaged" in (told.error_message or "")
    assert list(output.parent.iterdir()) == []


async def test_a_missing_object_is_told_and_the_rest_exported(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    output = tmp_path / "demo.tar.gz"
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        _, asset = (await made_in(studio))[0]
        (root / ".maquette" / object_key(Digest(asset.digest))).unlink()
        facts = await exported(studio, root, output)
    assert facts.missing == 1
    manifest = ArchiveManifest.model_validate_json(members(output)[MANIFEST])
    assert manifest.missing == [asset.digest]


async def test_other_peoples_files_go_with_it_only_when_asked_for(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        (root / "notes").mkdir()
        (root / "notes" / "was für Grün.txt").write_text("mine")
        (root / "link").symlink_to(tmp_path)
        plain = tmp_path / "plain.tar.gz"
        await exported(studio, root, plain)
        await exported(studio, root, root / "all.tar.gz", all_files=True)
    assert not [name for name in members(plain) if name.startswith("files/")]
    found = members(root / "all.tar.gz")
    told = [json.loads(line) for line in found["names.jsonl"].splitlines()]
    assert told == [{"member": "files/0000001", "path": "notes/was für Grün.txt"}]
    assert found["files/0000001"] == b"mine"


async def test_an_export_whose_process_died_is_called_failed(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        project = await projects.find(studio, "demo")
        dead = await exporting.begin(studio, "demo")
        alive = await exporting.begin(studio, "demo")
        async with studio.shop.db.alive(f"export-{alive.id}"):
            await exporting.recover(studio)
        told = {one.id: one.state for one in await exporting.listing(studio, project, 10, None)}
        assert told == {dead.id: "failed", alive.id: "running"}
        await exporting.delete(studio, project.id, dead.id)
        with pytest.raises(ExportNotFound, match="has no export"):
            await exporting.show(studio, project.id, dead.id)


async def test_an_export_that_is_cancelled_is_failed_and_leaves_nothing(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        project = await projects.find(studio, "demo")
        begun = await exporting.begin(studio, "demo", output=tmp_path / "out" / "demo.tar.gz")
        task = asyncio.create_task(exporting.make(studio, begun.id, root=root))
        while not list((tmp_path / "out").glob(".demo*")):  # noqa: ASYNC110 - the file is the sign
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await exporting.show(studio, project.id, begun.id)).state == "failed"
    assert list((tmp_path / "out").iterdir()) == []


async def test_exports_are_listed_in_pages(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        project = await projects.find(studio, "demo")
        made = [(await exporting.begin(studio, "demo")).id for _ in range(3)]
        first = await exporting.listing(studio, project, 2, None)
        rest = await exporting.listing(studio, project, 2, first[-1].id)
    assert [one.id for one in (*first, *rest)] == made[::-1]


async def test_only_an_archive_among_ours_and_of_one_export_is_deleted(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        project = await projects.find(studio, "demo")
        ours = studio.home / "exports" / "one.tar.gz"
        elsewhere = studio.home / "exports" / ".." / ".." / "mine.tar.gz"
        first, second, mine = [
            await exported(studio, root, path) for path in (ours, ours, elsewhere)
        ]
        for one, path in ((first, ours), (mine, elsewhere)):
            await exporting.delete(studio, project.id, one.id)
            assert path.exists()
        await exporting.delete(studio, project.id, second.id)
        assert not ours.exists()
        assert await exporting.listing(studio, project, 9, None) == []


def test_every_table_is_carried_or_left_at_home() -> None:
    carried = {one.name for one in portable.CARRIED}
    assert not carried & LEFT_AT_HOME
    assert {table.name for table in Base.metadata.sorted_tables} <= carried | LEFT_AT_HOME


def test_tables_are_carried_in_the_order_in_which_they_refer_to_each_other() -> None:
    seen: set[str] = set()
    for one in portable.CARRIED:
        goals = {portable.target(column) for column in one.columns()} - {None, one.name}
        assert goals <= seen, one.name
        seen.add(one.name)


async def test_a_run_that_is_open_when_the_rows_are_read_is_noticed(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        begun = await exporting.begin(studio, "demo")
        async with studio.shop.db.write() as session:
            await session.execute(update(Run).where(Run.id == seen.run).values(state="queued"))
        with pytest.raises(ProjectBusy):
            await exporting.make(studio, begun.id, root=root)
        async with studio.shop.db.read() as session:
            row = await archives.export(session, (await projects.find(studio, "demo")).id, begun.id)
    assert row.state == "failed"
