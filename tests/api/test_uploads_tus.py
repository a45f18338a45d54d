"""Resumable uploads by tus 1.0: whatever breaks off goes on where it stood."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select, update
from tests.api.conftest import Serve
from tests.api.test_uploads import left_over, noise, photograph, project, rows, stored, until

from maquette.core.requests import digest_of
from maquette.db.tables import Asset, Consent, Project, Upload
from maquette.services import resuming, staging
from maquette.testing.serving import Served

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = TUS | {"Content-Type": "application/offset+octet-stream"}
DATA = noise(7)


def metadata(**told: str) -> dict[str, str]:
    words = [f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in told.items()]
    return {"Upload-Metadata": ",".join(words)}


async def begin(served: Served, size: int = len(DATA), **told: str) -> str:
    headers = TUS | {"Upload-Length": str(size)} | metadata(filename="coast.png", **told)
    reply = await served.client.post("/api/projects/p/uploads", headers=headers)
    assert reply.status_code == 201, reply.text
    assert reply.headers["Upload-Offset"] == "0"
    return reply.headers["Location"]


async def patch(
    served: Served, where: str, offset: int, data: bytes, **more: str
) -> httpx2.Response:
    headers = BYTES | {"Upload-Offset": str(offset)} | more
    return await served.client.patch(where, content=data, headers=headers)


async def offset(served: Served, where: str) -> int:
    reply = await served.client.head(where, headers=TUS)
    assert reply.status_code == 200, reply.text
    assert reply.headers["Tus-Resumable"] == "1.0.0"
    return int(reply.headers["Upload-Offset"])


def code(reply: httpx2.Response) -> tuple[int, str]:
    assert reply.headers["Tus-Resumable"] == "1.0.0"
    return reply.status_code, reply.json()["error"]["code"]


async def test_a_file_comes_in_pieces_and_becomes_an_asset(served: Served) -> None:
    root = await project(served)
    where = await begin(served, consent="All agree.", kind="reference", tags="sea")
    first = await patch(served, where, 0, DATA[:1000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    assert parsedate_to_datetime(first.headers["Upload-Expires"])
    assert await offset(served, where) == 1000
    last = await patch(served, where, 1000, DATA[1000:])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(DATA)))
    (asset,) = await rows(served, Asset)
    assert (asset.id, asset.name) == (last.headers["Upload-Asset"], "coast.png")
    assert (asset.kind, asset.digest) == ("reference", digest_of(DATA))
    assert [one.words for one in await rows(served, Consent)] == ["All agree."]
    assert [path.read_bytes() for path in stored(root)] == [DATA]
    assert left_over(root) == []
    told = await served.client.head(where, headers=TUS)
    assert told.headers["Upload-Offset"] == told.headers["Upload-Length"] == str(len(DATA))
    assert told.headers["Upload-Asset"] == asset.id
    assert told.headers["Cache-Control"] == "no-store"


async def test_the_whole_file_may_come_with_the_first_request(served: Served) -> None:
    root = await project(served)
    data = photograph()
    headers = BYTES | {"Upload-Length": str(len(data))} | metadata(filename="a.jpg", strip="true")
    reply = await served.client.post("/api/projects/p/uploads", content=data, headers=headers)
    assert reply.status_code == 201, reply.text
    assert reply.headers["Upload-Offset"] == str(len(data))
    (asset,) = await rows(served, Asset)
    assert asset.id == reply.headers["Upload-Asset"]
    assert b"57 deg" not in stored(root)[0].read_bytes()
    assert left_over(root) == []


async def test_it_says_what_it_can_do(served: Served) -> None:
    await project(served)
    for where in ("/api/projects/p/uploads", await begin(served)):
        reply = await served.client.options(where)
        assert reply.status_code == 204
        assert reply.headers["Tus-Version"] == "1.0.0"
        assert set(reply.headers["Tus-Extension"].split(",")) == {
            *("creation", "creation-with-upload", "termination", "expiration", "checksum")
        }
        assert reply.headers["Tus-Checksum-Algorithm"] == "sha256,sha1"
        assert reply.headers["Tus-Max-Size"] == str(50 * 1024 * 1024)


async def test_another_offset_is_a_conflict_that_tells_the_right_one(served: Served) -> None:
    await project(served)
    where = await begin(served)
    await patch(served, where, 0, DATA[:10])
    wrong = await patch(served, where, 5, DATA[5:])
    assert code(wrong) == (409, "wrong-state")
    assert wrong.json()["error"]["details"] == {"offset_bytes": 10}
    assert await offset(served, where) == 10


@pytest.mark.parametrize("version", [None, "0.2.2"])
async def test_another_version_is_told_which_one_is_spoken(
    served: Served, version: str | None
) -> None:
    await project(served)
    headers = {"Upload-Length": "5"} | ({} if version is None else {"Tus-Resumable": version})
    reply = await served.client.post("/api/projects/p/uploads", headers=headers)
    assert code(reply) == (412, "protocol-unsupported")
    assert reply.headers["Tus-Version"] == "1.0.0"


async def test_requests_that_cannot_be_right_are_refused(serve: Serve) -> None:
    async with serve(upload_mb=1) as served:
        await project(served)
        where = await begin(served)

        async def created(**headers: str) -> tuple[int, str]:
            reply = await served.client.post("/api/projects/p/uploads", headers=TUS | headers)
            return code(reply)

        assert await created() == (422, "bad-parameter")
        assert await created(**{"Upload-Length": "0"}) == (422, "bad-parameter")
        assert await created(**{"Upload-Length": str(2**20 + 1)}) == (413, "request-too-large")
        for told in ("colour cmVk", "filename ===", "filename YQ==,filename YQ==", "kind bWFzaw=="):
            bad = await created(**{"Upload-Length": "5", "Upload-Metadata": told})
            assert bad == (422, "bad-parameter"), told
        plain = TUS | {"Upload-Offset": "0", "Content-Type": "image/png"}
        reply = await served.client.patch(where, content=DATA, headers=plain)
        assert code(reply) == (415, "unsupported-media")
        assert code(await patch(served, where[:-1] + "z", 0, DATA)) == (422, "bad-parameter")
        assert code(await patch(served, where, 0, DATA + b"!")) == (413, "request-too-large")
        assert (await served.client.get(where)).status_code == 405


async def test_uploads_that_are_not_there_are_not_found(served: Served) -> None:
    await project(served)
    await served.client.post("/api/projects", json={"name": "q", "slug": "q"})
    where = await begin(served)
    elsewhere = where.replace("/p/", "/q/")
    nowhere = where[:-12] + "000000000000"
    for address in (elsewhere, nowhere):
        assert code(await patch(served, address, 0, DATA)) == (404, "upload-not-found")
        assert (await served.client.head(address, headers=TUS)).status_code == 404
        gone = await served.client.delete(address, headers=TUS)
        assert code(gone) == (404, "upload-not-found")


async def test_an_upload_that_is_given_up_is_gone(served: Served) -> None:
    root = await project(served)
    where = await begin(served)
    await patch(served, where, 0, DATA[:100])
    assert len(left_over(root)) == 1
    assert (await served.client.delete(where, headers=TUS)).status_code == 204
    assert left_over(root) == [] == await rows(served, Upload)
    assert (await served.client.head(where, headers=TUS)).status_code == 404


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
async def test_bytes_that_do_not_match_their_checksum_are_not_kept(
    served: Served, algorithm: str
) -> None:
    root = await project(served)
    where = await begin(served)
    await patch(served, where, 0, DATA[:100])

    def checksum(data: bytes) -> dict[str, str]:
        digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
        return {"Upload-Checksum": f"{algorithm} {digest}"}

    right = DATA[100:]
    wrong = await patch(served, where, 100, b"?" + right[1:], **checksum(right))
    assert code(wrong) == (460, "checksum-mismatch")
    assert await offset(served, where) == 100
    assert (await patch(served, where, 100, right, **checksum(right))).status_code == 204
    assert stored(root)[0].read_bytes() == DATA
    md5 = await patch(served, await begin(served), 0, right, **{"Upload-Checksum": "md5 AAAA"})
    assert code(md5) == (422, "bad-parameter")


async def test_what_is_no_picture_is_forgotten(served: Served) -> None:
    root = await project(served)
    where = await begin(served, size=5)
    assert code(await patch(served, where, 0, b"hello")) == (422, "unsupported-image")
    assert left_over(root) == [] == await rows(served, Upload)


async def test_what_came_before_the_line_broke_is_kept(served: Served) -> None:
    root = await project(served)
    where = await begin(served)
    host, port = served.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = "".join(f"{name}: {value}\r\n" for name, value in BYTES.items())
    writer.write(
        f"PATCH {where} HTTP/1.1\r\nHost: {host}:{port}\r\nUpload-Offset: 0\r\n{head}"
        f"Content-Length: {len(DATA)}\r\n\r\n".encode()
        + DATA[:777]
    )
    await writer.drain()
    await until(lambda: any(path.stat().st_size == 777 for path in left_over(root)))
    busy = await patch(served, where, 0, DATA)
    assert code(busy) == (409, "still-working")
    writer.close()
    while (told := await offset(served, where)) != 777:
        assert told == 0
    assert (await patch(served, where, 777, DATA[777:])).status_code == 204
    assert stored(root)[0].read_bytes() == DATA


@pytest.mark.parametrize("there", [60, 140, None])
async def test_it_goes_on_from_what_both_the_row_and_the_file_have(
    served: Served, there: int | None
) -> None:
    """A crash may leave more bytes than were made sure of; a broken disk, fewer."""
    root = await project(served)
    where = await begin(served)
    await patch(served, where, 0, DATA[:100])
    (part,) = left_over(root)
    if there is None:
        part.unlink()
    else:
        with part.open("r+b") as file:
            file.truncate(60)
            file.seek(60)
            file.write(b"?" * (there - 60) if there < 100 else DATA[60:100] + b"?" * 40)
    expected = min(100, there or 0)
    assert await offset(served, where) == expected
    assert (await patch(served, where, expected, DATA[expected:])).status_code == 204
    assert stored(root)[0].read_bytes() == DATA


async def test_an_end_that_nobody_was_told_of_is_asked_for_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All bytes were there, then the disk was full: sending the last byte again finishes it."""
    await project(served)
    where = await begin(served)
    storage = type(served.house.studio.shop.place(Path("x")).storage)
    with monkeypatch.context() as full:

        async def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        full.setattr(storage, "put_file", refuse)
        assert (await patch(served, where, 0, DATA)).status_code == 500
    assert await offset(served, where) == len(DATA) - 1
    last = await patch(served, where, len(DATA) - 1, DATA[-1:])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(DATA)))
    assert len(await rows(served, Asset)) == 1


async def test_what_nobody_goes_on_with_expires(served: Served) -> None:
    root = await project(served)
    where = await begin(served)
    await patch(served, where, 0, DATA[:100])
    async with served.house.studio.shop.db.write() as session:
        await session.execute(update(Upload).values(expires_at=Upload.created_at))
    assert (await served.client.head(where, headers=TUS)).status_code == 404
    await begin(served)
    assert left_over(root) == []
    assert len(await rows(served, Upload)) == 1


async def test_promised_bytes_count_for_the_quota(served: Served) -> None:
    await project(served)
    async with served.house.studio.shop.db.write() as session:
        person = (await session.execute(select(Project))).scalars().one()
        person.quota_bytes = 5000
    headers = TUS | {"Upload-Length": "5001"}
    assert code(await served.client.post("/api/projects/p/uploads", headers=headers)) == (
        403,
        "quota-exceeded",
    )


async def test_a_start_sweeps_what_the_dead_left(serve: Serve) -> None:
    """A file that a living process holds stays, one of a dead process goes."""
    async with serve() as served:
        root = await project(served)
        where = await begin(served)
        await patch(served, where, 0, DATA[:100])
    scratch = root / ".maquette" / "tmp"
    (scratch / "upload-of-the-dead.tmp").write_bytes(b"rest")
    (scratch / "11111111-1111-1111-1111-111111111111.part").write_bytes(b"rest")
    with staging.temporary(scratch) as living:
        async with serve() as served:
            assert living.path in left_over(root)
            assert len(left_over(root)) == 2
            assert await offset(served, where) == 100


def test_the_longest_an_upload_waits_is_a_day() -> None:
    assert timedelta(days=1) == resuming.KEPT


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")
async def test_a_killed_server_goes_on_from_what_was_sure(tmp_path: Path) -> None:
    """kill -9 in the middle of a request: the next server has all that was told to be there."""
    home = tmp_path / "killed"
    with _started(home) as (server, url):
        async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
            made = await client.post("/api/projects", json={"name": "p", "slug": "p"})
            root = Path(made.json()["project_root"])
            headers = TUS | {"Upload-Length": str(len(DATA))} | metadata(filename="a.png")
            begun = await client.post("/api/projects/p/uploads", headers=headers)
            where = begun.headers["Location"]
            first = BYTES | {"Upload-Offset": "0"}
            assert (await client.patch(where, content=DATA[:500], headers=first)).status_code == 204

            async def half() -> AsyncGenerator[bytes]:
                yield DATA[500:900]
                await until(lambda: any(path.stat().st_size == 900 for path in left_over(root)))
                server.send_signal(signal.SIGKILL)
                server.wait()

            second = BYTES | {"Upload-Offset": "500"}
            with pytest.raises(httpx2.HTTPError):
                await client.patch(where, content=half(), headers=second)
    with _started(home) as (server, url):
        async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
            told = await client.head(where, headers=TUS)
            assert told.headers["Upload-Offset"] == "500"
            last = await client.patch(where, content=DATA[500:], headers=second)
            assert last.status_code == 204, last.text
    assert stored(root)[0].read_bytes() == DATA


@contextmanager
def _started(home: Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    command = [str(Path(sys.executable).with_name("maquette")), "serve", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--no-worker"],
        env={**os.environ, "MAQUETTE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with server:
        assert server.stdout is not None
        try:
            lines = iter(server.stdout.readline, "")
            yield server, next(found[0] for one in lines if (found := _ADDRESS.search(one)))
        finally:
            server.kill()


_ADDRESS = re.compile(r"http://[\d.:]+")
