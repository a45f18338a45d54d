"""WEB-2, WEB-3: the official Python client edits pictures, however it was handed them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from tests.clients.running import Running, mask, picture, pixels

SIDE = "64x64"


def made(reply: Any) -> bytes:
    return base64.b64decode(reply.data[0].b64_json)


def kept(house: Running) -> int:
    reply = house.do(house.served.client.get("/api/projects/personal-local/assets?limit=200"))
    return len(reply.json()["items"])


@pytest.mark.parametrize("form", ["path", "bytes", "BytesIO", "tuple", "list"])
def test_a_picture_may_be_given_in_any_way(
    client: openai.OpenAI, house: Running, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "fox.png"
    path.write_bytes(picture())
    given: dict[str, Any] = {
        "path": path,
        "bytes": picture(),
        "BytesIO": io.BytesIO(picture()),
        "tuple": ("fox.png", picture(), "image/png"),
        "list": [path],
    }
    reply = client.images.edit(model="tiny", image=given[form], prompt="in snow", size=SIDE)
    sent = house.upstream.seen[-1]
    assert sent.path.endswith("/edits")
    assert sent.file("image").data == picture()
    assert reply.usage is not None
    assert reply.usage.input_tokens_details.image_tokens > 0


def test_all_pictures_go_along_in_their_order(client: openai.OpenAI, house: Running) -> None:
    given = [picture(64, 64), picture(96, 64), picture(64, 96)]
    client.images.edit(model="tiny", image=given, prompt="together", size=SIDE, n=2)
    sent = house.upstream.seen[-1]
    assert [part.data for part in sent.files] == given
    assert sent.fields["n"] == "2"


def test_a_proof_is_edited_without_a_model(client: openai.OpenAI) -> None:
    reply = client.images.edit(model="proof", image=picture(), prompt="an oil painting")
    assert pixels(made(reply)).shape == (64, 64, 3)


@pytest.mark.parametrize("model", ["tiny", "proof"])
def test_what_is_transparent_in_the_mask_may_change(
    client: openai.OpenAI, house: Running, model: str
) -> None:
    """Spec, conflicts 3 and 4: the rest is the picture as it was, whatever the model does."""
    more: dict[str, Any] = {"size": SIDE} if model == "tiny" else {}
    given: dict[str, Any] = {"image": picture(), "mask": mask(), **more}
    images: Any = client.images
    reply = images.edit(model=model, prompt="an apple", **given)
    before, after = pixels(picture()), pixels(made(reply))
    inside = np.zeros((64, 64), bool)
    inside[:32, :32] = True
    assert np.array_equal(before[~inside], after[~inside])
    assert not np.array_equal(before[inside], after[inside])
    if model == "tiny":
        alpha = pixels(house.upstream.seen[-1].file("mask").data)[..., 3]
        assert np.array_equal(alpha == 0, inside)


def test_the_models_own_picture_can_be_had_whole(client: openai.OpenAI) -> None:
    reply = client.images.edit(
        model="tiny",
        image=picture(),
        mask=mask(),
        prompt="an apple",
        size=SIDE,
        extra_body={"maquette": {"composite": False, "feather_px": 2.5, "guard": False}},
    )
    before, after = pixels(picture()), pixels(made(reply))
    assert not np.array_equal(before[40:, 40:], after[40:, 40:])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (picture, "alpha"),
        (lambda: mask(32, 32), "64x64"),
        (lambda: b"no picture", "mask"),
    ],
    ids=["without alpha", "of another size", "no picture"],
)
def test_a_mask_that_marks_nothing_is_refused(
    client: openai.OpenAI, house: Running, given: Any, words: str
) -> None:
    before = house.calls()
    with pytest.raises(openai.BadRequestError, match=words):
        client.images.edit(
            model="tiny", image=picture(), mask=given(), prompt="an apple", size=SIDE
        )
    assert house.calls() == before


@pytest.mark.parametrize(
    ("model", "more", "sent"),
    [
        ("tiny", {"quality": "low"}, ("quality", "low")),
        ("tiny", {"background": "opaque"}, ("background", "opaque")),
        ("tiny", {"output_format": "webp"}, ("output_format", "webp")),
        ("tiny-fidelity", {"input_fidelity": "high"}, ("input_fidelity", "high")),
        ("tiny", {"safety_identifier": "12345"}, ("safety_identifier", "12345")),
    ],
)
def test_a_parameter_reaches_the_provider(
    client: openai.OpenAI, house: Running, model: str, more: dict[str, Any], sent: tuple[str, str]
) -> None:
    client.images.edit(model=model, image=picture(), prompt="in snow", size=SIDE, **more)
    assert house.upstream.seen[-1].fields[sent[0]] == sent[1]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("tiny", {"input_fidelity": "high"}, "input_fidelity"),
    ("tiny", {"quality": "standard"}, "quality"),
    ("tiny", {"markup": picture()}, "markup"),
    ("tiny", {"frame_count": 3}, "frame_count"),
    ("tiny", {"svg": {"model": "gpt-5"}}, "svg"),
    ("tiny", {"n": 0}, "n"),
    ("tiny", {"extra_body": {"strength": 1}}, "strength"),
    ("tiny", {"extra_body": {"maquette": {"project": "other"}}}, "maquette.project"),
    ("proof", {"partial_images": 1}, "partial_images"),
]


@pytest.mark.parametrize(("model", "more", "param"), REFUSED)
def test_what_a_model_cannot_do_is_refused_and_no_picture_is_kept(
    client: openai.OpenAI, house: Running, model: str, more: dict[str, Any], param: str
) -> None:
    before = house.calls(), kept(house)
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(model=model, image=picture(), prompt="in snow", **more)
    assert caught.value.param == param
    assert (house.calls(), kept(house)) == before


def test_more_pictures_than_the_model_takes_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="at most"):
        client.images.edit(model="tiny", image=[picture()] * 17, prompt="together", size=SIDE)


def test_an_edit_may_be_json_with_data_urls(house: Running) -> None:
    """What newer clients send in place of a form."""
    address = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    hole = f"data:image/png;base64,{base64.b64encode(mask()).decode()}"
    body = {
        "model": "tiny",
        "prompt": "an apple",
        "size": SIDE,
        "images": [{"image_url": address}, {"image_url": address}],
        "mask": {"image_url": hole},
        "maquette": {"guard": False},
    }
    reply = house.do(house.served.client.post("/v1/images/edits", json=body))
    assert reply.status_code == 200, reply.text
    assert [part.name for part in house.upstream.seen[-1].files] == ["image[]", "image[]", "mask"]
    wrong = {**body, "images": [{"file_id": "file-abc"}]}
    refused = house.do(house.served.client.post("/v1/images/edits", json=wrong))
    assert refused.status_code == 400


async def test_the_asynchronous_client_does_it_too(house: Running) -> None:
    async with openai.AsyncOpenAI(base_url=house.url, api_key="x") as client:
        reply = await client.images.edit(
            model="tiny",
            image=[io.BytesIO(picture()), ("b.png", picture())],
            mask=("mask.png", mask()),
            prompt="an apple",
            size=SIDE,
        )
    assert pixels(made(reply)).shape == (64, 64, 3)
