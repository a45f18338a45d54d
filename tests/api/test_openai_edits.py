"""Edits by OpenAI's dialect keep what they were sent for their jobs alone."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
from tests.api.asked import PAID, hole, left, own, rows
from tests.api.conftest import Serve
from tests.api.pictures import noise, project, send

from maquette.db import ledger
from maquette.testing.scripted import Act, Books
from maquette.testing.serving import Served

EDITS = "/v1/images/edits"
FORM = {"prompt": "a red house", "model": PAID}
RETRY = "X-Stainless-Retry-Count"
LONG = "9" * 5000


async def edited(served: Served, *, retry: str = "", **more: str) -> httpx2.Response:
    files = [("image", ("p.png", noise(1))), ("mask", ("mask.png", hole()))]
    headers = {RETRY: retry} if retry else {}
    return await served.client.post(EDITS, files=files, data={**FORM, **more}, headers=headers)


async def kinds(served: Served) -> list[str]:
    reply = await served.client.get("/api/projects/personal-local/assets?limit=200")
    return sorted(one["kind"] for one in reply.json()["items"])


async def test_what_is_not_to_be_stored_is_forgotten_with_its_mask(served: Served) -> None:
    reply = await edited(served, **{"maquette[store]": "false"})
    assert reply.status_code == 200, reply.text
    async with asyncio.timeout(20):
        given = {"mask", "source"}
        while given:
            given &= set(await kinds(served))
            await asyncio.sleep(0.02)


async def test_a_limit_refuses_before_anything_is_kept(served: Served, books: Books) -> None:
    await own(served)
    before = await rows(served)
    reply = await edited(served, **{"maquette[max_spend_usd]": "0.001"})
    assert reply.status_code == 429, reply.text
    assert "its limit of $0.001" in reply.json()["error"]["message"]
    addressed = {"response_format": "url", "output_format": "jpeg"}
    assert (await edited(served, **addressed)).status_code == 400
    assert await rows(served) == before
    assert books.entries() == []


async def test_a_cap_takes_back_what_was_kept(served: Served, books: Books) -> None:
    await own(served)
    before = await left(served)
    async with served.house.studio.shop.db.write() as session:
        await ledger.set_cap(session, "installation", 10_000_000)
    reply = await edited(served)
    assert reply.status_code == 429, reply.text
    assert await left(served) == before
    assert books.entries() == []


async def test_a_try_that_was_overtaken_takes_back_what_it_kept(serve: Serve, books: Books) -> None:
    """Its pictures and its mask are those of the run that stands."""
    async with serve(Act(delay_s=0.3)) as served:
        await own(served)
        replies = await asyncio.gather(
            *(edited(served, retry=retry) for retry in ("", "1", "2", "3"))
        )
        assert {reply.status_code for reply in replies} == {200}
        assert len(books.entries()) == 1
        assert [kind for kind in await kinds(served) if kind in ("mask", "source")] == [
            "mask",
            "source",
        ]


async def test_whether_others_have_an_asset_is_not_told(served: Served) -> None:
    await project(served)
    theirs = (await send(served, data=noise(3))).json()[0]["id"]
    nobodys = "00000000-0000-4000-8000-000000000000"
    told: list[str] = []
    for asset in (theirs, nobodys):
        body = {**FORM, "images": [{"file_id": asset}]}
        reply = await served.client.post(EDITS, json=body)
        assert reply.status_code == 404, reply.text
        told.append(reply.json()["error"]["message"].replace(asset, "X"))
    assert told[0] == told[1]


async def test_numbers_of_thousands_of_digits_are_refused(served: Served, books: Books) -> None:
    """Python reads none of more than 4300."""
    files = [("image", ("p.png", noise(1)))]
    wrong: list[dict[str, str]] = [{"n": LONG}, {"size": f"{LONG}x1"}, {"maquette[seed]": LONG}]
    for more in wrong:
        reply = await served.client.post(EDITS, files=files, data={**FORM, **more})
        assert reply.status_code == 400, (more.keys(), reply.text)
        reply = await served.client.post("/v1/edit", files=files, data={**FORM, **more})
        assert reply.status_code == 422, (more.keys(), reply.text)
    body: dict[str, Any] = {"content": f'{{"prompt": "x", "model": "{PAID}", "n": {LONG}}}'}
    kind = {"Content-Type": "application/json"}
    for path in ("/v1/images/generations", EDITS, "/v1/generate", "/v1/edit"):
        reply = await served.client.post(path, headers=kind, **body)
        assert reply.status_code in (400, 422), (path, reply.text)
    reply = await edited(served, retry=LONG)
    assert reply.status_code == 400
    assert books.entries() == []


async def test_a_declared_length_that_is_no_number_is_none(served: Served) -> None:
    """A superscript is a digit to Python, and no number."""
    for declared, status in ((LONG, 413), ("²".encode("latin-1"), 200)):
        reply = await _declared(served, declared)
        assert reply == status


async def _declared(served: Served, declared: str | bytes) -> int:
    """Ask the application itself: a server before it may refuse such a header."""
    raw = declared if isinstance(declared, bytes) else declared.encode()
    found: list[int] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/jobs",
        "raw_path": b"/v1/jobs",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-length", raw)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    await served.app(scope, receive, send)
    return found[0]
