"""What is kept stays whole, traceable, and nothing else stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from maquette.core.errors import AssetNotFound, ProjectBusy
from maquette.core.pipeline import ColourStep, PostChain, UpscaleStep
from maquette.core.requests import Digest, digest_of
from maquette.core.storage import Key, object_key, reply_key
from maquette.db.tables import Attempt
from maquette.services import keeping, spending
from maquette.services.keeping import Flaw
from maquette.services.studio import Studio
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
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
        assert object_key(digest_of(b"orphan")) in {one.key for one in swept}
        assert await flaws(studio, root) == []
        assert await keeping.sweep(studio, "demo", root, dry_run=False) == []


async def test_the_sweep_deletes_replies_that_were_settled(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
    assert {one.key for one in swept} == {reply_key(one.id) for one in seen.attempts}


async def test_the_sweep_keeps_the_reply_of_an_undecided_call(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """D2: the bytes that may have been paid for."""
    async with open_studio(Act("garbage")) as studio:
        await see(studio, await begin(studio))
        lost = (await spending.undecided(studio))[0]
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
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
    assert reply_key(seen.attempts[0].id) not in {one.key for one in swept}
