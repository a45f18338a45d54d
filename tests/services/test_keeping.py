"""What is kept stays whole, traceable, and nothing else stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy import update

from maquette.core.errors import AssetNotFound, Conflict, ProjectBusy
from maquette.core.pipeline import ColourStep, PostChain, UpscaleStep
from maquette.core.requests import Digest, digest_of
from maquette.core.states import JobState
from maquette.core.storage import Key, Stored, object_key, reply_key, thumbnail_key
from maquette.db.tables import Attempt
from maquette.folders import Folders
from maquette.services import keeping, projects, running, spending, starting
from maquette.services.keeping import Flaw
from maquette.services.studio import Studio
from maquette.storage.local import LocalStorage
from maquette.testing.scripted import Act
from tests.conftest import Opener
from tests.services.conftest import Begin, made_in, noise, see

CHAIN = PostChain(upscale=UpscaleStep(), colour=ColourStep())


async def flaws(studio: Studio, root: Path) -> list[tuple[str, str]]:
    _, found = await keeping.verify(studio, "demo", root)
    return [(flaw.what, flaw.path) for flaw in found]


def object_file(root: Path, digest: str) -> Path:
    return root / ".maquette" / object_key(Digest(digest))


def overwrite(path: Path, data: bytes) -> None:
    """Do what an editor or a failing disk does: other bytes under the same name."""
    path.unlink()
    path.write_bytes(data)


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def age(root: Path) -> None:
    """Make everything stored two hours older."""
    for path in (root / ".maquette").rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - 7200
            os.utime(path, (then, then))


async def digest_at(studio: Studio, path: str) -> str:
    return next(asset.digest for shown, asset in await made_in(studio) if shown == path)


async def test_a_whole_project_has_no_flaws(open_studio: Opener, begin: Begin, root: Path) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio, candidates=2, post=CHAIN))
        checked, found = await keeping.verify(studio, "demo", root)
    assert found == []
    assert checked == 2 + 2 + 2 + 8, "sources, candidates and post pictures alike, shown files"


async def test_verify_finds_a_flipped_bit(open_studio: Opener, begin: Begin, root: Path) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        digest = await digest_at(studio, "outputs/coast.png")
        path = object_file(root, digest)
        overwrite(path, flipped(path.read_bytes()))
        assert ("damaged", object_key(Digest(digest))) in await flaws(studio, root)


async def test_verify_finds_a_missing_object(open_studio: Opener, begin: Begin, root: Path) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        digest = await digest_at(studio, "outputs/coast.png")
        object_file(root, digest).unlink()
        assert await flaws(studio, root) == [("missing", object_key(Digest(digest)))]


async def test_verify_finds_a_changed_file(open_studio: Opener, begin: Begin, root: Path) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        overwrite(root / "outputs" / "coast.png", noise(5))
        assert await flaws(studio, root) == [("changed", "outputs/coast.png")]


async def test_verify_finds_a_file_that_is_gone(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        (root / "outputs" / "coast.png").unlink()
        assert await flaws(studio, root) == [("gone", "outputs/coast.png")]


async def test_every_flaw_says_what_to_do(open_studio: Opener, begin: Begin, root: Path) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        overwrite(root / "outputs" / "coast.png", noise(5))
        (root / "outputs" / "dunes.png").unlink()
        _, found = await keeping.verify(studio, "demo", root)
    assert found == [
        Flaw(
            "changed",
            "outputs/coast.png",
            "`maquette project adopt` takes it in as a new picture",
        ),
        Flaw(
            "gone",
            "outputs/dunes.png",
            "the bytes are still in the store; `maquette show` finds them",
        ),
    ]


async def test_a_changed_file_is_adopted_with_its_parent(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """D3: a file that a person changed is a new asset made from the old one."""
    changed = noise(5)
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        before = {path: asset.id for path, asset in await made_in(studio)}
        overwrite(root / "outputs" / "coast.png", changed)
        adopted = await keeping.adopt(studio, "demo", root, [])
        assert [(one.path, one.parent) for one in adopted] == [
            ("outputs/coast.png", before["outputs/coast.png"])
        ]
        assert adopted[0].asset is not None
        shown = await keeping.lineage(studio, adopted[0].asset)
        assert await flaws(studio, root) == []
        assert await keeping.adopt(studio, "demo", root, []) == [], "nothing is new the second time"
    assert shown.asset.digest == digest_of(changed)
    assert shown.files == ("outputs/coast.png",)
    assert [one.asset.id for one in shown.parents] == [before["outputs/coast.png"]]


async def test_a_folder_of_existing_pictures_is_adopted(
    open_studio: Opener, root: Path, scenes: Path
) -> None:
    """D3: from elsewhere too; what cannot be read is named and stops nothing."""
    (scenes / "broken.png").write_bytes(b"no picture")
    async with open_studio() as studio:
        adopted = await keeping.adopt(studio, "demo", root, [scenes])
    good = [one for one in adopted if one.asset is not None]
    bad = [one for one in adopted if one.error is not None]
    assert [Path(one.path).name for one in good] == ["coast.png", "dunes.png"]
    assert [Path(one.path).name for one in bad] == ["broken.png"]


async def test_a_changed_file_is_archived_before_a_new_run_takes_its_name(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """LAB-5: what a person made is never lost."""
    changed = noise(5)
    async with open_studio() as studio:
        await see(studio, await begin(studio, seed=1))
        overwrite(root / "outputs" / "coast.png", changed)
        await see(studio, await begin(studio, seed=2))
    archived = [path.read_bytes() for path in (root / "archive" / "replaced").iterdir()]
    assert changed in archived


async def test_lineage_goes_both_ways(open_studio: Opener, begin: Begin, scenes: Path) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio, input=scenes / "coast.png", post=CHAIN))
        shown = dict(await made_in(studio))
        middle = await keeping.lineage(studio, shown["upscaled/coast.png"].id)
    assert [one.asset.id for one in middle.parents] == [shown["outputs/coast.png"].id]
    assert [one.asset.kind for one in middle.parents[0].further] == ["source"]
    assert [one.asset.id for one in middle.children] == [shown["color_corrected/coast.png"].id]


async def test_an_asset_is_found_by_its_beginning(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        asset = dict(await made_in(studio))["outputs/coast.png"]
        assert (await keeping.lineage(studio, asset.id[:8])).asset.id == asset.id
        with pytest.raises(AssetNotFound, match="Several"):
            await keeping.lineage(studio, "")
        with pytest.raises(AssetNotFound, match="no asset"):
            await keeping.lineage(studio, "zzz")


async def test_the_sweep_finds_an_orphan_and_only_names_it_when_dry(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    orphan = object_key(digest_of(b"orphan"))
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        store = studio.shop.place(root).storage
        await store.put(orphan, b"orphan")
        dry = await keeping.sweep(studio, "demo", root, dry_run=True)
        assert (orphan, 6) in [(one.key, one.size_bytes) for one in dry]
        assert (await store.head(orphan)).size_bytes == 6


async def test_the_sweep_deletes_what_nothing_needs_and_nothing_else(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio, candidates=2, post=CHAIN))
        store = studio.shop.place(root).storage
        await store.put(object_key(digest_of(b"orphan")), b"orphan")
        age(root)
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
        assert object_key(digest_of(b"orphan")) in {one.key for one in swept}
        assert await flaws(studio, root) == []
        assert await keeping.sweep(studio, "demo", root, dry_run=False) == []


async def test_the_sweep_deletes_thumbnails_whose_picture_is_gone(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        shown = dict(await made_in(studio))["outputs/coast.png"]
        store = studio.shop.place(root).storage
        kept = thumbnail_key(Digest(shown.digest), 256, "webp")
        lost = thumbnail_key(digest_of(b"purged"), 256, "webp")
        for key in (kept, lost):
            await store.put(key, b"small")
        age(root)
        swept = {one.key for one in await keeping.sweep(studio, "demo", root, dry_run=False)}
    assert lost in swept
    assert kept not in swept


async def test_the_sweep_deletes_replies_that_were_settled(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        age(root)
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
    assert {one.key for one in swept} == {reply_key(one.id) for one in seen.attempts}


async def test_the_sweep_keeps_the_reply_of_an_undecided_call(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """D2: the bytes that may have been paid for."""
    async with open_studio(Act("garbage")) as studio:
        await see(studio, await begin(studio))
        lost = (await spending.undecided(studio))[0]
        age(root)
        await keeping.sweep(studio, "demo", root, dry_run=False)
        kept = await studio.shop.place(root).storage.read(reply_key(lost.attempt))
    assert kept == b"<html>502</html>"


async def test_the_sweep_waits_for_open_runs(open_studio: Opener, begin: Begin, root: Path) -> None:
    """A run that is not finished may have bytes whose rows are yet to come."""
    async with open_studio() as studio:
        await begin(studio)
        await studio.shop.place(root).storage.put(Key("objects/00/early"), b"early")
        with pytest.raises(ProjectBusy, match="not finished"):
            await keeping.sweep(studio, "demo", root, dry_run=False)
        assert [one.key for one in await keeping.sweep(studio, "demo", root, dry_run=True)] == [
            "objects/00/early"
        ]


async def test_the_sweep_keeps_the_reply_of_a_call_that_stands_as_sent(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        async with studio.shop.db.write() as session:
            await session.execute(
                update(Attempt)
                .where(Attempt.id == seen.attempts[0].id)
                .values(state="sent", settled_nano=0)
            )
        age(root)
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
    assert reply_key(seen.attempts[0].id) not in {one.key for one in swept}


def stored_below(root: Path) -> dict[str, bytes]:
    store = root / ".maquette"
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for folder in ("objects", "replies")
        for path in (store / folder).rglob("*")
        if path.is_file()
    }


async def orphaned(studio: Studio, root: Path, data: bytes = b"orphan") -> Key:
    """Store something old that nothing points to."""
    key = object_key(digest_of(data))
    await studio.shop.place(root).storage.put(key, data)
    age(root)
    return key


async def test_the_sweep_of_one_project_leaves_anothers_root_alone(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """Also the project of another database: only its root knows it."""
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        await see(studio, await begin(studio))
        age(root)
        await projects.create(studio, "other", name=None, root=None, default_root=False)
        before = stored_below(root)
        for dry_run in (True, False):
            with pytest.raises(Conflict, match="belongs to the project 'demo'"):
                await keeping.sweep(studio, "other", root, dry_run=dry_run)
    assert stored_below(root) == before


async def test_nothing_is_adopted_in_anothers_root(
    open_studio: Opener, root: Path, scenes: Path
) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        with pytest.raises(Conflict, match="belongs to the project 'demo'"):
            await keeping.adopt(studio, "other", root, [scenes])
        assert [one.slug for one in await projects.listing(studio)] == ["demo"]
    assert stored_below(root) == {}


async def test_what_was_swept_can_be_put_back_for_a_week(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        key = await orphaned(studio, root)
        await keeping.sweep(studio, "demo", root, dry_run=False)
    kept = list((root / ".maquette" / "trash").glob(f"*/{key}"))
    assert [path.read_bytes() for path in kept] == [b"orphan"]


async def test_the_sweep_leaves_what_was_stored_just_now(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """Its row may follow. It is named, with the reason why it stays."""
    orphan = object_key(digest_of(b"orphan"))
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        age(root)
        store = studio.shop.place(root).storage
        await store.put(orphan, b"orphan")
        dry = await keeping.sweep(studio, "demo", root, dry_run=True)
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
        assert await store.read(orphan) == b"orphan"
    assert [one.young for one in dry if one.key == orphan] == [True]
    assert orphan not in {one.key for one in swept}


async def test_storing_again_what_is_there_keeps_it_from_the_sweep(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        key = await orphaned(studio, root)
        await studio.shop.place(root).storage.put(key, b"orphan")
        await keeping.sweep(studio, "demo", root, dry_run=False)
    assert key in stored_below(root)


class SlowStorage(LocalStorage):
    """A store that is walked while somebody else writes rows."""

    walked = asyncio.Event()
    go_on = asyncio.Event()

    async def walk(self, prefix: str) -> AsyncIterator[Stored]:
        async for stored in super().walk(prefix):
            yield stored
        type(self).walked.set()
        await type(self).go_on.wait()


async def test_the_sweep_asks_again_before_it_takes_something_away(
    open_studio: Opener, begin: Begin, root: Path, picture: Path
) -> None:
    """A picture got its row after the rows were read."""
    data = picture.read_bytes()
    SlowStorage.walked, SlowStorage.go_on = asyncio.Event(), asyncio.Event()
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        key = await orphaned(studio, root, data)
        slow = replace(studio, shop=replace(studio.shop, open_storage=SlowStorage))
        sweep = asyncio.create_task(keeping.sweep(slow, "demo", root, dry_run=False))
        await asyncio.wait_for(SlowStorage.walked.wait(), 30)
        await keeping.adopt(studio, "demo", root, [picture])
        age(root)
        SlowStorage.go_on.set()
        swept = await sweep
        assert await flaws(studio, root) == []
    assert key in stored_below(root)
    assert key not in {one.key for one in swept}


async def test_the_sweep_does_not_begin_while_runs_are_worked(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        key = await orphaned(studio, root)
        with (
            FileLock(studio.desk_lock, thread_local=False),
            pytest.raises(ProjectBusy, match="Another process"),
        ):
            await keeping.sweep(studio, "demo", root, dry_run=False)
        assert key in stored_below(root)
        await keeping.sweep(studio, "demo", root, dry_run=False)
    assert key not in stored_below(root)


async def test_a_stored_picture_cut_short_is_healed_when_it_comes_again(
    open_studio: Opener, root: Path, picture: Path
) -> None:
    data = picture.read_bytes()
    key = object_key(digest_of(data))
    async with open_studio() as studio:
        await keeping.adopt(studio, "demo", root, [picture])
        overwrite(root / ".maquette" / key, data[:100])
        store = studio.shop.place(root).storage
        await store.put(key, b"other bytes")
        assert await store.read(key) == data[:100], "other bytes never overwrite"
        await store.put(key, data)
        assert await flaws(studio, root) == []
    assert (root / ".maquette" / key).stat().st_mode & 0o222 == 0


async def test_a_store_is_walked_beside_one_that_deletes(
    root: Path,
) -> None:
    store = LocalStorage(root)
    for name in ("objects/a", "objects/b"):
        await store.put(Key(name), b"x")
    seen: list[str] = []
    async for stored in store.walk("objects/"):
        seen.append(stored.key)
        await store.delete(Key("objects/b"))
    assert seen == ["objects/a"]


class CrashingFolders(Folders):
    """Goes away once, with the old picture moved and the new one not yet there."""

    armed = False

    def _archive(self, target: Path, at: datetime) -> str:
        archived = super()._archive(target, at)
        if type(self).armed:
            type(self).armed = False
            raise OSError(5, "the machine went away")
        return archived


async def test_an_archived_file_keeps_its_history_across_a_crash(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """LAB-5: between moving the old picture away and writing its row."""
    async with open_studio() as studio:
        await see(studio, await begin(studio, seed=1))
        crashing = replace(studio, shop=replace(studio.shop, open_folders=CrashingFolders))
        CrashingFolders.armed = True
        seen = await see(crashing, await begin(crashing, seed=2))
        assert seen.state is not JobState.SUCCEEDED and not CrashingFolders.armed
        await running.resume(studio, seen.run, starting.Spending(confirmed=True))
        assert (await see(studio, seen.run)).state is JobState.SUCCEEDED
        shown = await made_in(studio)
        assert await flaws(studio, root) == []
    files = {f"archive/replaced/{path.name}" for path in (root / "archive/replaced").iterdir()}
    assert len(files) == 2, "both scenes' older pictures"
    assert files <= {path for path, _ in shown}
