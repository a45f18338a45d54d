"""What one person may hold at once: memory, places, sessions; and what is told after a wait."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack, suppress
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from sqlalchemy import text, update
from tests.api import people
from tests.api.agents import agent, key_of, words
from tests.api.agents import told as answered
from tests.api.asked import PAID, left, own, told
from tests.api.conftest import Serve
from tests.api.pictures import noise
from tests.api.test_mcp import FREE, HEADERS, HELLO, OPENING

from maquette.core.errors import StorageUnavailable
from maquette.core.people import ProjectRole, Role, Scope
from maquette.db.tables import ApiKey
from maquette.services import members, projects
from maquette.testing.scripted import Act, Books
from maquette.testing.serving import Served

SMALL: dict[str, Any] = {"prompt": "a red house", "size": "64x48", "model": PAID}
IMAGES: dict[str, Any] = {"prompt": "a red house", "model": PAID, "size": "64x48"}
_ALL = (Scope.READ, Scope.WRITE, Scope.SPEND)
EDGE = "edge"
FORM = {"Content-Type": f"multipart/form-data; boundary={EDGE}"}


def part(name: str, said: str) -> bytes:
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return f"{head}{said}\r\n".encode()


def picture(data: bytes) -> bytes:
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="image"; filename="p.png"\r\n\r\n'
    return head.encode() + data + b"\r\n"


END = f"--{EDGE}--\r\n".encode()


# --- resources


async def test_a_resource_that_none_can_be_is_none(served: Served) -> None:
    """A NUL reaches no database, which would tell its statement back."""
    async with agent(served) as client:
        for strange in (
            "maquette://projects/a\0b/assets/x",
            "maquette://projects/personal-local/assets/x\0y",
            "maquette://projects/personal-local/assets/a b",
            "maquette://projects/../assets/x",
            "maquette://projects/personal-local/assets/x\n",
        ):
            with pytest.raises(MCPError, match="There is no resource"):
                await client.read_resource(strange)


async def test_what_breaks_unforeseen_is_told_neutrally(served: Served) -> None:
    """What the database or a file says of a damage stays in the log."""
    db = served.house.studio.shop.db
    async with agent(served) as client:
        made = answered(await client.call_tool("generate", FREE))
        uri = made["pictures"][0]["uri"]
        async with db.write() as session:
            await session.execute(text("UPDATE projects SET created_at = 'damaged'"))
        for ask in (client.list_resources, lambda: client.read_resource(uri)):
            with pytest.raises(MCPError, match=r"server's log has it\. \(") as told_of:
                await ask()
            assert "damaged" not in str(told_of.value)


async def test_no_error_of_the_database_tells_what_was_sent_to_it(served: Served) -> None:
    """Errors go into logs, where no secret belongs."""
    with pytest.raises(StorageUnavailable) as raised:
        async with served.house.studio.shop.db.read() as session:
            await session.execute(text("SELECT :it FROM nowhere"), {"it": "secret-7d1"})
    assert "nowhere" in str(raised.value.__cause__)
    assert "secret-7d1" not in str(raised.value.__cause__)


# --- forms and JSON


async def test_a_form_has_only_so_many_fields(served: Served) -> None:
    many = b"".join(part(f"options[o{one}]", "x") for one in range(129))
    reply = await served.client.post("/v1/edit", content=many + END, headers=FORM)
    assert told(reply) == (422, "bad-parameter")
    assert "at most 128 fields" in reply.json()["detail"]
    long = b"".join(part(f"options[o{one}]", "x" * 150_000) for one in range(8))
    reply = await served.client.post("/v1/edit", content=long + END, headers=FORM)
    assert told(reply) == (422, "bad-parameter")
    assert "together" in reply.json()["detail"]


async def test_what_comes_after_the_form_is_not_waited_for(serve: Serve) -> None:
    """The place for uploads is free again, and the answer there, at the last boundary."""
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        yield picture(noise(1)) + part("prompt", "a house") + part("model", PAID) + END
        await ended.wait()
        yield b"more"

    async with serve(parallel_uploads=1, work=False) as served, asyncio.timeout(20):
        sending = asyncio.create_task(
            served.client.post("/v1/edit", content=endless(), headers=FORM)
        )
        while not (await served.client.get("/v1/jobs")).json()["data"]:  # noqa: ASYNC110 - see below
            await asyncio.sleep(0.01)
        while served.house.uploads.locked():  # noqa: ASYNC110 - a semaphore rings no bell
            await asyncio.sleep(0.01)
        ended.set()
        assert (await sending).status_code == 202


async def test_a_form_that_only_begins_has_an_end(served: Served) -> None:
    """Line breaks before the first boundary are no form, however many there are."""
    reply = await served.client.post("/v1/edit", content=b"\r\n" * 2_200_000, headers=FORM)
    assert told(reply) == (422, "bad-parameter")
    assert "beside its files" in reply.json()["detail"]


async def test_json_names_only_so_many_pictures(served: Served) -> None:
    """They are counted before any is looked at: that these are no pictures is not said."""
    await own(served)
    before = await left(served)
    body = {**SMALL, "image": ["nonsense"] * 20, "images": ["nonsense"] * 13}
    reply = await served.client.post("/v1/edit", json=body)
    assert told(reply) == (422, "bad-parameter")
    assert "33 pictures; send at most 32" in reply.json()["detail"]
    assert await left(served) == before


async def test_json_is_read_to_32_mebibytes(serve: Serve) -> None:
    async with serve(upload_mb=64, work=False) as served:
        large = b'{"image": "' + b"A" * 34_000_000
        reply = await served.client.post("/v1/edit", content=large)
    assert told(reply) == (413, "request-too-large")
    assert "multipart/form-data" in reply.json()["detail"]


@pytest.mark.parametrize(
    "sent", ["A" * 300_000 + "=" + "A" * 300_000, "A" * 600_001, "é" * 300_000]
)
async def test_long_base64_is_as_strict_as_short(served: Served, sent: str) -> None:
    body = {**SMALL, "image": f"data:image/png;base64,{sent}"}
    reply = await served.client.post("/v1/edit", json=body)
    assert told(reply) == (422, "bad-parameter")
    assert "no base64" in reply.json()["detail"]


async def test_a_long_picture_in_json_arrives_whole(served: Served) -> None:
    """It is decoded in pieces; the bytes are the same."""
    given = noise(1, height_px=700, width_px=700)
    assert len(given) > 1_000_000
    sent = {**SMALL, "image": f"data:image/png;base64,{base64.b64encode(given).decode()}"}
    job = (await served.client.post("/v1/edit", params={"wait": "30"}, json=sent)).json()
    assert job["status"] == "succeeded", job
    asset = job["request"]["pictures"][0]
    file = await served.client.get(f"/api/projects/personal-local/assets/{asset}/file")
    assert file.content == given


# --- messages and sessions of agents


async def test_a_message_holds_no_upload_while_its_tool_waits(serve: Serve) -> None:
    """One that comes in chunks could be large, until it is read."""
    async with serve(parallel_uploads=1, work=False) as served, asyncio.timeout(20):
        async with agent(served) as client:
            job = answered(await client.call_tool("generate", {**FREE, "wait_s": 0}))["job"]
        call = {"name": "follow_job", "arguments": {"job": job, "wait_s": 60}}
        opened = await served.client.post("/mcp", json=OPENING, headers=HEADERS)
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        message = json.dumps({**HELLO, "method": "tools/call", "params": call}).encode()

        async def chunks() -> AsyncGenerator[bytes]:
            yield message

        waiting = asyncio.create_task(
            served.client.post("/mcp", content=chunks(), headers=HEADERS | session)
        )
        await begun(served)
        while served.house.uploads.locked():  # noqa: ASYNC110 - a semaphore rings no bell
            await asyncio.sleep(0.01)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        served.house.stop()


async def test_who_opens_many_sessions_ends_their_own(serve: Serve) -> None:
    """The one that was not used for the longest time goes; everybody else's stay."""
    async with serve(auth="multi", work=False) as served:
        headers: list[dict[str, str]] = []
        for name, role in (("ann", Role.CREATOR), ("bob", Role.VIEWER)):
            who = await people.make(served.house.studio, name, role)
            key = await key_of(served, who, name, role, Scope.READ)
            headers.append({**HEADERS, "Authorization": f"Bearer {key}"})
        ann, bob = headers

        async def opened(of: dict[str, str]) -> dict[str, str]:
            reply = await served.client.post("/mcp", json=OPENING, headers=of)
            assert reply.status_code == 200
            return of | {"Mcp-Session-Id": reply.headers["mcp-session-id"]}

        async def answers(session: dict[str, str]) -> int:
            return (await served.client.post("/mcp", json=HELLO, headers=session)).status_code

        hers = await opened(ann)
        first, second = await opened(bob), await opened(bob)
        for _ in range(18):
            await opened(bob)
        assert await answers(first) == 200
        last = await opened(bob)
        assert [await answers(one) for one in (first, second, last, hers)] == [200, 404, 200, 200]


# --- who waits


async def test_only_so_many_of_one_persons_requests_wait(serve: Serve, books: Books) -> None:
    """What is refused has begun nothing; others, and requests that do not wait, go on."""
    async with serve(auth="multi", work=False) as served:
        ids = [
            await people.make(served.house.studio, name, Role.CREATOR) for name in ("ann", "bob")
        ]
        hers = ids[0]
        keys = [await key_of(served, one, "", Role.CREATOR, *_ALL) for one in ids]
        mine = keys[0]
        ann, bob = (people.bearer(served, one) for one in keys)
        job = (await ann.post("/v1/generate", json=SMALL)).json()["id"]
        wait = {"wait": "0.05"}
        with ExitStack() as held:
            for _ in range(64):
                held.enter_context(served.house.waiters.place(hers))
            before = await left(served)
            refused = [
                await ann.get(f"/v1/jobs/{job}", params=wait),
                await ann.post("/v1/generate", params=wait, json=SMALL),
                await ann.post("/v1/images/generations", json=IMAGES),
                await ann.post("/v1/images/generations", json={**IMAGES, "stream": True}),
            ]
            for reply in refused:
                assert reply.status_code == 429
                assert int(reply.headers["retry-after"]) > 0
            async with agent(served, mine) as client:
                said = await client.call_tool("generate", FREE)
                assert "(too-many-requests)" in words(said)
            assert await left(served) == before
            assert (await ann.post("/v1/generate", json=SMALL)).status_code == 202
            other = await bob.post("/v1/generate", params=wait, json=SMALL)
            assert other.status_code == 202
        assert (await ann.get(f"/v1/jobs/{job}", params=wait)).status_code == 200
    assert not books.entries()


async def test_a_wait_holds_a_place_to_its_end(serve: Serve) -> None:
    """Also a stream's, and one whose client goes away."""
    async with serve(work=False) as served, asyncio.timeout(20):
        waiters = served.house.waiters
        for body in (IMAGES, {**IMAGES, "stream": True}):
            async with httpx2.AsyncClient(base_url=served.url) as other:
                waiting = asyncio.create_task(other.post("/v1/images/generations", json=body))
                await begun(served)
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    await waiting
            while waiters.waiting:  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.01)


# --- who was locked out meanwhile


async def begun(served: Served) -> None:
    """Wait until a request is among those who wait."""
    while not served.house.waiters.waiting:  # noqa: ASYNC110 - a count rings no bell
        await asyncio.sleep(0.005)


async def revoked(served: Served) -> None:
    studio = served.house.studio
    async with studio.shop.db.write() as session:
        await session.execute(update(ApiKey).values(revoked_at=studio.shop.clock.now()))


WAITS: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("/v1/images/generations", IMAGES, {}),
    ("/v1/generate", {**SMALL, "data_uri": True}, {"wait": "30"}),
]


@pytest.mark.parametrize(("path", "body", "params"), WAITS)
async def test_who_is_locked_out_while_they_wait_is_told_nothing(
    serve: Serve, books: Books, path: str, body: dict[str, Any], params: dict[str, str]
) -> None:
    async with serve(Act(delay_s=0.3), auth="multi") as served, asyncio.timeout(20):
        who = await people.make(served.house.studio, "ann", Role.CREATOR)
        key = await key_of(served, who, "ann", Role.CREATOR, *_ALL)
        ann = people.bearer(served, key)
        waiting = asyncio.create_task(ann.post(path, json=body, params=params))
        while not books.entries():  # noqa: ASYNC110 - the other side's books ring none either
            await asyncio.sleep(0.005)
        await revoked(served)
        reply = await waiting
        assert reply.status_code == 401
        assert "b64_json" not in reply.text and "data:image" not in reply.text


async def test_a_stream_ends_before_the_picture_of_who_is_locked_out(serve: Serve) -> None:
    body = {**IMAGES, "stream": True, "partial_images": 1}
    async with serve(Act(delay_s=0.3, partials=1), auth="multi") as served, asyncio.timeout(20):
        who = await people.make(served.house.studio, "ann", Role.CREATOR)
        key = await key_of(served, who, "ann", Role.CREATOR, *_ALL)
        headers = {"Authorization": f"Bearer {key}"}
        lines: list[str] = []
        async with served.client.stream(
            "POST", "/v1/images/generations", json=body, headers=headers
        ) as stream:
            async for line in stream.aiter_lines():
                lines.append(line)
                if line.startswith("event: image_generation.partial_image"):
                    await revoked(served)
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names == ["image_generation.partial_image", "error"]
    assert sum("b64_json" in line for line in lines) == 1
    assert "invalid_api_key" in "".join(lines)


async def test_who_was_put_out_of_the_project_is_told_of_no_job(serve: Serve) -> None:
    """GET with `wait`, by a member of somebody else's project."""
    async with serve(Act(delay_s=0.3), auth="multi") as served, asyncio.timeout(20):
        studio = served.house.studio
        who = await people.make(studio, "ann", Role.CREATOR)
        ann = people.bearer(served, await key_of(served, who, "ann", Role.CREATOR, *_ALL))
        bob_id = await people.make(studio, "bob", Role.CREATOR)
        bob = people.bearer(served, await key_of(served, bob_id, "bob", Role.CREATOR, *_ALL))
        job = (await ann.post("/v1/generate", json=SMALL)).json()["id"]
        project = (await projects.find(studio, "personal-ann")).id
        await members.set_role(studio, project, "bob", ProjectRole.VIEWER)
        there = {"X-Maquette-Project": "personal-ann"}
        waiting = asyncio.create_task(bob.get(f"/v1/jobs/{job}?wait=30", headers=there))
        await begun(served)
        await members.remove(studio, project, "bob")
        assert told(await waiting) == (404, "project-not-found")
