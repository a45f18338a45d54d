"""The OpenAI provider, against the contract that plugins inherit, on a stand-in server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from maquette.core.provider import Provider
from maquette.core.requests import Digest, Encoded, ImageRequest, Input, ModelProfile, digest_of
from maquette.core.wire import WireRules
from maquette.imaging import png
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.provider import OpenAIProvider
from maquette.testing.contracts import ProviderContract, RequestFor
from maquette.testing.standin_openai import StandIn

SOURCE = png.write(np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8))


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Every shipped model, at an address of this machine."""
    with StandIn() as server:
        config = OpenAIConfig(base_url=server.url, shipped_models=True)
        yield OpenAIProvider.build(config, WireRules(paid_calls=False))


def wanted(profile: ModelProfile, *, edit: bool) -> ImageRequest:
    source = Input(
        role="init",
        digest=digest_of(SOURCE),
        media_type="image/png",
        width_px=32,
        height_px=24,
        size_bytes=len(SOURCE),
    )
    return ImageRequest(
        provider="openai",
        model=profile.id,
        mode="edit" if edit else "generate",
        prompt="a warm evening",
        size="source" if edit else "auto",
        inputs=(source,) if edit else (),
        options={"quality": "low"},
    )


class TestEditing(ProviderContract):
    """Editing one picture, at the nearest size to its own."""

    @pytest.fixture
    def request_for(self) -> RequestFor:
        return lambda profile: wanted(profile, edit=True)

    @pytest.fixture
    def inputs(self) -> Mapping[Digest, Encoded]:
        return {digest_of(SOURCE): Encoded(SOURCE, "image/png")}


class TestGenerating(ProviderContract):
    """Generating from words."""

    @pytest.fixture
    def request_for(self) -> RequestFor:
        return lambda profile: wanted(profile, edit=False)
