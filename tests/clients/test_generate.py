"""WEB-2, WEB-3: the official Python client makes pictures, with every parameter it has."""

from __future__ import annotations

import base64
import json
from typing import Any

import openai
import pytest
from tests.clients.running import Running, pixels

SIDE = "64x64"


def data(reply: Any, index: int = 0) -> bytes:
    return base64.b64decode(reply.data[index].b64_json)


def test_a_proof_needs_no_key_and_costs_nothing(client: openai.OpenAI) -> None:
    reply = client.images.generate(model="proof", prompt="a red fox in snow", size=SIDE)
    assert pixels(data(reply)).shape == (64, 64, 3)
    assert (reply.size, reply.output_format, reply.usage) == (SIDE, "png", None)


def test_what_the_provider_makes_comes_back_byte_for_byte(
    client: openai.OpenAI, house: Running
) -> None:
    reply = client.images.generate(model="openai:tiny", prompt="a fox", n=2, size="96x64")
    sent = house.upstream.seen[-1]
    assert sent.fields["n"] == 2
    told = json.loads(sent.reply)["data"]
    assert [one.b64_json for one in reply.data or ()] == [one["b64_json"] for one in told]
    assert (reply.size, reply.quality, reply.background) == ("96x64", "high", "opaque")
    assert data(reply, 0) != data(reply, 1)


def test_the_usage_is_what_the_provider_counted(client: openai.OpenAI, house: Running) -> None:
    """WEB-8."""
    reply = client.images.generate(model="tiny", prompt="a fox", size=SIDE, quality="low")
    usage = reply.usage
    assert usage is not None
    told = json.loads(house.upstream.seen[-1].reply)["usage"]
    assert usage.model_dump(exclude_none=True) == told


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("quality", "low", "low"),
        ("quality", "xhigh", "xhigh"),
        ("background", "opaque", "opaque"),
        ("background", "auto", "auto"),
        ("output_format", "webp", "webp"),
        ("moderation", "low", "low"),
        ("safety_identifier", "person-7", "person-7"),
        ("size", "96x64", "96x64"),
        ("n", 3, 3),
    ],
)
def test_a_parameter_reaches_the_provider(
    client: openai.OpenAI, house: Running, name: str, value: Any, sent: Any
) -> None:
    wanted: dict[str, Any] = {"size": SIDE, name: value}
    client.images.generate(model="tiny", prompt="a fox", **wanted)
    assert house.upstream.seen[-1].fields[name] == sent


def test_what_only_a_form_of_writing_needs_is_converted_here(client: openai.OpenAI) -> None:
    """Proofs are PNG; the other formats are ours to make."""
    reply = client.images.generate(
        model="proof", prompt="a fox", size=SIDE, output_format="jpeg", output_compression=40
    )
    assert reply.output_format == "jpeg"
    assert data(reply).startswith(b"\xff\xd8")


def test_compression_reaches_a_provider_that_knows_it(
    client: openai.OpenAI, house: Running
) -> None:
    client.images.generate(
        model="tiny", prompt="a fox", size=SIDE, output_format="jpeg", output_compression=40
    )
    sent = house.upstream.seen[-1].fields
    assert (sent["output_format"], sent["output_compression"]) == ("jpeg", 40)


def test_a_user_is_told_to_nobody_by_name(client: openai.OpenAI, house: Running) -> None:
    reply = client.images.generate(model="tiny", prompt="a fox", size=SIDE, user="bob@example.org")
    sent = house.upstream.seen[-1]
    assert b"bob@example.org" not in sent.body
    assert sent.fields["safety_identifier"] == reply.safety_identifier
    client.images.generate(model="proof", prompt="a fox", size=SIDE, user="bob@example.org")


def test_an_address_leads_to_the_picture(client: openai.OpenAI, house: Running) -> None:
    reply = client.images.generate(model="proof", prompt="a fox", size=SIDE, response_format="url")
    assert reply.data
    address = reply.data[0].url
    assert address
    assert address.startswith(house.served.url)
    found = house.do(house.served.client.get(address))
    assert pixels(found.content).shape == (64, 64, 3)


def test_what_maquette_can_besides_is_asked_for_in_an_object_of_its_own(
    client: openai.OpenAI,
) -> None:
    more = {"maquette": {"seed": 7, "negative_prompt": "snow", "guard": False}}
    made = [
        data(client.images.generate(model="proof", prompt="a fox", size=SIDE, extra_body=more))
        for _ in range(2)
    ]
    other = client.images.generate(model="proof", prompt="a fox", size=SIDE)
    assert made[0] == made[1] != data(other)


def test_pictures_go_into_the_project_that_is_named(client: openai.OpenAI, house: Running) -> None:
    house.do(house.served.client.post("/api/projects", json={"name": "Posters", "slug": "posters"}))
    ways: list[dict[str, Any]] = [
        {"extra_body": {"maquette": {"project": "posters"}}},
        {"extra_headers": {"X-Maquette-Project": "posters"}},
    ]
    for named in ways:
        client.images.generate(model="proof", prompt="a fox", size=SIDE, **named)
    jobs = house.do(house.served.client.get("/api/projects/posters/jobs")).json()
    assert len(jobs["items"]) == 2


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("proof", {"quality": "high"}, "quality"),
    ("proof", {"background": "transparent"}, "background"),
    ("proof", {"moderation": "low"}, "moderation"),
    ("proof", {"style": "vivid"}, "style"),
    ("tiny", {"style": "vivid"}, "style"),
    ("tiny", {"quality": "hd"}, "quality"),
    ("tiny", {"complexity": "high"}, "complexity"),
    ("tiny", {"frame_count": 4}, "frame_count"),
    ("tiny", {"frame_duration_ms": 40}, "frame_duration_ms"),
    ("tiny", {"output_format": "gif"}, "output_format"),
    ("tiny", {"svg": {"model": "gpt-5"}}, "svg"),
    ("tiny", {"n": 11}, "n"),
    ("tiny", {"size": "wide"}, "size"),
    ("tiny", {"partial_images": 2}, "partial_images"),
    ("tiny", {"partial_images": 4, "stream": True}, "partial_images"),
    ("tiny", {"output_compression": 101, "output_format": "jpeg"}, "output_compression"),
    ("proof", {"output_compression": 50}, "output_compression"),
    ("proof", {"extra_body": {"steps": 20}}, "steps"),
    ("proof", {"extra_body": {"maquette": {"sed": 20}}}, "maquette.sed"),
    ("proof", {"response_format": "url", "output_format": "webp"}, "response_format"),
]


@pytest.mark.parametrize(("model", "more", "param"), REFUSED)
def test_what_a_model_cannot_do_is_refused_before_anything_is_sent(
    client: openai.OpenAI, house: Running, model: str, more: dict[str, Any], param: str
) -> None:
    """WEB-3: and the client names what it was."""
    before = house.calls()
    wanted: dict[str, Any] = {"size": SIDE, **more}
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model=model, prompt="a fox", **wanted)
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")
    assert house.calls() == before


async def test_the_asynchronous_client_does_it_too(house: Running) -> None:
    async with openai.AsyncOpenAI(base_url=house.url, api_key="x") as client:
        reply = await client.images.generate(model="tiny", prompt="a fox", size=SIDE)
        assert reply.usage is not None
        raw = await client.images.with_raw_response.generate(
            model="proof", prompt="a fox", size=SIDE
        )
    assert raw.headers["x-request-id"] == raw.headers["x-correlation-id"]
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["x-should-retry"] == "false"
