"""WEB-3: what is refused before anything is sent, and what the settings can say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maquette.core.errors import CapabilityMissing, PriceUnknown
from maquette.core.requests import ImageRequest, Input, digest_of
from maquette.core.wire import WireRules
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.profiles import catalogue
from maquette.providers.openai.provider import OpenAIProvider
from maquette.providers.openai.sizes import allowed, nearest

TODAY = date(2026, 11, 20)
FIXED = ((1024, 1024), (1536, 1024), (1024, 1536))


def provider(today: date = TODAY, **config: Any) -> OpenAIProvider:
    return OpenAIProvider(OpenAIConfig(**config), WireRules(paid_calls=False), today=lambda: today)


def picture(role: Any = "init", **fields: Any) -> Input:
    given: dict[str, Any] = {
        "role": role,
        "digest": digest_of(b""),
        "media_type": "image/png",
        "width_px": 1024,
        "height_px": 1024,
        "size_bytes": 1000,
    }
    return Input(**{**given, **fields})


def wanted(**fields: Any) -> ImageRequest:
    given: dict[str, Any] = {"provider": "openai", "model": "gpt-image-2", "prompt": "a lighthouse"}
    return ImageRequest(**{**given, **fields})


def edit(*inputs: Input, **fields: Any) -> ImageRequest:
    return wanted(**{"mode": "edit", "inputs": inputs or (picture(),), **fields})


GOOD = {
    "words": wanted(),
    "a picture": edit(),
    "sixteen pictures": edit(picture(), *(picture("reference"),) * 15),
    "a reference alone": edit(picture("reference")),
    "a mask": edit(picture(), picture("mask"), mode="inpaint"),
    "any quality of 2.5": wanted(model="gpt-image-2.5-flare", options={"quality": "max"}),
    "the longest prompt": wanted(prompt="x" * 32_000),
    "webp": wanted(options={"output_format": "webp", "output_compression": 0}),
    "fidelity": edit(model="gpt-image-1.5", options={"input_fidelity": "high"}),
}
BAD = {
    "a seed": (wanted(seed=1), "no seed"),
    "a negative prompt": (wanted(negative_prompt="rain"), "no negative prompt"),
    "no prompt": (wanted(prompt=" "), "needs a prompt"),
    "too long a prompt": (wanted(prompt="x" * 32_001), "32000 characters"),
    "another mode": (wanted(mode="upscale"), "does not support 'upscale'"),
    "eleven at once": (wanted(count=11), "at most 10"),
    "pictures to generate": (wanted(inputs=(picture(),)), "from words alone"),
    "no picture to edit": (wanted(mode="edit"), "needs a picture"),
    "seventeen pictures": (edit(picture(), *(picture("reference"),) * 16), "at most 16 pictures"),
    "no mask": (edit(mode="inpaint"), "needs a mask"),
    "two masks": (edit(picture(), picture("mask"), picture("mask"), mode="inpaint"), "one mask"),
    "a mask for nothing": (edit(picture("reference"), picture("mask"), mode="inpaint"), "one mask"),
    "another format": (edit(picture(media_type="image/avif")), "not image/avif"),
    "50 MB": (edit(picture(size_bytes=50_000_000)), "below 50 MB"),
    "no source": (wanted(size="source"), "no source picture"),
    "no multiple of 16": (wanted(size=(1000, 1000)), "the nearest it makes is 1008x1008"),
    "too steep": (wanted(size=(3200, 1024)), "does not make"),
    "too long": (wanted(size=(3856, 2000)), "does not make"),
    "too few pixels": (wanted(size=(640, 640)), "does not make"),
    "too many pixels": (wanted(size=(3840, 2176)), "does not make"),
    "another fixed size": (wanted(model="gpt-image-1.5", size=(1600, 1024)), "1536x1024"),
    "an unknown option": (wanted(options={"style": "vivid"}), "'style'"),
    "the old user": (wanted(options={"user": "me"}), "'user'"),
    "a quality of 2.5": (wanted(options={"quality": "max"}), "'quality'"),
    "fidelity on 2": (edit(options={"input_fidelity": "low"}), "'input_fidelity'"),
    "high fidelity on mini": (
        edit(model="gpt-image-1-mini", options={"input_fidelity": "high"}),
        "'input_fidelity'",
    ),
    "fidelity from words": (
        wanted(model="gpt-image-1.5", options={"input_fidelity": "high"}),
        "editing only",
    ),
    "moderation of an edit": (edit(options={"moderation": "low"}), "generating only"),
    "transparent jpeg": (
        wanted(options={"background": "transparent", "output_format": "jpeg"}),
        "png or webp",
    ),
    "compressed png": (wanted(options={"output_compression": 50}), "jpeg or webp"),
    "four partials": (wanted(options={"partial_images": 4}), "'partial_images'"),
    "a model of nobody": (wanted(model="gpt-image-9"), "no model 'gpt-image-9'"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_the_model_can_do_passes(name: str) -> None:
    provider().check(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_what_the_model_cannot_do_is_refused_before_sending(name: str) -> None:
    request, why = BAD[name]
    with pytest.raises(CapabilityMissing, match=why) as caught:
        provider().check(request)
    assert "nothing was sent" in str(caught.value)


@pytest.mark.parametrize("name", ["dall-e-2", "dall-e-3", "gpt-image-1"])
def test_a_name_that_is_gone_is_refused_with_the_successor(name: str) -> None:
    """Conflict 5: models and their last days are data; a name that is gone names another."""
    with pytest.raises(CapabilityMissing, match=r"shut down.*use 'gpt-image-2\.5-"):
        provider().check(wanted(model=name))
    with pytest.raises(PriceUnknown):
        provider().estimate(wanted(model=name))


@pytest.mark.parametrize("name", ["gpt-image-1.5", "chatgpt-image-latest", "gpt-image-1-mini"])
def test_a_model_is_refused_from_its_last_day_on(name: str) -> None:
    provider(date(2026, 11, 30)).check(wanted(model=name))
    with pytest.raises(CapabilityMissing, match=r"2026-12-01.*use 'gpt-image-2\.5-"):
        provider(date(2026, 12, 1)).check(wanted(model=name))


def test_profiles_carry_the_day_and_the_successor_that_a_plan_warns_of() -> None:
    profile = next(one for one in provider().models() if one.id == "gpt-image-1.5")
    assert profile.shutdown == date(2026, 12, 1)
    assert profile.successor == "gpt-image-2.5-sunburst"


def test_every_successor_is_a_living_model() -> None:
    models = {entry.id: entry for entry in catalogue().models}
    for entry in models.values():
        assert (entry.shutdown is None) is (entry.successor is None)
        if entry.successor is not None:
            assert models[entry.successor].shutdown is None


def test_every_living_model_has_a_price() -> None:
    for entry in catalogue().models:
        if entry.shutdown is None:
            assert provider().estimate(wanted(model=entry.id)) > 0


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((1024, 1024), (1024, 1024)),
        ((32, 24), (960, 720)),
        ((3000, 1000), (3024, 1008)),
        ((9000, 100), (1632, 544)),
        ((100, 9000), (544, 1632)),
        ((6000, 4000), (3504, 2336)),
    ],
)
def test_the_nearest_size_keeps_the_shape_where_it_can(
    source: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert nearest("multiples-of-16", source) == expected


@given(st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)))
def test_the_nearest_size_is_always_allowed(source: tuple[int, int]) -> None:
    assert allowed("multiples-of-16", nearest("multiples-of-16", source))


@pytest.mark.parametrize(
    ("source", "expected"), [((4000, 3000), FIXED[1]), ((900, 1000), FIXED[0]), ((9, 16), FIXED[2])]
)
def test_the_nearest_of_fixed_sizes_has_the_nearest_shape(
    source: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert nearest(FIXED, source) == expected


def test_without_a_key_it_says_which_one_is_missing() -> None:
    assert "OPENAI_API_KEY" in (provider().missing() or "")
    assert provider(has_key=True).missing() is None


def test_a_server_of_this_machine_may_want_no_key() -> None:
    mine = {"id": "mine", "free": True}
    local: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1", "models": [mine]}
    assert provider(**local).missing() is not None
    assert provider(**local, keyless=True).missing() is None
    far: dict[str, Any] = {**local, "base_url": "https://images.example/v1"}
    assert provider(**far, keyless=True).missing() is not None


def test_another_address_offers_only_what_its_settings_name() -> None:
    """A compatible server does not have OpenAI's models, nor its prices."""
    mine = provider(base_url="http://127.0.0.1:9/v1", models=[{"id": "mine", "free": True}])
    assert [one.id for one in mine.models()] == ["mine"]
    assert not mine.models()[0].paid


def test_a_settings_entry_replaces_the_shipped_one() -> None:
    mine = provider(models=[{"id": "gpt-image-2", "price": {"per_image": "0.5"}}])
    assert mine.estimate(wanted()) == Decimal("0.5")


@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "ftp://images.example"},
        {"base_url": "https://me:secret@images.example/v1"},
        {"base_url": "https://images.example/v1"},
        {"wait_s": 60},
        {"key": "sk-1"},
        {"key_name": "sk-proj-1234"},
    ],
)
def test_wrong_settings_are_refused(config: dict[str, Any]) -> None:
    """A key has no place in the settings, and a short patience pays twice."""
    with pytest.raises(ValidationError):
        OpenAIConfig(**config)
