"""D3: what is missing is written out, from the store or from the mirror."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from maquette.core.bucket import Bucket
from maquette.core.errors import Conflict
from maquette.core.pipeline import ColourStep, PostChain
from maquette.services import keeping, mirror, restoring
from maquette.testing.s3_server import S3Server
from tests.conftest import Opener
from tests.storage.conftest import Begin, mirrored, see, write
from tests.storage.test_mirror import files_below, part_of

CHAIN = PostChain(colour=ColourStep())


async def test_a_name_that_is_missing_is_shown_again_from_the_store(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio, post=CHAIN))
        before = files_below(root)
        for name in ("outputs/coast.png", "color_corrected/dunes.png"):
            (root / name).unlink()
        dry = await restoring.pull(studio, "demo", root, dry_run=True)
        assert not (root / "outputs/coast.png").exists()
        told = await restoring.pull(studio, "demo", root)
        assert await restoring.pull(studio, "demo", root) == []
    assert files_below(root) == before
    assert [one.path for one in told] == ["color_corrected/dunes.png", "outputs/coast.png"]
    assert dry == told


async def test_nothing_that_is_there_is_touched(
    open_studio: Opener, begin: Begin, root: Path, bucket: Bucket
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        await see(studio, await begin(studio))
        await mirror.sync(studio, "demo", root)
        write(root / "outputs/coast.png", b"a person's own")
        assert await restoring.pull(studio, "demo", root, from_s3=True) == []
    assert (root / "outputs/coast.png").read_bytes() == b"a person's own"


async def test_a_root_that_is_lost_comes_back_from_its_mirror(
    open_studio: Opener, begin: Begin, root: Path, bucket: Bucket
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        await see(studio, await begin(studio, candidates=2, post=CHAIN))
        write(root / "scenes/ü [1].txt", b"mine")
        write(root / "scenes/big.bin", b"\x07" * (9 * 1024 * 1024))
        assert (await mirror.sync(studio, "demo", root)).complete
        before = files_below(root)
        shutil.rmtree(root)
        dry = await restoring.pull(studio, "demo", root, from_s3=True, dry_run=True)
        assert not root.exists()
        told = await restoring.pull(studio, "demo", root, from_s3=True)
        checked, flaws = await keeping.verify(studio, "demo", root)
        again = await mirror.sync(studio, "demo", root)
    assert files_below(root) == before
    assert (
        {one.path for one in dry}
        == {one.path for one in told}
        == before.keys() - {".maquette/owner.json"}
    )
    assert (checked > 0, flaws) == (True, [])
    assert again.items == []
    assert list((root / ".maquette/tmp").iterdir()) == []


async def test_a_stored_picture_that_was_cut_short_is_healed_from_the_mirror(
    open_studio: Opener, begin: Begin, root: Path, bucket: Bucket
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        await see(studio, await begin(studio))
        await mirror.sync(studio, "demo", root)
        stored = next((root / ".maquette/objects").rglob("*/*"))
        write(stored, stored.read_bytes()[:10])
        told = await restoring.pull(studio, "demo", root, from_s3=True)
        _, flaws = await keeping.verify(studio, "demo", root)
    assert [one.path for one in told] == [stored.relative_to(root).as_posix()]
    assert flaws == []


async def test_damage_in_the_mirror_is_not_brought_back(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        write(root / "scenes/a.txt", b"mine")
        await mirror.sync(studio, "demo", root)
        client = part_of(s3_server, bucket)
        marks = (await client.head("scenes/a.txt")).marks
        await client.put("scenes/a.txt", b"else", marks={mirror.DIGEST: marks[mirror.DIGEST]})
        (root / "scenes/a.txt").unlink()
        told = await restoring.pull(studio, "demo", root, from_s3=True)
    assert [(one.path, one.act) for one in told] == [("scenes/a.txt", "failed")]
    assert "damaged" in (told[0].error or "")
    assert not (root / "scenes/a.txt").exists()


async def test_a_name_in_the_mirror_cannot_lead_out_of_the_root(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        (root / "way-out").symlink_to(tmp_path / "elsewhere")
        client = part_of(s3_server, bucket)
        await client.put("way-out/a.txt", b"x")
        await client.put(".maquette/place.lock", b"x")
        await client.put(".maquette/objects/aa/not-a-digest", b"x")
        told = await restoring.pull(studio, "demo", root, from_s3=True)
    assert {one.path: one.act for one in told} == {
        "way-out/a.txt": "failed",
        ".maquette/objects/aa/not-a-digest": "failed",
    }
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_anothers_mirror_is_not_brought_here(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        await part_of(s3_server, bucket).put(".maquette/owner.json", b'{"project": "elsewhere"}')
        with pytest.raises(Conflict, match="another project"):
            await restoring.pull(studio, "demo", root, from_s3=True)


async def test_a_picture_that_nobody_has_any_more_is_named(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        shutil.rmtree(root / ".maquette/objects")
        (root / "outputs/coast.png").unlink()
        told = await restoring.pull(studio, "demo", root)
    assert [(one.path, one.act) for one in told] == [("outputs/coast.png", "failed")]
    assert "--from-s3" in (told[0].error or "")
