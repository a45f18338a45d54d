"""D12: the official client sends again by itself; it is paid once and answered all the same."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx2
import openai
import pytest
from tests.clients.running import Running, mask, picture

from maquette.testing.standin_openai import Act

SIDE = "64x64"
AGAIN, LAST = ({"x-stainless-retry-count": count} for count in ("1", "2"))


def make(client: openai.OpenAI, **more: Any) -> Any:
    wanted: dict[str, Any] = {"model": "tiny", "prompt": "a fox", "size": SIDE, **more}
    images: Any = client.images
    return images.generate(**wanted)


def edit(client: openai.OpenAI, **more: Any) -> Any:
    return make_edit(client, picture(), mask(), **more)


def make_edit(client: openai.OpenAI, image: bytes, hole: bytes, **more: Any) -> Any:
    images: Any = client.images
    return images.edit(model="tiny", image=image, mask=hole, prompt="an apple", size=SIDE, **more)


@pytest.fixture(autouse=True)
def _warm(house: Running, client: openai.OpenAI) -> None:
    """Start what starts with the first call, so that waiting is for the provider alone."""
    if not house.calls():
        make(client)


@pytest.mark.parametrize("ask", [make, edit])
def test_a_client_that_gives_up_too_early_gets_the_picture_it_has_paid(
    house: Running, client: openai.OpenAI, ask: Any
) -> None:
    """The provider answers after the client's patience: its retry joins the job that stands."""
    before, charged = house.calls(), house.upstream.charged_nano
    house.upstream.script(Act(delay_s=2))
    reply = ask(client, timeout=1.5)
    assert len(reply.data) == 1
    assert house.calls() == before + 1
    assert house.upstream.charged_nano > charged


def test_a_stream_that_breaks_off_is_followed_again(house: Running) -> None:
    before = house.calls()
    with openai.OpenAI(base_url=house.url, api_key="x", timeout=1.5) as client:
        house.upstream.script(Act(delay_s=1))
        wanted: dict[str, Any] = {"prompt": "a stream", "stream": True, "partial_images": 2}
        make(client, **wanted).close()  # whoever listened has gone
        events = list(make(client, **wanted, extra_headers=AGAIN))
    assert [one.type.rpartition(".")[2] for one in events][-1] == "completed"
    assert house.calls() == before + 1


def test_the_same_wish_twice_is_two_pictures(house: Running, client: openai.OpenAI) -> None:
    """Only a client that says that it retries joins anything."""
    before = house.calls()
    for _ in range(2):
        make(client, prompt="twice")
    assert house.calls() == before + 2


@pytest.mark.parametrize("act", [Act(), Act("fail", status=500), Act("moderate")])
def test_whoever_asks_again_is_told_the_same(
    house: Running, client: openai.OpenAI, act: Act
) -> None:
    """Also of a job that failed: it may have been charged."""
    house.upstream.script(act)
    told = [_told(client, None), _told(client, AGAIN), _told(client, LAST)]
    assert told[0] == told[1] == told[2]


def _told(client: openai.OpenAI, headers: dict[str, str] | None) -> object:
    try:
        reply = make(client, prompt="told again", extra_headers=headers)
    except openai.APIStatusError as error:
        return error.status_code, error.code, error.message
    return reply.data[0].b64_json


def test_another_wish_joins_nothing(house: Running, client: openai.OpenAI) -> None:
    make(client, prompt="one")
    before = house.calls()
    make(client, prompt="another", extra_headers=AGAIN)
    make_edit(client, picture(), mask())
    make_edit(client, picture(96, 64), mask(96, 64), extra_headers=AGAIN)
    assert house.calls() == before + 3


def test_the_parts_of_a_form_count_and_not_its_boundary(
    house: Running, client: openai.OpenAI
) -> None:
    first = edit(client)
    before = house.calls()
    again = edit(client, extra_headers=AGAIN)
    assert house.calls() == before
    assert again.data[0].b64_json == first.data[0].b64_json


async def test_tries_that_come_at_the_same_time_are_one_job(house: Running) -> None:
    """The first may still be looked at when the others come."""
    before = house.calls()
    house.upstream.script(Act(delay_s=0.5))
    body = {"model": "tiny", "prompt": "all at once", "size": SIDE}
    async with httpx2.AsyncClient(base_url=house.url, timeout=30) as client:
        tries = [
            client.post("/images/generations", json=body, headers=headers)
            for headers in ({}, AGAIN, LAST)
        ]
        replies = await asyncio.gather(*tries)
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.json()["data"][0]["b64_json"] for reply in replies}) == 1
    assert house.calls() == before + 1


async def test_each_of_two_that_want_the_same_gets_its_own_again(house: Running) -> None:
    """Parallel requests are how pictures are varied: each client's next try is for its own."""
    before = house.calls()
    house.upstream.script(*[Act(delay_s=0.5)] * 2)
    body = {"model": "tiny", "prompt": "variations", "size": SIDE, "response_format": "url"}
    async with httpx2.AsyncClient(base_url=house.url, timeout=30) as client:

        async def twice(headers: dict[str, str]) -> list[str]:
            tries = [
                client.post("/images/generations", json=body, headers=headers) for _ in range(2)
            ]
            replies = await asyncio.gather(*tries)
            return sorted(reply.json()["data"][0]["url"] for reply in replies)

        first, second, third = await asyncio.gather(twice({}), twice(AGAIN), twice(LAST))
    assert len(set(first)) == 2
    assert first == second == third
    assert house.calls() == before + 2


def test_who_asks_again_does_not_get_what_was_made_before(
    house: Running, client: openai.OpenAI
) -> None:
    """The same was asked for a while ago, and was answered: this client's run is another."""
    before = house.calls()
    wish = {"prompt": "once more", "response_format": "url"}
    known = make(client, **wish).data[0].url
    body = {"model": "tiny", "size": SIDE, **wish}
    house.upstream.script(Act(delay_s=0.5))
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"{house.url}/images/generations", json=body, timeout=0.4)
    again = make(client, **wish, extra_headers=AGAIN).data[0].url
    assert again != known
    assert make(client, **wish, extra_headers=LAST).data[0].url == again
    assert house.calls() == before + 2


def test_a_count_that_is_none_is_refused(house: Running) -> None:
    body = {"model": "tiny", "prompt": "counted", "size": SIDE}
    headers = {"x-stainless-retry-count": "9" * 5000}
    reply = httpx2.post(f"{house.url}/images/generations", json=body, headers=headers)
    assert reply.status_code == 400, reply.text


@pytest.mark.parametrize("ask", [make, edit])
def test_the_same_key_makes_one_picture(house: Running, client: openai.OpenAI, ask: Any) -> None:
    """WEB-7."""
    before = house.calls()
    key = {"Idempotency-Key": f"key of {ask.__name__}"}
    made = [ask(client, extra_headers=key).data[0].b64_json for _ in range(2)]
    assert made[0] == made[1]
    assert base64.b64decode(made[0])
    assert house.calls() == before + 1


def test_a_key_is_free_again_where_the_request_was_refused(client: openai.OpenAI) -> None:
    key = {"Idempotency-Key": "of somebody who mistypes"}
    with pytest.raises(openai.BadRequestError):
        make(client, quality="hd", extra_headers=key)
    make(client, extra_headers=key)


def test_a_client_that_hangs_up_does_not_lose_the_job(house: Running) -> None:
    before = house.calls()
    house.upstream.script(Act(delay_s=0.5))
    body = {"model": "tiny", "prompt": "hung up", "size": SIDE}
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"{house.url}/images/generations", json=body, timeout=0.4)
    reply = httpx2.post(f"{house.url}/images/generations", json=body, headers=AGAIN, timeout=30)
    assert reply.status_code == 200
    assert reply.headers["x-should-retry"] == "false"
    assert house.calls() == before + 1
