"""Pictures sent in one request: taken in as a stream, all or none, and nothing left over."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select
from tests.api.conftest import Serve
from tests.jobs.test_postgres import fresh_database

from maquette.api import multipart
from maquette.core.requests import digest_of
from maquette.db.tables import Asset, AssetTag, Blob, Consent, Event, Project, User
from maquette.imaging import png
from maquette.testing.serving import Served

__all__ = ["fresh_database"]

PLACE = "57 deg 38 min"


def noise(seed: int = 0, side_px: int = 32) -> bytes:
    rng = np.random.default_rng(seed)
    return png.write(rng.integers(0, 256, (side_px, side_px, 3), np.uint8))


def photograph() -> bytes:
    """A JPEG that lies on its side and tells where it was taken."""
    tags = Image.Exif()
    tags[0x0112] = 6
    tags.get_ifd(0x8825)[29] = PLACE
    out = io.BytesIO()
    Image.new("RGB", (40, 20), "teal").save(out, "JPEG", exif=tags.tobytes())
    return out.getvalue()


async def project(served: Served, slug: str = "p") -> Path:
    reply = await served.client.post("/api/projects", json={"name": slug, "slug": slug})
    assert reply.status_code == 201, reply.text
    return Path(reply.json()["project_root"])


async def send(
    served: Served, *files: tuple[str, bytes], slug: str = "p", **fields: str
) -> httpx2.Response:
    parts = [("file", (name, data, "application/octet-stream")) for name, data in files]
    return await served.client.post(f"/api/projects/{slug}/assets", files=parts, data=fields)


async def rows(served: Served, kind: Any) -> list[Any]:
    async with served.house.studio.shop.db.read() as session:
        return list((await session.execute(select(kind))).scalars())


def left_over(root: Path) -> list[Path]:
    return [path for path in (root / ".maquette" / "tmp").iterdir() if path.is_file()]


def stored(root: Path) -> list[Path]:
    return [path for path in (root / ".maquette" / "objects").rglob("*") if path.is_file()]


async def test_a_picture_becomes_an_asset_with_what_was_said_of_it(served: Served) -> None:
    root = await project(served)
    data = noise()
    reply = await send(
        served,
        ("coast: at dusk.jpeg", data),
        consent="All agree.",
        tags="sea, dusk, sea",
        kind="reference",
    )
    assert reply.status_code == 201, reply.text
    (made,) = reply.json()
    assert made == {
        "id": made["id"],
        "name": "coast_ at dusk.png",
        "kind": "reference",
        "media_type": "image/png",
        "width": 32,
        "height": 32,
        "size_bytes": len(data),
        "sha256": digest_of(data),
        "duplicate_of": None,
    }
    (asset,) = await rows(served, Asset)
    (person,) = await rows(served, User)
    assert (asset.id, asset.creator_id) == (made["id"], person.id)
    (consent,) = await rows(served, Consent)
    assert (consent.words, consent.asset_id, consent.user_id) == ("All agree.", asset.id, person.id)
    assert {tag.tag for tag in await rows(served, AssetTag)} == {"sea", "dusk"}
    assert [path.read_bytes() for path in stored(root)] == [data]
    assert left_over(root) == []
    assert [event.kind for event in await rows(served, Event)] == ["asset_uploaded"]


async def test_several_files_and_the_same_one_twice(served: Served) -> None:
    root = await project(served)
    one, two = noise(1), noise(2)
    reply = await send(served, ("a.png", one), ("b.png", two), ("c.png", one))
    made = reply.json()
    assert [entry["name"] for entry in made] == ["a.png", "b.png", "c.png"]
    assert [entry["duplicate_of"] for entry in made] == [None, None, made[0]["id"]]
    again = (await send(served, ("d.png", two))).json()
    assert again[0]["duplicate_of"] == made[1]["id"]
    assert len(stored(root)) == len(await rows(served, Blob)) == 2
    assert len(await rows(served, Asset)) == 4


async def test_metadata_is_removed_where_that_is_asked_for(served: Served) -> None:
    root = await project(served)
    data = photograph()
    assert PLACE.encode() in data
    kept = (await send(served, ("a.jpg", data))).json()[0]
    assert kept["sha256"] == digest_of(data)
    bare = (await send(served, ("a.jpg", data), strip_metadata="true")).json()[0]
    assert bare["size_bytes"] < kept["size_bytes"]
    assert (bare["width"], bare["height"]) == (kept["width"], kept["height"]) == (20, 40)
    path = root / ".maquette" / "objects" / bare["sha256"][:2] / bare["sha256"]
    assert digest_of(path.read_bytes()) == bare["sha256"]
    assert PLACE.encode() not in path.read_bytes()
    assert left_over(root) == []


async def test_what_cannot_be_stripped_is_refused_and_not_kept(served: Served) -> None:
    root = await project(served)
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "BMP")
    reply = await send(served, ("a.bmp", out.getvalue()), strip_metadata="true")
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "capability-missing")
    assert "without asking" in reply.json()["detail"]
    assert left_over(root) == [] == await rows(served, Asset)


Files = list[tuple[str, bytes]]
BAD: dict[str, tuple[Files, dict[str, str], int, str]] = {
    "no picture": ([("a.png", b"%PDF-1.7 hello")], {}, 422, "unsupported-image"),
    "nothing": ([("a.png", b"")], {}, 422, "unsupported-image"),
    "a half": ([("a.png", noise()[:900])], {}, 422, "unsupported-image"),
    "one of two": ([("a.png", noise()), ("b.png", b"text")], {}, 422, "unsupported-image"),
    "a wrong kind": ([("a.png", noise())], {"kind": "mask"}, 422, "bad-parameter"),
    "a wrong switch": ([("a.png", noise())], {"strip_metadata": "perhaps"}, 422, "bad-parameter"),
    "another field": ([("a.png", noise())], {"colour": "red"}, 422, "bad-parameter"),
    "a NUL": ([("a.png", noise())], {"consent": "yes\0"}, 422, "bad-parameter"),
    "a long word": ([("a.png", noise())], {"tags": "x" * 65}, 422, "bad-parameter"),
    "a long field": ([("a.png", noise())], {"consent": "x" * 17_000}, 422, "bad-parameter"),
    "too many": ([("a.png", noise())] * 33, {}, 422, "bad-parameter"),
    "too large": ([("a.png", bytes(1024 * 1024 + 1))], {}, 413, "request-too-large"),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_is_refused_leaves_nothing(serve: Serve, case: str) -> None:
    files, fields, status, code = BAD[case]
    async with serve(upload_mb=1) as served:
        root = await project(served)
        reply = await send(served, *files, **fields)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
        assert left_over(root) == []
        assert not (root / ".maquette" / "objects").exists() or stored(root) == []
        assert await rows(served, Asset) == []
        assert (await send(served, ("a.png", noise()))).status_code == 201


RAW = {
    "json": ("application/json", b"{}", 415),
    "no boundary": ("multipart/form-data", b"", 415),
    "nothing": ("multipart/form-data; boundary=x", b"", 422),
    "no parts": ("multipart/form-data; boundary=x", b"--x--\r\n", 422),
    "a wrong boundary": ("multipart/form-data; boundary=x", b"--y\r\n\r\nz", 422),
    "an open end": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello',
        422,
    ),
    "no name": ("multipart/form-data; boundary=x", b"--x\r\nA: b\r\n\r\nhello\r\n--x--", 422),
    "endless headers": ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 9000, 422),
    "a long boundary": ("multipart/form-data; boundary=" + "x" * 500, b"", 422),
}


@pytest.mark.parametrize("case", RAW)
async def test_a_body_that_is_no_form_is_a_problem(served: Served, case: str) -> None:
    root = await project(served)
    kind, body, status = RAW[case]
    reply = await served.client.post(
        "/api/projects/p/assets", content=body, headers={"Content-Type": kind}
    )
    assert reply.status_code == status, reply.text
    assert left_over(root) == []


async def test_reading_stops_at_the_first_byte_too_many(serve: Serve) -> None:
    """The client is still sending: what follows is not written down."""
    async with serve(upload_mb=1) as served:
        root = await project(served)
        sent = 0

        async def body() -> AsyncGenerator[bytes]:
            nonlocal sent
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            for _ in range(64):
                yield bytes(1024 * 1024)
                sent += 1

        reply = await served.client.post(
            "/api/projects/p/assets",
            content=body(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
        assert reply.status_code == 413
        assert "MAQUETTE_SERVER__UPLOAD_MB" in reply.json()["detail"]
        assert left_over(root) == []


async def test_a_large_file_passes_through_little_memory(served: Served) -> None:
    """24 MB that are no picture: the whole of them is on the disk before that is found out."""
    root = await project(served)
    seen = 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal seen
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        piece = bytes(64 * 1024)
        for _ in range(24 * 16):
            yield piece
        seen = max(path.stat().st_size for path in left_over(root))
        yield b"\r\n--x--\r\n"

    tracemalloc.start()
    try:
        reply = await served.client.post(
            "/api/projects/p/assets",
            content=body(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "unsupported-image")
    assert seen > 16 * 1024 * 1024
    assert peak < 8 * 1024 * 1024


@asynccontextmanager
async def begun(served: Served, root: Path) -> AsyncGenerator[asyncio.StreamWriter]:
    """Send the first half of an upload and wait until it has reached the disk."""
    host, port = served.url.removeprefix("http://").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /api/projects/p/assets HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\nhello'.encode()
    )
    await writer.drain()
    await until(lambda: left_over(root))
    try:
        yield writer
    finally:
        writer.close()


async def until(done: Any) -> None:
    for _ in range(1000):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


async def test_a_client_that_goes_away_leaves_nothing(served: Served) -> None:
    root = await project(served)
    async with begun(served, root):
        pass
    await until(lambda: not left_over(root))
    assert not served.house.uploads.locked()


async def test_a_client_that_goes_silent_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "PACE_S", 0.5)
    root = await project(served)
    async with begun(served, root):
        await until(lambda: not left_over(root))


async def test_one_upload_more_than_may_be_is_asked_to_come_again(serve: Serve) -> None:
    async with serve(parallel_uploads=1) as served:
        root = await project(served)
        async with begun(served, root):
            busy = await send(served, ("a.png", noise()))
            assert (busy.status_code, busy.json()["error"]["code"]) == (429, "too-many-requests")
            assert int(busy.headers["Retry-After"]) >= 1
        await until(lambda: not left_over(root))
        assert (await send(served, ("a.png", noise()))).status_code == 201


@pytest.mark.parametrize("whose", ["the project's", "your"])
async def test_quotas_count_each_content_once(serve: Serve, whose: str) -> None:
    async with serve() as served:
        root = await project(served)
        one, two = noise(1), noise(2)
        await send(served, ("a.png", one))
        async with served.house.studio.shop.db.write() as session:
            kind = Project if whose == "the project's" else User
            (await session.execute(select(kind))).scalars().one().quota_bytes = len(one) + 10
        assert (await send(served, ("again.png", one))).status_code == 201
        full = await send(served, ("b.png", two))
        assert (full.status_code, full.json()["error"]["code"]) == (403, "quota-exceeded")
        assert whose in full.json()["detail"]
        assert len(stored(root)) == 1
        assert left_over(root) == []


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    found: str = request.getfixturevalue("fresh_database")
    return found


async def test_two_at_once_do_not_both_take_the_last_room(serve: Serve, url: str | None) -> None:
    async with serve(url=url) as served:
        await project(served)
        one, two = noise(1), noise(2)
        async with served.house.studio.shop.db.write() as session:
            (await session.execute(select(Project))).scalars().one().quota_bytes = len(one) + 10
        replies = await asyncio.gather(send(served, ("a.png", one)), send(served, ("b.png", two)))
        assert sorted(reply.status_code for reply in replies) == [201, 403]


async def test_the_list_at_the_same_address_is_bounded_as_usual(serve: Serve) -> None:
    """Only the upload reads its body itself."""
    async with serve(body_kb=16) as served:
        await project(served)
        body = b"x" * 17 * 1024
        reply = await served.client.request("GET", "/api/projects/p/assets", content=body)
        assert reply.status_code == 413


async def test_a_stranger_finds_no_project(served: Served) -> None:
    reply = await send(served, ("a.png", noise()), slug="nowhere")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "project-not-found")


async def test_the_contract_describes_the_form(served: Served) -> None:
    document = (await served.client.get("/openapi.json")).json()
    operation = document["paths"]["/api/projects/{slug}/assets"]["post"]
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["properties"].keys() == {"file", "kind", "consent", "strip_metadata", "tags"}
    assert {"201", "403", "404", "413", "415", "422", "429", "504", "507"} <= set(
        operation["responses"]
    )
