"""WEB-1, WEB-11: masks that are found, over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.api.asked import left, told
from tests.api.people import access_token, bearer, make

from maquette.core.people import Role
from maquette.core.requests import Encoded, Generated, ImageRequest
from maquette.imaging import codec, png
from maquette.settings import ServerSettings, load
from maquette.testing.scripted import Act, Books, ScriptedProvider
from maquette.testing.serving import Served, serving

AT = "/v1/mask/auto"
WORDS: dict[str, Any] = {"words": "the blue thing", "model": "painter:paid"}


def truth() -> NDArray[np.uint8]:
    mask = np.zeros((60, 90), np.uint8)
    cv2.ellipse(mask, (30, 24), (18, 12), 0, 0, 360, 255, -1)
    return mask


def picture() -> bytes:
    """Draw a blue thing up and left on a sandy ground, 90x60 px."""
    pixels = np.full((60, 90, 3), (200, 180, 140), np.uint8)
    pixels[truth() > 127] = (20, 50, 200)
    noise = np.random.default_rng(5).normal(0, 3, pixels.shape)
    return png.write(np.clip(pixels + noise, 0, 255).astype(np.uint8))


class Painter(ScriptedProvider):
    """Answers every question for a mask with the truth, white on black; or with nothing."""

    id = "painter"
    white = True

    def follow(self, act: Act) -> None:
        self._script.append(act)

    def read_reply(self, reply: bytes, request: ImageRequest) -> Generated:
        answer = super().read_reply(reply, request)
        paint = np.dstack([truth() if self.white else truth() * 0] * 3)
        images = [Encoded(png.write(paint), "image/png") for _ in answer.images]
        return Generated(images, request, answer.cost)


@pytest.fixture
def painter(books: Books) -> Painter:
    return Painter(books)


@pytest.fixture
async def served(tmp_path: Path, painter: Painter) -> AsyncGenerator[Served]:
    settings = load(home=tmp_path / "home")
    async with serving(settings, providers={painter.id: painter}) as running:
        yield running


def form(**fields: str) -> dict[str, Any]:
    return {"files": {"image": ("thing.png", picture(), "image/png")}, "data": fields}


def overlap(mask: NDArray[np.uint8]) -> float:
    ours, theirs = mask > 127, truth() > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


async def kept_mask(served: Served, found: dict[str, Any]) -> NDArray[np.uint8]:
    """Fetch the kept mask: one channel, of the picture's size."""
    reply = await served.client.get(found["mask_url"])
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    assert reply.content[25] == 0, "the PNG is not grey"
    pixels = codec.decode(reply.content).pixels
    assert pixels.shape[:2] == (found["height"], found["width"]) == (60, 90)
    return pixels[..., 0]


async def test_a_click_makes_a_mask_beside_its_picture(served: Served) -> None:
    reply = await served.client.post(AT, **form(points="[[30, 24]]"))
    assert reply.status_code == 201, reply.text
    found = reply.json()
    assert overlap(await kept_mask(served, found)) > 0.95
    assert (found["method"], found["draft"], found["cost_usd"]) == ("mask.click", True, "0")
    assert found["confidence"] > 0.5 and found["findings"] == []
    assert found["coverage"] == pytest.approx((truth() / 255).mean(), abs=0.02)
    assert found["data_uri"] is None
    about = f"/api/projects/personal-local/assets/{found['id']}"
    asset = (await served.client.get(about)).json()
    assert (asset["kind"], asset["made_by"]["operation"]) == ("mask", "mask.click")
    assert [(one["id"], one["role"]) for one in asset["parents"]] == [(found["image"], "init")]


async def test_a_kept_picture_is_named_in_json_and_the_mask_is_adjusted(served: Served) -> None:
    first = (await served.client.post(AT, **form(points="[[30, 24]]"))).json()
    body = {"image": first["image"], "box": [8, 8, 52, 40], "grow_px": 3, "data_uri": True}
    grown = (await served.client.post(AT, json=body)).json()
    assert grown["coverage"] > first["coverage"]
    uri = base64.b64decode(grown["data_uri"].partition(",")[2])
    assert np.array_equal(codec.decode(uri).pixels[..., 0], await kept_mask(served, grown))
    body = {"image": first["image"], "points": [[30, 24]], "invert": True}
    other = (await served.client.post(AT, json=body)).json()
    assert other["coverage"] == pytest.approx(1 - first["coverage"], abs=0.002)


async def test_openai_clients_get_a_mask_that_is_clear_where_it_edits(served: Served) -> None:
    body = form(points="[[30, 24]]", format="transparent")
    found = (await served.client.post(AT, **body)).json()
    uri = base64.b64decode(found["data_uri"].partition(",")[2])
    pixels = codec.decode(uri).pixels
    assert pixels.shape == (60, 90, 4)
    assert np.array_equal(255 - pixels[..., 3], await kept_mask(served, found))


async def test_the_background_is_what_is_not_the_subject(served: Served) -> None:
    found = (await served.client.post(AT, **form(method="background"))).json()
    assert (found["method"], found["draft"]) == ("background.classical", True)
    body = {"image": found["image"], "method": "background", "invert": True}
    behind = (await served.client.post(AT, json=body)).json()
    together = (await kept_mask(served, found)).astype(int) + await kept_mask(served, behind)
    assert np.all(together == 255)


async def test_words_are_paid_once_and_the_answer_is_kept(served: Served, books: Books) -> None:
    reply = await served.client.post(AT, **form(**WORDS))
    assert reply.status_code == 201, reply.text
    found = reply.json()
    assert overlap(await kept_mask(served, found)) > 0.95
    assert (found["method"], found["draft"], found["cost_usd"]) == ("painter:paid", False, "0.04")
    assert str(books.charged) == "0.04"
    asset = (await served.client.get(f"/api/projects/personal-local/assets/{found['id']}")).json()
    assert {one["role"] for one in asset["parents"]} == {"answer", "init"}
    assert asset["made_by"]["way"] == "paint" and asset["made_by"]["job"]


async def test_a_key_is_paid_once_however_often_it_is_sent(served: Served, books: Books) -> None:
    key = {"Idempotency-Key": "words-1"}
    first = await served.client.post(AT, **form(**WORDS), headers=key)
    again = await served.client.post(AT, **form(**WORDS), headers=key)
    assert first.json()["coverage"] == again.json()["coverage"]
    assert first.json()["image"] == again.json()["image"]
    other = await served.client.post(AT, **form(**{**WORDS, "way": "erase"}), headers=key)
    assert told(other)[0] == 409
    assert books.paid_calls == 1


async def test_a_click_with_a_key_is_answered_as_before(served: Served) -> None:
    key = {"Idempotency-Key": "click-1"}
    first = await served.client.post(AT, **form(points="[[30, 24]]"), headers=key)
    again = await served.client.post(AT, **form(points="[[30, 24]]"), headers=key)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()


async def test_an_answer_without_a_mask_says_where_it_is(
    served: Served, painter: Painter, books: Books
) -> None:
    painter.white = False
    reply = await served.client.post(AT, **form(**WORDS))
    assert told(reply) == (422, "operation-failed")
    assert "found nothing" in reply.text and "is kept as the asset" in reply.text
    assert books.paid_calls == 1


async def test_words_need_the_scope_and_clicks_do_not(tmp_path: Path, painter: Painter) -> None:
    settings = load(home=tmp_path / "home", server=ServerSettings(auth="multi"))
    async with serving(settings, providers={painter.id: painter}) as served:
        await make(served.house.studio, "ada", Role.CREATOR)
        ada = bearer(served, await access_token(served, "ada"))
        made = await ada.post("/api/keys", json={"name": "k", "scopes": ["read", "write"]})
        assert made.status_code == 201, made.text
        key = {"Authorization": f"Bearer {made.json()['key']}"}
        clicked = await served.client.post(AT, **form(points="[[30, 24]]"), headers=key)
        assert clicked.status_code == 201, clicked.text
        asked = await served.client.post(AT, **form(**WORDS), headers=key)
        assert told(asked) == (403, "forbidden") and "'spend'" in asked.text


REFUSED: list[tuple[dict[str, str], str, str]] = [
    ({}, "bad-parameter", "say what to mark"),
    ({"points": "[[90, 5]]"}, "bad-parameter", "x=90, y=5 lies outside the picture of 90x60"),
    ({"points": "[[-1, 5]]"}, "bad-parameter", "greater than or equal to 0"),
    ({"points": "[[3, 5]]", "words": "it"}, "bad-parameter", "not both"),
    ({"method": "words"}, "bad-parameter", "needs words"),
    ({"method": "background", "points": "[[3, 5]]"}, "bad-parameter", "takes no points"),
    ({"not_points": "[[3, 5]]"}, "bad-parameter", "Nothing was pointed at"),
    ({"method": "sam", "points": "[[3, 5]]"}, "capability-missing", "maquette tools setup sam"),
    ({"method": "background", "backend": "x"}, "unknown-plugin", "No background backend"),
    ({"words": "the cup", "model": "proof"}, "capability-missing", "cannot find things by words"),
    ({**WORDS, "max_spend_usd": "0.01"}, "budget-exceeded", "0.04"),
    ({"points": "[[3, 5]]", "colour": "red"}, "bad-parameter", "colour"),
]


async def test_what_cannot_be_done_is_refused_and_leaves_nothing(
    served: Served, books: Books
) -> None:
    await served.client.get("/v1/jobs")
    before = await left(served)
    for fields, code, words in REFUSED:
        reply = await served.client.post(AT, **form(**fields))
        assert reply.json()["code" if "code" in reply.json() else "error"], fields
        assert code in json.dumps(reply.json()), (fields, reply.text)
        assert words in reply.text, (fields, reply.text)
    two = [("image", ("a.png", picture(), "image/png")), ("image", ("b.png", picture()))]
    reply = await served.client.post(AT, files=two, data={"points": "[[3, 5]]"})
    assert "Send one picture" in reply.text
    assert await left(served) == before
    assert books.entries() == []


async def test_a_failing_model_is_told_as_it_is(served: Served, painter: Painter) -> None:
    painter.follow(Act("refuse"))
    reply = await served.client.post(AT, **form(**WORDS))
    assert "provider-refused" in reply.text and reply.status_code in (422, 502)
