"""WEB-12: one bucket holds the pictures of the whole installation."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from maquette.core.bucket import KEY, KEY_ID, TOKEN, Bucket, Mirror
from maquette.core.clock import Clock
from maquette.core.errors import (
    BadParameter,
    Conflict,
    ConnectionRefused,
    ObjectNotFound,
    StorageUnavailable,
)
from maquette.core.pipeline import ColourStep, PostChain
from maquette.core.requests import Digest, digest_of
from maquette.core.states import JobState
from maquette.core.storage import object_key
from maquette.db import assets
from maquette.imaging import png
from maquette.net.bucket import PART_BYTES
from maquette.services import keeping, projects, restoring
from maquette.services.studio import Studio
from maquette.storage.s3 import S3Storage
from maquette.testing.s3_server import S3Server
from tests.conftest import Opener
from tests.storage.conftest import Begin, keys_in, see

CHAIN = PostChain(colour=ColourStep())
ORPHAN = object_key(digest_of(b"orphan"))


@pytest.fixture
def in_bucket(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Settings that put everything into the bucket."""
    monkeypatch.setenv("MAQUETTE_STORAGE", "s3")
    for name in ("bucket", "prefix", "region", "endpoint"):
        monkeypatch.setenv(f"MAQUETTE_S3__{name.upper()}", str(getattr(bucket, name)))
    return bucket


async def test_a_run_keeps_its_pictures_in_the_bucket_and_shows_them_here(
    open_studio: Opener, begin: Begin, root: Path, in_bucket: Bucket, s3_server: S3Server
) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, candidates=2, post=CHAIN))
        project = await projects.find(studio, "demo")
        async with studio.shop.db.read() as session:
            digests = {one.digest for one in await assets.blobs(session, project.id)}
        checked, flaws = await keeping.verify(studio, "demo", root)
    assert seen.state is JobState.SUCCEEDED
    keys = await keys_in(s3_server.client(in_bucket.below(f"projects/{project.id}")))
    assert {f"{object_key(Digest(one))}" for one in digests} <= set(keys)
    assert not (root / ".maquette/objects").exists()
    assert (root / "outputs/coast.png").is_file()
    assert (checked > 0, flaws) == (True, [])


@pytest.mark.usefixtures("in_bucket")
async def test_another_machine_reads_them_and_writes_them_out(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    """The root's folder is not there: the database knows whose it was."""
    async with open_studio() as studio:
        await see(studio, await begin(studio, post=CHAIN))
        before = (root / "outputs/coast.png").read_bytes()
        shutil.rmtree(root)
        store = studio.shop.place(root).storage
        assert [one async for one in store.walk("objects/")] != []
        told = await restoring.pull(studio, "demo", root)
        assert await keeping.verify(studio, "demo", root) == (len(told) + await blobs(studio), [])
    assert (root / "outputs/coast.png").read_bytes() == before
    assert {one.act for one in told} == {"written"}


async def blobs(studio: Studio) -> int:
    project = await projects.find(studio, "demo")
    async with studio.shop.db.read() as session:
        return len(await assets.blobs(session, project.id))


@pytest.mark.usefixtures("in_bucket")
async def test_two_projects_share_the_bucket_and_no_object(
    open_studio: Opener, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "one", name=None, root=root, default_root=False)
        await projects.create(studio, "two", name=None, root=tmp_path / "two", default_root=False)
        await studio.shop.place(root).storage.put(ORPHAN, b"orphan")
        with pytest.raises(ObjectNotFound):
            await studio.shop.place(tmp_path / "two").storage.read(ORPHAN)


@pytest.mark.usefixtures("in_bucket")
async def test_a_root_that_moves_keeps_its_pictures(
    open_studio: Opener, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "one", name=None, root=root, default_root=False)
        await studio.shop.place(root).storage.put(ORPHAN, b"orphan")
        await projects.set_local_root(studio, "one", tmp_path / "moved")
        moved = studio.shop.place(tmp_path / "moved").storage
        assert await moved.read(ORPHAN) == b"orphan"


@pytest.mark.usefixtures("in_bucket")
async def test_a_root_that_nobody_knows_has_no_store(open_studio: Opener, root: Path) -> None:
    async with open_studio() as studio:
        with pytest.raises(Conflict, match="set-local"):
            await studio.shop.place(root).storage.put(ORPHAN, b"orphan")


class LaterClock(Clock):
    """Two hours ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=2)


@pytest.mark.usefixtures("in_bucket")
async def test_the_sweep_goes_by_the_age_that_the_bucket_tells(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        store = studio.shop.place(root).storage
        await store.put(ORPHAN, b"orphan")
        swept = await keeping.sweep(studio, "demo", root, dry_run=False)
        assert ORPHAN not in {one.key for one in swept}
        assert await store.read(ORPHAN) == b"orphan"
        later = replace(studio, shop=replace(studio.shop, clock=LaterClock()))
        swept = await keeping.sweep(later, "demo", root, dry_run=False)
        assert ORPHAN in {one.key for one in swept}
        with pytest.raises(ObjectNotFound):
            await store.read(ORPHAN)
        assert (await keeping.verify(studio, "demo", root))[1] == []


@pytest.fixture
def storage(s3_server: S3Server, bucket: Bucket) -> S3Storage:
    async def owner(_private: Path) -> str:
        return "some-project"

    return S3Storage(Path("anywhere"), s3_server.client(bucket), owner)


async def test_a_signed_address_is_read_without_a_key(storage: S3Storage) -> None:
    import numpy as np  # noqa: PLC0415 - one picture

    picture = png.write(np.zeros((4, 4, 3), np.uint8))
    key = object_key(digest_of(picture))
    await storage.put(key, picture)
    url = await storage.signed_url(key, 60, "image/png")
    async with httpx2.AsyncClient() as client:
        reply = await client.get(url)
    assert reply.content == picture
    assert reply.headers["content-type"] == "image/png"
    assert "X-Amz-Expires=60" in url
    assert "X-Amz-Signature=" in url
    assert "test-secret" not in url


async def test_what_is_no_picture_has_no_type_that_a_browser_would_run(storage: S3Storage) -> None:
    page = b"<!doctype html><script>alert(1)</script>"
    key = object_key(digest_of(page))
    await storage.put(key, page)
    async with httpx2.AsyncClient() as client:
        reply = await client.get(await storage.signed_url(key, 60, "text/html"))
    assert reply.headers["content-type"] == "application/octet-stream"


async def test_an_object_says_when_it_was_stored(storage: S3Storage) -> None:
    await storage.put(ORPHAN, b"orphan")
    stored = await storage.head(ORPHAN)
    assert stored.modified is not None
    assert abs(stored.modified - Clock().now()) < timedelta(minutes=5)
    assert [one.modified async for one in storage.walk("objects/")] == [stored.modified]


async def test_an_object_that_was_cut_short_is_healed_by_its_own_bytes_alone(
    storage: S3Storage, s3_server: S3Server, bucket: Bucket
) -> None:
    await s3_server.client(bucket).put(f"projects/some-project/{ORPHAN}", b"orp")
    await storage.put(ORPHAN, b"others")
    assert await storage.read(ORPHAN) == b"orp"
    await storage.put(ORPHAN, b"orphan")
    assert await storage.read(ORPHAN) == b"orphan"


async def test_a_crowd_of_large_files_ends_as_one_object(
    storage: S3Storage, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"\x07" * (PART_BYTES + 1))
    key = object_key(digest_of(path.read_bytes()))
    await asyncio.gather(*(storage.put_file(key, path) for _ in range(4)))
    assert (await storage.head(key)).size_bytes == PART_BYTES + 1


async def test_other_programs_settings_do_not_lead_elsewhere(
    storage: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library reads the environment by itself; ours must win."""
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ENDPOINT": "http://127.0.0.1:9",
        "AWS_BUCKET": "another-bucket",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_REGION": "nowhere-1",
    }.items():
        monkeypatch.setenv(name, value)
    await storage.put(ORPHAN, b"orphan")
    url = await storage.signed_url(ORPHAN, 60, "image/png")
    assert "us-east-1" in url
    assert "another-bucket" not in url


@pytest.mark.usefixtures("in_bucket")
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BUCKET", "No Bucket", "MAQUETTE_S3__BUCKET"),
        ("ENDPOINT", "ftp://x", "MAQUETTE_S3__ENDPOINT"),
        ("COLOUR", "red", "MAQUETTE_S3__COLOUR"),
    ],
)
async def test_a_wrong_setting_is_named_by_its_variable(
    open_studio: Opener,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv(f"MAQUETTE_S3__{name}", value)
    with pytest.raises(BadParameter, match=told):
        async with open_studio():
            pass


async def test_a_missing_bucket_is_said_with_the_way_out(s3_server: S3Server) -> None:
    client = s3_server.client(Bucket(bucket="there-is-none", endpoint=s3_server.url))
    for call in (client.get("a"), client.put("a", b"x"), client.check()):
        with pytest.raises(StorageUnavailable, match="Make the bucket"):
            await call


async def test_an_endpoint_by_name_is_looked_up_before_it_is_called(s3_server: S3Server) -> None:
    client = s3_server.client(Bucket(bucket="some-bucket", endpoint="http://nowhere.invalid"))
    with pytest.raises(ConnectionRefused, match="cannot be found"):
        await client.get("a")


async def test_keys_that_are_lent_come_with_their_token(s3_server: S3Server) -> None:
    lent = {KEY_ID: "ASIAEXAMPLE", KEY: "secret", TOKEN: "the-token"}
    where = Bucket(bucket="some-bucket", endpoint=s3_server.url)
    url = await s3_server.client(where, lent).sign("a", 60)
    assert "X-Amz-Security-Token=the-token" in url


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "https://my-art.s3.us-east-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "https://my-art.s3.cn-north-1.amazonaws.com.cn"),
        ({"path_style": True}, "https://s3.us-east-1.amazonaws.com"),
        ({"bucket": "my.art"}, "https://s3.us-east-1.amazonaws.com"),
        ({"endpoint": "http://minio:9000/"}, "http://minio:9000"),
        ({"endpoint": "https://s3.example", "path_style": False}, "https://my-art.s3.example"),
    ],
)
def test_the_bucket_is_named_in_the_host_or_in_the_path(
    given: dict[str, str | bool], url: str
) -> None:
    assert Bucket.model_validate({"bucket": "my-art", **given}).url == url


def test_a_projects_part_of_a_mirror_lies_below_prefix_and_slug() -> None:
    where = Mirror(bucket="my-art", prefix="/iat-prod/").of("eugenia_prod")
    assert where is not None
    assert where.place == "s3://my-art/iat-prod/eugenia_prod"
    assert Mirror(enabled=False, bucket="my-art").of("eugenia_prod") is None
