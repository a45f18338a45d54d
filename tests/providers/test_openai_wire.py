"""WEB-3: what goes over the wire, parameter by parameter, and what comes back over it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from maquette.core.errors import CapabilityMissing
from maquette.core.requests import Encoded, Generated, ImageRequest, Input, Option, digest_of
from maquette.core.wire import WireRules
from maquette.imaging import codec, png
from maquette.providers.openai import masks
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.provider import OpenAIProvider
from maquette.testing.provider_contract import FakeRun
from maquette.testing.standin_openai import Act, Seen, StandIn

RULES = WireRules(paid_calls=False)
RNG = np.random.default_rng(7)
SCENE = png.write(RNG.integers(0, 256, (24, 32, 3), np.uint8))
ANCHORS = tuple(
    codec.encode(RNG.integers(0, 256, (16, 16, 3), np.uint8), format="jpeg") for _ in range(2)
)
MASK_PIXELS = np.zeros((24, 32), np.uint8)
MASK_PIXELS[:6, :4] = 255
MASK_PIXELS[6, :4] = 90
"""The top left corner is to be edited, its lower edge is feathered: no symmetry hides a flip."""
MASK = png.write(MASK_PIXELS)


def given(data: bytes, role: Any, media_type: str = "image/png") -> Input:
    header = codec.sniff(data, name="a picture")
    return Input(
        role=role,
        digest=digest_of(data),
        media_type=media_type,
        width_px=header.width_px,
        height_px=header.height_px,
        size_bytes=len(data),
    )


SOURCE = given(SCENE, "init")
REFERENCES = tuple(given(one, "reference", "image/jpeg") for one in ANCHORS)
STORED = {
    digest_of(SCENE): Encoded(SCENE, "image/png"),
    digest_of(MASK): Encoded(MASK, "image/png"),
    **{digest_of(one): Encoded(one, "image/jpeg") for one in ANCHORS},
}


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


def provider(server: StandIn, **config: Any) -> OpenAIProvider:
    settings: dict[str, Any] = {"base_url": server.url, "shipped_models": True, **config}
    return OpenAIProvider.build(OpenAIConfig(**settings), RULES)


def words(model: str = "gpt-image-2", **fields: Any) -> ImageRequest:
    return ImageRequest(provider="openai", model=model, prompt="a lighthouse", **fields)


def edit(*more: Input, model: str = "gpt-image-2", **fields: Any) -> ImageRequest:
    size = fields.pop("size", "source")
    return words(model, mode="edit", size=size, inputs=(SOURCE, *more), **fields)


async def sent(
    server: StandIn, request: ImageRequest, **config: Any
) -> tuple[Seen, Generated, FakeRun]:
    run = FakeRun(STORED)
    generated = await provider(server, **config).generate(request, run)
    return server.seen[-1], generated, run


async def test_generating_sends_these_fields_and_no_others(server: StandIn) -> None:
    """The quality always; never a seed, a user or a response_format."""
    seen, _, _ = await sent(server, words(count=2))
    assert seen.path == "/v1/images/generations"
    assert seen.fields == {
        "model": "gpt-image-2",
        "prompt": "a lighthouse",
        "n": 2,
        "size": "auto",
        "quality": "auto",
    }


async def test_editing_sends_these_fields_and_no_others(server: StandIn) -> None:
    seen, _, _ = await sent(server, edit(size=(1024, 1024)))
    assert seen.path == "/v1/images/edits"
    assert seen.fields == {
        "model": "gpt-image-2",
        "prompt": "a lighthouse",
        "n": "1",
        "size": "1024x1024",
        "quality": "auto",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quality", "low"),
        ("quality", "xhigh"),
        ("background", "transparent"),
        ("output_format", "webp"),
        ("moderation", "low"),
        ("safety_identifier", "5f2a"),
    ],
)
async def test_an_option_of_generating_arrives_as_it_is(
    server: StandIn, name: str, value: Option
) -> None:
    seen, generated, _ = await sent(server, words("gpt-image-2.5-flare", options={name: value}))
    assert seen.fields[name] == value
    assert generated.effective.options[name] == value


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gpt-image-1.5", {"input_fidelity": "high"}),
        ("gpt-image-1-mini", {"input_fidelity": "low"}),
        ("gpt-image-2", {"output_format": "jpeg", "output_compression": 30}),
        ("gpt-image-2", {"background": "opaque"}),
    ],
)
async def test_an_option_of_editing_arrives_as_it_is(
    server: StandIn, model: str, options: dict[str, Option]
) -> None:
    if model.startswith("gpt-image-1"):
        more = [{"id": model, "options": "fidelity", "price": {"per_image": "0.1"}}]
        seen, _, _ = await sent(server, edit(model=model, options=options), models=more)
    else:
        seen, _, _ = await sent(server, edit(model=model, options=options))
    assert {name: seen.fields[name] for name in options} == {
        name: str(value) for name, value in options.items()
    }


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
async def test_the_media_type_is_that_of_the_bytes(server: StandIn, kind: str) -> None:
    _, generated, _ = await sent(server, words(options={"output_format": kind}))
    assert generated.images[0].media_type == f"image/{kind}"


async def test_one_picture_is_sent_as_image_byte_for_byte(server: StandIn) -> None:
    seen, _, _ = await sent(server, edit())
    assert [(part.name, part.media_type) for part in seen.files] == [("image", "image/png")]
    assert seen.files[0].data == SCENE


async def test_several_pictures_are_sent_as_a_list_in_order(server: StandIn) -> None:
    seen, _, _ = await sent(server, edit(*REFERENCES))
    assert [part.name for part in seen.files] == ["image[]"] * 3
    assert [part.data for part in seen.files] == [SCENE, *ANCHORS]
    assert [part.media_type for part in seen.files] == ["image/png", "image/jpeg", "image/jpeg"]
    assert len({part.filename for part in seen.files}) == 3


async def test_our_mask_arrives_with_what_is_edited_transparent(server: StandIn) -> None:
    """Conflict 3: inside 255 = edit; OpenAI: alpha 0 = edit, the size of the first picture."""
    request = edit(given(MASK, "mask"), *REFERENCES).model_copy(update={"mode": "inpaint"})
    seen, _, _ = await sent(server, request)
    part = seen.file("mask")
    assert part.media_type == "image/png"
    assert len(part.data) < 4_000_000
    alpha = codec.decode(part.data).pixels[..., 3]
    expected = np.full((24, 32), 255, np.uint8)
    expected[:7, :4] = 0
    np.testing.assert_array_equal(alpha, expected)
    assert [part.name for part in seen.files if part.name != "mask"] == ["image[]"] * 3


def test_a_mask_of_another_size_is_refused_before_sending() -> None:
    with pytest.raises(CapabilityMissing, match="32x24 px and the picture 24x32"):
        masks.to_alpha(MASK, 24, 32)


def test_a_mask_that_marks_nothing_is_refused_before_sending() -> None:
    """It would be paid for and change nothing."""
    with pytest.raises(CapabilityMissing, match="marks nothing"):
        masks.to_alpha(png.write(np.zeros((24, 32), np.uint8)), 32, 24)


def test_a_mask_over_the_limit_of_bytes_is_refused_before_sending() -> None:
    noise = RNG.integers(0, 2, (3000, 3000), np.uint8) * np.uint8(255)
    with pytest.raises(CapabilityMissing, match="simpler mask"):
        masks.to_alpha(png.write(noise), 3000, 3000)


async def test_the_size_of_the_source_is_sent_where_the_model_makes_it(server: StandIn) -> None:
    picture = png.write(np.zeros((1024, 1536, 3), np.uint8))
    request = words(mode="edit", size="source", inputs=(given(picture, "init"),))
    run = FakeRun({digest_of(picture): Encoded(picture, "image/png")})
    generated = await provider(server).generate(request, run)
    assert server.seen[-1].fields["size"] == "1536x1024"
    assert generated.effective.size == (1536, 1024)
    assert not generated.clamped


async def test_another_size_than_the_source_is_told(server: StandIn) -> None:
    seen, generated, _ = await sent(server, edit())
    assert seen.fields["size"] == "960x720"
    assert generated.effective.size == (960, 720)
    assert generated.clamped == ("size: 32x24 → 960x720, the nearest it makes",)


async def test_the_reply_is_kept_byte_for_byte_before_it_is_read(server: StandIn) -> None:
    seen, _, run = await sent(server, words(count=2))
    assert run.replies == [seen.reply]


async def test_pictures_are_the_very_bytes_that_were_sent(server: StandIn) -> None:
    """A signature in the file stays valid."""
    seen, generated, _ = await sent(server, words(count=2))
    data = json.loads(seen.reply)["data"]
    assert [one.data for one in generated.images] == [
        base64.b64decode(one["b64_json"]) for one in data
    ]


async def test_the_details_carry_usage_and_what_the_server_chose(server: StandIn) -> None:
    _, generated, _ = await sent(server, edit())
    assert generated.details["input_image_tokens"] == "1500"
    assert generated.details["quality"] == "high"
    assert int(generated.details["output_tokens"]) > 0


@pytest.mark.parametrize(
    "model",
    ["gpt-image-2", "gpt-image-2.5-sunburst", "gpt-image-2.6-flare"],
)
@pytest.mark.parametrize("cached", [None, 5])
async def test_the_cost_is_what_the_server_charged(
    server: StandIn, model: str, cached: int | None
) -> None:
    server.script(Act(cached_text=cached))
    request = edit(*REFERENCES, model=model, count=2, options={"quality": "medium"})
    seen, generated, _ = await sent(server, request)
    assert generated.cost is not None
    assert int(generated.cost * 10**9) == seen.charged_nano > 0
    assert generated.cost <= provider(server).estimate(request)


@pytest.mark.parametrize("edits", [False, True])
async def test_unfinished_pictures_are_shown_as_they_come(server: StandIn, *, edits: bool) -> None:
    options: dict[str, Option] = {"partial_images": 2, "quality": "low"}
    request = edit(options=options) if edits else words(options=options)
    seen, generated, run = await sent(server, request)
    assert str(seen.fields["stream"]).lower() == "true"
    assert len(run.partials) == 2
    assert run.partials[0].data != run.partials[1].data
    assert codec.sniff(run.partials[0].data).width_px == 64
    assert codec.sniff(generated.images[0].data).width_px > 64
    assert generated.cost is not None
    assert int(generated.cost * 10**9) == seen.charged_nano
    assert generated.cost <= provider(server).estimate(request)


async def test_the_last_event_of_a_stream_can_be_read_again(server: StandIn) -> None:
    request = words(options={"partial_images": 1})
    _, generated, run = await sent(server, request)
    again = provider(server).read_reply(run.replies[0], request)
    assert again == generated
    assert json.loads(run.replies[0])["type"] == "image_generation.completed"


async def test_a_server_that_knows_no_streams_may_answer_plainly(server: StandIn) -> None:
    server.script(Act("no-stream"))
    seen, generated, run = await sent(server, words(options={"partial_images": 1}))
    assert len(generated.images) == 1
    assert run.replies == [seen.reply]


async def test_several_pictures_are_not_streamed_and_that_is_told(server: StandIn) -> None:
    seen, generated, run = await sent(server, words(count=2, options={"partial_images": 2}))
    assert "stream" not in seen.fields
    assert "partial_images" not in seen.fields
    assert not run.partials
    assert "partial_images: 2 → 0" in generated.clamped[0]


async def test_a_hitch_in_showing_does_not_lose_the_paid_picture(
    server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    class Blind(FakeRun):
        async def partial(self, index: int, image: Encoded) -> None:
            raise RuntimeError("no screen")

    run = Blind({})
    generated = await provider(server).generate(words(options={"partial_images": 1}), run)
    assert len(generated.images) == 1
    assert "could not be shown" in caplog.text


async def test_a_server_without_keys_is_shown_none() -> None:
    with StandIn(key=None) as server:
        seen, _, _ = await sent(server, words(), keyless=True)
        assert "authorization" not in seen.headers


async def test_a_model_of_a_compatible_server_gets_no_more_than_it_knows(server: StandIn) -> None:
    """No quality to a server that never heard of it."""
    more = [{"id": "mine", "options": "bare", "sizes": "any", "free": True, "ask_b64": True}]
    server.script(Act(body=_plain_reply()))
    seen, generated, _ = await sent(server, words("mine", size=(40, 24)), models=more)
    assert seen.fields == {
        "model": "mine",
        "prompt": "a lighthouse",
        "n": 1,
        "size": "40x24",
        "response_format": "b64_json",
    }
    assert generated.cost == 0


def _plain_reply() -> bytes:
    return json.dumps({"data": [{"b64_json": base64.b64encode(SCENE).decode()}]}).encode()


async def test_the_environment_of_another_account_stays_here(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK would read them and show them to any server."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-other")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    seen, _, _ = await sent(server, words())
    assert not any("other" in value for value in seen.headers.values())


async def test_an_organisation_of_the_settings_is_sent(server: StandIn) -> None:
    seen, _, _ = await sent(server, words(), organization="org-mine", project="proj-mine")
    assert seen.headers["openai-organization"] == "org-mine"
    assert seen.headers["openai-project"] == "proj-mine"
