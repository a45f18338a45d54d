"""WEB-1, WEB-3: pictures of pictures, however they are sent, with and without a mask."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import httpx2
import numpy as np
from PIL import Image
from tests.api.asked import PAID, WAIT, ended, hole, left, own, rows, told
from tests.api.conftest import Serve
from tests.api.pictures import noise, project, send

from maquette.db import ledger
from maquette.imaging import png
from maquette.testing.scripted import Act, Books
from maquette.testing.serving import Served

FORM = {"prompt": "a red house", "model": PAID, "store": "true"}
SPELLINGS = ("files[]", "image", "image[]", "files", "file")


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def files(*data: bytes, name: str = "image[]", mask: bytes | None = None) -> list[Any]:
    """Write the files of a form."""
    parts = [(name, (f"p{one}.png", content)) for one, content in enumerate(data)]
    return parts if mask is None else [*parts, ("mask", ("mask.png", mask))]


async def edited(served: Served, *data: bytes, **more: Any) -> httpx2.Response:
    """Edit pictures by a form, and wait."""
    mask = more.pop("mask", None)
    name = more.pop("name", "image[]")
    headers: dict[str, str] = more.pop("headers", {})
    sent = files(*data, name=name, mask=mask)
    return await served.client.post(
        "/v1/edit", params=WAIT, files=sent, data={**FORM, **more}, headers=headers
    )


async def test_every_spelling_of_the_files_is_understood(served: Served) -> None:
    for name in SPELLINGS:
        reply = await edited(served, noise(1), noise(2), name=name)
        job = reply.json()
        assert (reply.status_code, job["status"]) == (200, "succeeded"), (name, job)
        assert (job["request"]["mode"], len(job["request"]["pictures"])) == ("edit", 2)
        (image,) = job["images"]
        asset = await served.client.get(f"/api/projects/personal-local/assets/{image['asset']}")
        parents = {(one["id"], one["role"]) for one in asset.json()["parents"]}
        first, second = job["request"]["pictures"]
        assert parents == {(first, "init"), (second, "reference")}


async def test_json_brings_data_urls_and_ids(served: Served) -> None:
    await project(served)
    known = (await send(served, data=noise(3))).json()[0]["id"]
    there = {"X-Maquette-Project": "p"}
    sent = data_url(noise(4))
    tries: list[tuple[Any, list[str]]] = [
        (known, [known]),
        ([known, sent], [known, sent]),
        ([sent, known], [sent, known]),
    ]
    for pictures, given in tries:
        body = {"prompt": "a house", "model": PAID, "image": pictures}
        reply = await served.client.post("/edit", params=WAIT, json=body, headers=there)
        job = reply.json()
        assert (reply.status_code, job["status"]) == (200, "succeeded"), job
        assert job["request"]["pictures"].index(known) == given.index(known)
        assert len(job["request"]["pictures"]) == len(given)


async def test_the_fields_of_a_form_have_their_types(served: Served) -> None:
    """All is text in a form: numbers, switches, objects and members in brackets are read."""
    more = {
        "n": "2",
        "seed": "7",
        "size[width]": "64",
        "size[height]": "48",
        "guard": "false",
        "composite": "on",
        "post": '{"upscale": {"scale": 2}}',
        "max_spend_usd": "0.50",
        "priority": "",
        "format": "webp",
        "data_uri": "1",
    }
    reply = await edited(served, noise(1), **more)
    job = reply.json()
    assert (reply.status_code, job["status"]) == (200, "succeeded"), job
    assert (job["request"]["n"], job["seed"], job["request"]["size"]) == (2, 7, "64x48")
    final = [one for one in job["images"] if one["final"]]
    assert [(one["width"], one["height"]) for one in final] == [(128, 96)]
    assert final[0]["data_uri"].startswith("data:image/webp;base64,")


async def test_only_the_masks_part_changes(served: Served) -> None:
    """Each polarity says it in its own way; the rest of the picture is the original's."""
    original = noise(5)
    quarter = np.zeros((32, 32), np.uint8)
    quarter[:16, :16] = 255
    masks = {
        "transparent": hole(),
        "opaque": hole(clear=False),
        "white": png.write(np.repeat(quarter[..., None], 3, axis=2)),
    }
    before = np.asarray(Image.open(io.BytesIO(original)).convert("RGB"))
    job: dict[str, Any] = {}
    for polarity, mask in masks.items():
        reply = await edited(served, original, mask=mask, mask_polarity=polarity, size="source")
        job = reply.json()
        assert (reply.status_code, job["status"]) == (200, "succeeded"), job
        assert job["request"]["mode"] == "inpaint" and job["request"]["mask"]
        made = await served.client.get(job["urls"][0])
        after = np.asarray(Image.open(io.BytesIO(made.content)).convert("RGB"))
        assert (after[16:] == before[16:]).all() and (after[:, 16:] == before[:, 16:]).all()
        assert (after[:12, :12] != before[:12, :12]).any()
    again: dict[str, Any] = {"prompt": "once more", "model": PAID}
    body = {
        **again,
        "image": job["request"]["pictures"][0],
        "mask": job["request"]["mask"],
        "dry": True,
    }
    plan = (await served.client.post("/v1/edit", json=body)).json()
    assert plan["request"]["mask"] == job["request"]["mask"], "a kept mask is used as it is"


async def test_a_mask_is_grown_before_it_is_used(served: Served) -> None:
    more = {"mask": hole(), "size": "source", "grow_px": "8", "composite": "true"}
    job = (await edited(served, noise(5), **more)).json()
    at = f"/api/projects/personal-local/assets/{job['request']['mask']}/file"
    kept = np.asarray(Image.open(io.BytesIO((await served.client.get(at)).content)))
    assert kept[20, 4] == 255 and kept[28, 4] == 0


async def test_a_dry_edit_prices_and_leaves_nothing(served: Served, books: Books) -> None:
    await own(served)
    before = await rows(served)
    reply = await edited(served, noise(1), noise(2), mask=hole(), dry="true", n="3")
    plan = reply.json()
    assert (reply.status_code, plan["worst_case_usd"], plan["calls"]) == (200, "0.12", 2)
    assert plan["request"]["mode"] == "inpaint"
    assert await rows(served) == before
    assert books.entries() == []


async def test_what_cannot_be_is_refused_before_anything_is_kept(
    served: Served, books: Books
) -> None:
    await own(served)
    before = await rows(served)
    one = noise(1)
    small, blank = hole(16), png.write(np.full((32, 32, 4), 255, np.uint8))
    tries: list[tuple[list[Any], dict[str, str], tuple[int, str]]] = [
        (files(one, one, one, one), {}, (422, "capability-missing")),
        (files(), {"prompt": "x"}, (422, "bad-parameter")),
        (files(b"no picture"), {}, (422, "unsupported-image")),
        (files(one), {"size": "4000x4000"}, (422, "capability-missing")),
        (files(one), {"n": "many"}, (422, "bad-parameter")),
        (files(one), {"colour": "red"}, (422, "bad-parameter")),
        (files(one, mask=small), {}, (422, "bad-parameter")),
        (files(one, mask=blank), {}, (422, "bad-parameter")),
        (files(one, mask=b"no picture"), {}, (422, "unsupported-image")),
        (files(one, mask=hole()), {"mask_polarity": "black"}, (422, "bad-parameter")),
        (files(one), {"max_spend_usd": "0.01"}, (402, "budget-exceeded")),
        (files(one), {"model": "openai:gpt-image-2.5-flare"}, (422, "capability-missing")),
        (files(one), {"size[height]": "3"}, (422, "bad-parameter")),
    ]
    for sent, more, said in tries:
        form: Any = sent or [("prompt", (None, "x"))]
        data = {**FORM, **more} if sent else {}
        reply = await served.client.post("/v1/edit", files=form, data=data)
        assert told(reply) == said, (more, reply.text)
    assert await rows(served) == before
    assert books.entries() == []


async def test_a_cap_takes_back_what_was_kept(served: Served, books: Books) -> None:
    """What a cap refuses is only known when the run is written."""
    await own(served)
    before = await left(served)
    async with served.house.studio.shop.db.write() as session:
        await ledger.set_cap(session, "installation", 10_000_000)
    reply = await edited(served, noise(1), noise(2), mask=hole())
    assert told(reply) == (402, "budget-exceeded")
    assert await left(served) == before
    assert books.entries() == []


async def test_too_many_bytes_are_not_read_to_the_end(serve: Serve) -> None:
    async with serve(upload_mb=1) as served:
        await own(served)
        before = await rows(served)
        large = noise(1, height_px=700, width_px=700)
        reply = await edited(served, large)
        assert told(reply) == (413, "request-too-large")
        body = {"prompt": "x", "model": PAID, "image": data_url(large)}
        reply = await served.client.post("/v1/edit", json=body)
        assert told(reply) == (413, "request-too-large")
        assert await rows(served) == before


async def test_the_same_key_edits_once(served: Served, books: Books) -> None:
    """WEB-7: the same form, wherever its boundary lies."""
    key = {"Idempotency-Key": "1"}
    first = await edited(served, noise(1), headers=key)
    kept = await left(served)
    again = await edited(served, noise(1), headers=key)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    for other in (noise(2), noise(1) + b" "):
        reply = await edited(served, other, headers=key)
        assert told(reply) == (409, "idempotency-mismatch")
    assert await left(served) == kept
    assert len(books.entries()) == 1


async def test_who_waits_holds_no_place_for_uploads(serve: Serve) -> None:
    async with serve(Act(delay_s=0.2), parallel_uploads=1) as served:
        first = await served.client.post("/v1/edit", files=files(noise(1)), data=FORM)
        assert first.status_code == 202
        second = await served.client.post("/v1/edit", files=files(noise(2)), data=FORM)
        assert second.status_code == 202
        for one in (first, second):
            assert (await ended(served, one.json()["id"]))["status"] == "succeeded"


async def test_what_is_not_to_be_stored_is_forgotten(served: Served) -> None:
    reply = await edited(served, noise(6), mask=hole(), store="false", size="source")
    job = reply.json()
    assert job["status"] == "succeeded", job
    (made,) = job["urls"]
    assert (await served.client.get(made)).status_code == 200
    given = {*job["request"]["pictures"], job["request"]["mask"]}
    async with asyncio.timeout(30):
        while given:
            at = f"/api/projects/personal-local/assets/{min(given)}"
            if (await served.client.get(at)).status_code == 404:
                given.remove(min(given))
            await asyncio.sleep(0.02)
