"""The A1111 provider, against the contract that plugins inherit, on a stand-in server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from maquette.core.provider import Listed, Provider
from maquette.core.requests import (
    Digest,
    Encoded,
    ImageRequest,
    Input,
    Mode,
    ModelProfile,
    digest_of,
)
from maquette.core.wire import WireRules
from maquette.imaging import png
from maquette.providers.a1111.config import A1111Config
from maquette.providers.a1111.provider import A1111Provider
from maquette.testing.contracts import ProviderContract, RequestFor
from maquette.testing.standin_a1111 import A1111StandIn

SOURCE = png.write(np.random.default_rng(1).integers(0, 256, (64, 72, 3), np.uint8))
MASK = png.write(np.pad(np.full((20, 30), 255, np.uint8), ((0, 44), (0, 42))))


@pytest.fixture
def provider() -> Iterator[Provider]:
    """The loaded checkpoint, one of the settings and one that was learned."""
    with A1111StandIn(checkpoints=("photon_v1", "dreamer_xl")) as server:
        config = A1111Config(base_url=server.url, models=("photon_v1",), default_size=(64, 80))
        made = A1111Provider.build(config, WireRules(paid_calls=False))
        made.learn([Listed(id="dreamer_xl")])
        yield made


def wanted(profile: ModelProfile, mode: Mode) -> ImageRequest:
    given = {"generate": [], "edit": [("init", SOURCE)]}.get(
        mode, [("init", SOURCE), ("mask", MASK)]
    )
    inputs = [
        Input.model_validate(
            {
                "role": role,
                "digest": digest_of(data),
                "media_type": "image/png",
                "width_px": 72,
                "height_px": 64,
                "size_bytes": len(data),
            }
        )
        for role, data in given
    ]
    return ImageRequest(
        provider="a1111",
        model=profile.id,
        mode=mode,
        prompt="a warm evening",
        negative_prompt="people",
        seed=5,
        inputs=tuple(inputs),
        options={"steps": 4},
    )


class TestGenerating(ProviderContract):
    """Generating from words."""

    @pytest.fixture
    def request_for(self) -> RequestFor:
        return lambda profile: wanted(profile, "generate")


class TestEditing(ProviderContract):
    """Editing one picture, at its own size."""

    @pytest.fixture
    def request_for(self) -> RequestFor:
        return lambda profile: wanted(profile, "edit")

    @pytest.fixture
    def inputs(self) -> Mapping[Digest, Encoded]:
        return {digest_of(SOURCE): Encoded(SOURCE, "image/png")}


class TestInpainting(ProviderContract):
    """Painting one corner of a picture anew."""

    @pytest.fixture
    def request_for(self) -> RequestFor:
        return lambda profile: wanted(profile, "inpaint")

    @pytest.fixture
    def inputs(self) -> Mapping[Digest, Encoded]:
        return {digest_of(one): Encoded(one, "image/png") for one in (SOURCE, MASK)}
