"""Bytes over HTTP: whole, in part, conditional, never executed; thumbnails made once."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from PIL import Image
from tests.api.conftest import Serve
from tests.api.pictures import AT, noise, project, send, uploaded

from maquette.api.files import attachment
from maquette.core.requests import Digest, digest_of
from maquette.core.storage import Key, thumbnail_key
from maquette.storage.local import LocalStorage
from maquette.storage.memory import MemoryStorage
from maquette.testing.serving import Served

DATA = noise()
SIZE = len(DATA)


async def one(served: Served, name: str = "p0.png") -> str:
    await project(served)
    reply = await send(served, name, DATA)
    assert reply.status_code == 201, reply.text
    return f"{AT}/{reply.json()[0]['id']}"


async def test_the_bytes_come_as_they_are_and_for_ever(served: Served) -> None:
    reply = await served.client.get(f"{await one(served)}/file")
    assert reply.content == DATA
    assert reply.headers["ETag"] == f'"{digest_of(DATA)}"'
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.headers["Content-Length"] == str(SIZE)
    assert reply.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert "Content-Disposition" not in reply.headers


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ('"{etag}"', 304),
        ('W/"{etag}"', 304),
        ('"x", "{etag}"', 304),
        ("*", 304),
        ('"x"', 200),
        ("{etag}", 200),
    ],
)
async def test_what_the_caller_has_is_not_sent_again(
    served: Served, asked: str, status: int
) -> None:
    path = await one(served)
    headers = {"If-None-Match": asked.format(etag=digest_of(DATA))}
    for method in ("GET", "HEAD"):
        reply = await served.client.request(method, f"{path}/file", headers=headers)
        assert reply.status_code == status
        assert reply.headers["ETag"] == f'"{digest_of(DATA)}"'


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=5-{SIZE + 100}", 5, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
    ],
)
async def test_a_range_is_sent_alone(served: Served, asked: str, start: int, end: int) -> None:
    path = await one(served)
    reply = await served.client.get(f"{path}/file", headers={"Range": asked})
    assert reply.status_code == 206
    assert reply.content == DATA[start:end]
    assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
    head = await served.client.head(f"{path}/file", headers={"Range": asked})
    assert (head.status_code, head.headers["Content-Length"]) == (206, str(end - start))
    assert head.content == b""


@pytest.mark.parametrize(
    "asked",
    [f"bytes={SIZE}-", "bytes=9-3", "bytes=-0", "bytes=-", "bytes=a-b", "bytes=1" + "0" * 30 + "-"],
)
async def test_a_range_outside_is_refused(served: Served, asked: str) -> None:
    reply = await served.client.get(f"{await one(served)}/file", headers={"Range": asked})
    assert (reply.status_code, reply.json()["error"]["code"]) == (416, "range-outside")
    assert reply.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "items=0-1"])
async def test_ranges_that_are_not_served_give_the_whole(served: Served, asked: str) -> None:
    reply = await served.client.get(f"{await one(served)}/file", headers={"Range": asked})
    assert (reply.status_code, reply.content) == (200, DATA)


@pytest.mark.parametrize(("etag", "status"), [(digest_of(DATA), 206), ("other", 200)])
async def test_a_range_of_other_bytes_gives_the_whole(
    served: Served, etag: str, status: int
) -> None:
    headers = {"Range": "bytes=0-1", "If-Range": f'"{etag}"'}
    reply = await served.client.get(f"{await one(served)}/file", headers=headers)
    assert reply.status_code == status


async def test_a_download_has_its_name(served: Served) -> None:
    path = await one(served, "Süße Küste.png")
    reply = await served.client.get(f"{path}/file", params={"download": "1"})
    assert reply.headers["Content-Disposition"] == (
        "attachment; filename=\"S__e K_ste.png\"; filename*=UTF-8''S%C3%BC%C3%9Fe%20K%C3%BCste.png"
    )


def test_a_name_cannot_leave_its_header() -> None:
    told = attachment('a"; filename=b\r\nX: y\\.png')
    assert "\r" not in told
    assert "\n" not in told
    assert told.startswith('attachment; filename="a_; filename=b__X: y_.png"; filename*=')


async def test_bytes_that_are_gone_are_a_problem_not_a_crash(served: Served) -> None:
    path = await one(served)
    root = served.house.studio.home / "projects/p"
    digest = digest_of(DATA)
    (root / ".maquette/objects" / digest[:2] / digest).unlink()
    for what in ("file", "thumbnail"):
        reply = await served.client.get(f"{path}/{what}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "object-not-found")


async def test_a_store_without_files_is_streamed(
    served: Served,
) -> None:
    path = await one(served)
    store = MemoryStorage(served.house.studio.home)
    digest = Digest(digest_of(DATA))
    await store.put(Key(f"objects/{digest[:2]}/{digest}"), DATA)

    def opened(_root: Path) -> MemoryStorage:
        return store

    object.__setattr__(served.house.studio.shop, "open_storage", opened)
    assert (await served.client.get(f"{path}/file")).content == DATA
    part = await served.client.get(f"{path}/file", headers={"Range": "bytes=3-9"})
    assert part.content == DATA[3:10]
    small = await served.client.get(f"{path}/thumbnail", params={"format": "avif"})
    assert Image.open(io.BytesIO(small.content)).size == (32, 32)
    assert await store.read(thumbnail_key(digest, 256, "avif")) == small.content


@pytest.mark.parametrize("kind", ["webp", "avif"])
@pytest.mark.parametrize("side", [256, 512, 1024])
async def test_a_thumbnail_fits_its_side_and_never_grows(
    served: Served, kind: str, side: int
) -> None:
    await project(served)
    made = await send(served, "wide.png", noise(3, height_px=200, width_px=600))
    path = f"{AT}/{made.json()[0]['id']}/thumbnail"
    reply = await served.client.get(path, params={"side": side, "format": kind})
    assert reply.headers["Content-Type"] == f"image/{kind}"
    assert reply.headers["Cache-Control"].endswith("immutable")
    assert max(Image.open(io.BytesIO(reply.content)).size) == min(side, 600)
    again = {"If-None-Match": reply.headers["ETag"]}
    seen = await served.client.get(path, params={"side": side, "format": kind}, headers=again)
    assert seen.status_code == 304


@pytest.mark.parametrize("query", ["side=300", "side=x", "format=gif"])
async def test_other_thumbnails_are_not_made(served: Served, query: str) -> None:
    reply = await served.client.get(f"{await one(served)}/thumbnail?{query}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad-parameter")


async def test_a_thumbnail_is_made_once_for_all_who_ask(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await one(served)
    made: list[Key] = []
    put = LocalStorage.put

    async def counted(self: LocalStorage, key: Key, data: bytes) -> object:
        made.append(key)
        return await put(self, key, data)

    monkeypatch.setattr(LocalStorage, "put", counted)
    asked = [served.client.get(f"{path}/thumbnail") for _ in range(8)]
    replies = await asyncio.gather(*asked)
    assert {reply.status_code for reply in replies} == {200}
    assert (await served.client.get(f"{path}/thumbnail")).content == replies[0].content
    assert made == [thumbnail_key(Digest(digest_of(DATA)), 256, "webp")]


async def test_thumbnails_do_not_count_against_the_limit(serve: Serve) -> None:
    async with serve(per_minute=10) as served:
        (asset_id,) = await uploaded(served, 1)
        path = f"{AT}/{asset_id}/thumbnail"
        replies = [await served.client.get(path) for _ in range(12)]
        assert {reply.status_code for reply in replies} == {200}
