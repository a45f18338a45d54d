"""LAB-23: a project's root is mirrored to a bucket, safely again and again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from maquette.core.bucket import Bucket, Mirror
from maquette.core.errors import (
    BadParameter,
    CapabilityMissing,
    Conflict,
    ConnectionRefused,
    FileMissing,
    StorageUnavailable,
)
from maquette.core.pipeline import ColourStep, PostChain
from maquette.core.requests import digest_of
from maquette.core.storage import object_key
from maquette.db.tables import Project
from maquette.net.bucket import BucketClient
from maquette.services import mirror, places, projects, secrets
from maquette.services.studio import Studio
from maquette.testing.s3_server import KEYS, S3Server
from tests.conftest import Opener
from tests.storage.conftest import Begin, contents, keys_in, mirrored, see, write


def part_of(server: S3Server, bucket: Bucket, slug: str = "demo") -> BucketClient:
    return server.client(bucket.below(slug))


def files_below(root: Path) -> dict[str, bytes]:
    """Return what a mirror must have, found without the code that is tested."""
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    kept = (".maquette/objects/", ".maquette/replies/", ".maquette/owner.json")
    return {
        name: data
        for name, data in found.items()
        if not name.startswith(".maquette/") or name.startswith(kept)
    }


async def test_a_run_is_mirrored_whole(
    open_studio: Opener, begin: Begin, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        await see(studio, await begin(studio, candidates=2, post=PostChain(colour=ColourStep())))
        write(root / "scenes/ü n#%?*+ [1].png", b"mine")
        told = await mirror.sync(studio, "demo", root)
    assert told.complete
    assert await contents(part_of(s3_server, bucket)) == files_below(root)
    assert told.count("copied") > 0, "the names of stored pictures are not sent again"


async def test_nothing_is_sent_twice(
    open_studio: Opener, begin: Begin, root: Path, bucket: Bucket
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        await see(studio, await begin(studio))
        first = await mirror.sync(studio, "demo", root)
        again = await mirror.sync(studio, "demo", root)
    assert (again.items, again.bytes_sent) == ([], 0)
    assert again.skipped == len(first.items) == len(files_below(root))
    sent = [one.size_bytes for one in first.items if one.act == "uploaded"]
    assert first.bytes_sent == sum(sent)


async def test_what_changed_is_sent_even_where_its_size_is_the_same(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        write(root / "scenes/a.txt", b"one")
        write(root / "scenes/b.txt", b"same")
        await mirror.sync(studio, "demo", root)
        write(root / "scenes/a.txt", b"two")
        told = await mirror.sync(studio, "demo", root)
    assert [(one.path, one.act) for one in told.items] == [("scenes/a.txt", "uploaded")]
    assert (await contents(part_of(s3_server, bucket)))["scenes/a.txt"] == b"two"


async def test_every_object_carries_its_digest_and_its_owner(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    async with open_studio() as studio:
        project = await mirrored(studio, bucket, root)
        write(root / "scenes/a.txt", b"one")
        await mirror.sync(studio, "demo", root)
    found = await part_of(s3_server, bucket).head("scenes/a.txt")
    assert found.marks[mirror.DIGEST] == hashlib.sha256(b"one").hexdigest()
    assert found.marks[mirror.MARK] == project.id


async def test_a_file_of_many_parts_is_compared_by_its_mark(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    data = os.urandom(1024 * 1024) * 40
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        write(root / "scenes/big.bin", data)
        await mirror.sync(studio, "demo", root)
        again = await mirror.sync(studio, "demo", root)
        write(root / "scenes/big.bin", data[:-1] + b"!")
        changed = await mirror.sync(studio, "demo", root)
    assert (await part_of(s3_server, bucket).head("scenes/big.bin")).tag.endswith("-5")
    assert again.items == []
    assert [one.path for one in changed.items] == ["scenes/big.bin"]


async def test_a_dry_run_says_what_a_run_does_and_does_nothing(
    open_studio: Opener, begin: Begin, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        await see(studio, await begin(studio))
        dry = await mirror.sync(studio, "demo", root, dry_run=True, delete=True)
        assert await keys_in(part_of(s3_server, bucket)) == []
        done = await mirror.sync(studio, "demo", root, delete=True)
        (root / "outputs/coast.png").unlink()
        dry_again = await mirror.sync(studio, "demo", root, dry_run=True, delete=True)
    assert {(one.path, one.act) for one in dry.items} == {(i.path, i.act) for i in done.items}
    assert [(one.path, one.act) for one in dry_again.items] == [("outputs/coast.png", "deleted")]
    assert "outputs/coast.png" in await keys_in(part_of(s3_server, bucket))


async def test_deleting_takes_only_what_the_mirror_wrote(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    mine, whole = part_of(s3_server, bucket), s3_server.client(bucket)
    async with open_studio() as studio:
        project = await mirrored(studio, bucket, root)
        write(root / "scenes/a.txt", b"one")
        await mirror.sync(studio, "demo", root)
        await mine.put("notes.txt", b"a person's own")
        await mine.put("other.txt", b"x", marks={mirror.MARK: "another project"})
        await whole.put("demonstration/a.txt", b"beside", marks={mirror.MARK: project.id})
        (root / "scenes/a.txt").unlink()
        kept = await mirror.sync(studio, "demo", root)
        assert "scenes/a.txt" in await keys_in(mine), "without the flag nothing is deleted"
        told = await mirror.sync(studio, "demo", root, delete=True)
    assert kept.items == []
    assert [(one.path, one.act) for one in told.items] == [("scenes/a.txt", "deleted")]
    assert await keys_in(mine) == [".maquette/owner.json", "notes.txt", "other.txt"]
    assert "demonstration/a.txt" in await keys_in(whole)


async def test_a_root_that_is_not_there_empties_no_mirror(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server, tmp_path: Path
) -> None:
    """A disk that is not mounted looks like an empty folder."""
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        write(root / "scenes/a.txt", b"one")
        await mirror.sync(studio, "demo", root)
        root.rename(tmp_path / "unmounted")
        for _ in range(2):
            with pytest.raises(FileMissing, match="mount it"):
                await mirror.sync(studio, "demo", root, delete=True)
            root.mkdir(exist_ok=True)
    assert "scenes/a.txt" in await keys_in(part_of(s3_server, bucket))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to root")
async def test_a_folder_that_cannot_be_read_is_no_empty_folder(
    open_studio: Opener, root: Path, bucket: Bucket
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        write(root / "scenes/a.txt", b"one")
        await mirror.sync(studio, "demo", root)
        (root / "scenes").chmod(0)
        try:
            with pytest.raises(StorageUnavailable):
                await mirror.sync(studio, "demo", root, delete=True)
        finally:
            (root / "scenes").chmod(0o755)


async def test_links_are_not_followed(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server, tmp_path: Path
) -> None:
    write(tmp_path / "secret/key.txt", b"secret")
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        (root / "scenes").mkdir()
        (root / "scenes/link.txt").symlink_to(tmp_path / "secret/key.txt")
        (root / "scenes/folder").symlink_to(tmp_path / "secret")
        await mirror.sync(studio, "demo", root)
    assert await keys_in(part_of(s3_server, bucket)) == [".maquette/owner.json"]


async def test_one_file_that_fails_stops_no_other(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        for name in ("a\nb.txt", "c.txt"):
            write(root / "scenes" / name, b"x")
        gone = root / "scenes/gone.txt"
        write(gone, b"x")
        await mirror.sync(studio, "demo", root)
        gone.unlink()
        told = await mirror.sync(studio, "demo", root, delete=True)
    assert [(one.path, one.act) for one in told.items] == [("scenes/a\nb.txt", "failed")]
    assert "Rename it" in (told.items[0].error or "")
    assert not told.complete
    keys = await keys_in(part_of(s3_server, bucket))
    assert "scenes/c.txt" in keys
    assert "scenes/gone.txt" in keys, "nothing is deleted by a sync that did not go well"


async def test_a_damaged_stored_picture_is_not_sent(
    open_studio: Opener, root: Path, bucket: Bucket
) -> None:
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        key = object_key(digest_of(b"whole"))
        write(root / ".maquette" / key, b"broken")
        told = await mirror.sync(studio, "demo", root)
    assert [(one.path, one.act) for one in told.items if one.act == "failed"] == [
        (f".maquette/{key}", "failed")
    ]


async def test_two_projects_do_not_share_a_mirror(
    open_studio: Opener, root: Path, bucket: Bucket, s3_server: S3Server, tmp_path: Path
) -> None:
    """Also those of two databases that have one name."""
    async with open_studio() as studio:
        await mirrored(studio, bucket, root)
        foreign = json.dumps({"project": "elsewhere", "slug": "demo"}).encode()
        await part_of(s3_server, bucket).put(".maquette/owner.json", foreign)
        with pytest.raises(Conflict, match="prefix of its own"):
            await mirror.sync(studio, "demo", root)
        await mirrored(studio, bucket, tmp_path / "other", "other")
        assert (await mirror.sync(studio, "other", tmp_path / "other")).complete


async def stored_secret(studio: Studio, project: Project, name: str, value: str) -> None:
    await secrets.put(studio, project.id, "s3", name, SecretStr(value))


async def test_a_projects_own_keys_win_and_are_not_mixed_with_the_installations(
    open_studio: Opener, root: Path, bucket: Bucket
) -> None:
    async with open_studio() as studio:
        project = await mirrored(studio, bucket, root)
        await stored_secret(studio, project, "access_key_id", "own-id")
        with pytest.raises(CapabilityMissing, match="s3_secret_access_key"):
            await mirror.sync(studio, "demo", root)
        await stored_secret(studio, project, "secret_access_key", "own-secret")
        assert (await mirror.sync(studio, "demo", root)).complete
        client = await mirror.open_mirror(studio, project)
        assert "X-Amz-Credential=own-id" in await client.sign("a", 60)


async def test_without_keys_it_is_said_how_to_set_them(
    open_studio: Opener, root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    async with open_studio() as studio:
        project = await mirrored(studio, bucket, root)
        assert not (await places.show(studio, project)).has_keys
        with pytest.raises(CapabilityMissing, match="AWS_ACCESS_KEY_ID"):
            await mirror.sync(studio, "demo", root)


async def test_without_a_mirror_it_is_said_how_to_set_one(open_studio: Opener, root: Path) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        with pytest.raises(BadParameter, match="set-s3 demo"):
            await mirror.sync(studio, "demo", root)
        off = Mirror(enabled=False, bucket="some-bucket")
        await places.set_mirror(studio, await projects.find(studio, "demo"), off)
        with pytest.raises(BadParameter, match="switched off"):
            await mirror.sync(studio, "demo", root)


async def test_a_bucket_that_is_not_there_is_named(
    open_studio: Opener, root: Path, bucket: Bucket
) -> None:
    nowhere = bucket.model_copy(update={"bucket": "there-is-none"})
    async with open_studio() as studio:
        await mirrored(studio, nowhere, root)
        with pytest.raises(StorageUnavailable, match=r"NoSuchBucket.*Make the bucket"):
            await mirror.sync(studio, "demo", root)


@pytest.mark.parametrize("host", ["10.1.2.3", "169.254.169.254", "[fd00::1]"])
async def test_private_addresses_are_not_called(
    open_studio: Opener, root: Path, bucket: Bucket, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_NET__PAID_CALLS", "true")
    private = bucket.model_copy(update={"endpoint": f"http://{host}:9000"})
    async with open_studio() as studio:
        await mirrored(studio, private, root)
        with pytest.raises(ConnectionRefused, match="PRIVATE_HOSTS"):
            await mirror.sync(studio, "demo", root)


async def test_where_calls_are_switched_off_only_this_machine_is_reached(
    open_studio: Opener, root: Path, bucket: Bucket
) -> None:
    public = bucket.model_copy(update={"endpoint": "https://1.1.1.1"})
    async with open_studio() as studio:
        await mirrored(studio, public, root)
        with pytest.raises(ConnectionRefused, match="switched off"):
            await mirror.sync(studio, "demo", root)


async def test_a_server_that_does_not_answer_is_said_to_be_away(
    open_studio: Opener, root: Path, bucket: Bucket
) -> None:
    away = bucket.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    async with open_studio() as studio:
        await mirrored(studio, away, root)
        with pytest.raises(StorageUnavailable, match="no answer") as caught:
            await mirror.sync(studio, "demo", root)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
