"""WEB-2: streams have the events that OpenAI's have, and end as theirs do."""

from __future__ import annotations

import base64
from typing import Any

import openai
import pytest
from openai.types import ImageEditCompletedEvent, ImageGenCompletedEvent
from tests.clients.running import Running, mask, picture, pixels

from maquette.testing.standin_openai import Act

SIDE = "64x64"


def test_unfinished_pictures_come_before_the_finished_one(
    client: openai.OpenAI, house: Running
) -> None:
    stream = client.images.generate(
        model="tiny", prompt="a fox", size=SIDE, quality="low", stream=True, partial_images=2
    )
    *partials, last = list(stream)
    assert [one.type for one in partials] == ["image_generation.partial_image"] * 2
    assert [getattr(one, "partial_image_index", None) for one in partials] == [0, 1]
    assert isinstance(last, ImageGenCompletedEvent)
    assert last.type == "image_generation.completed"
    assert last.usage.total_tokens == last.usage.input_tokens + last.usage.output_tokens
    for one in (*partials, last):
        assert one.created_at > 1_700_000_000
        assert (one.size, one.quality, one.output_format) == (SIDE, "low", "png")
        assert one.background in ("auto", "opaque")
        assert pixels(base64.b64decode(one.b64_json)).shape == (64, 64, 3)
    assert house.upstream.seen[-1].fields["partial_images"] == 2


def test_an_edit_streams_under_names_of_its_own(client: openai.OpenAI) -> None:
    stream = client.images.edit(
        model="tiny",
        image=picture(),
        mask=mask(),
        prompt="an apple",
        size=SIDE,
        stream=True,
        partial_images=1,
    )
    partial, last = list(stream)
    assert (partial.type, last.type) == ("image_edit.partial_image", "image_edit.completed")
    assert isinstance(last, ImageEditCompletedEvent)
    assert last.usage.input_tokens_details.image_tokens > 0


def test_each_picture_is_completed_by_itself(client: openai.OpenAI) -> None:
    """Of a model that shows nothing on the way fewer unfinished pictures come: none."""
    stream = client.images.generate(
        model="proof", prompt="a fox", size=SIDE, n=3, stream=True, partial_images=3
    )
    events = list(stream)
    assert [one.type for one in events] == ["image_generation.completed"] * 3
    assert len({one.b64_json for one in events}) == 3


def test_a_stream_of_no_unfinished_pictures_is_one_event(client: openai.OpenAI) -> None:
    stream = client.images.generate(
        model="tiny", prompt="a fox", size=SIDE, stream=True, output_format="webp"
    )
    (only,) = list(stream)
    assert (only.type, only.output_format) == ("image_generation.completed", "webp")


@pytest.mark.parametrize(
    ("act", "code", "kind"),
    [
        (Act("moderate-late"), "moderation_blocked", "image_generation_user_error"),
        (Act("moderate"), "moderation_blocked", "image_generation_user_error"),
        (Act("stream-fails"), "outcome-unknown", "server_error"),
    ],
)
def test_what_goes_wrong_on_the_way_is_raised_by_the_client(
    client: openai.OpenAI, house: Running, act: Act, code: str, kind: str
) -> None:
    house.upstream.script(act)
    before = house.calls()
    stream = client.images.generate(
        model="tiny", prompt="a fox", size=SIDE, stream=True, partial_images=1
    )
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    body: Any = caught.value.body
    assert (caught.value.code, body["type"]) == (code, kind)
    assert house.calls() == before + 1


def test_what_is_refused_at_once_is_no_stream(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="nobody", prompt="a fox", stream=True)


async def test_the_asynchronous_client_streams_too(house: Running) -> None:
    async with openai.AsyncOpenAI(base_url=house.url, api_key="x") as client:
        raw = await client.images.with_raw_response.generate(
            model="tiny", prompt="a fox", size=SIDE, stream=True, partial_images=1
        )
        assert raw.headers["x-should-retry"] == "false"
        assert raw.headers["content-type"].startswith("text/event-stream")
        types = [event.type async for event in raw.parse()]
    assert types == ["image_generation.partial_image", "image_generation.completed"]
