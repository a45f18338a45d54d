"""The built-in provider and the scripted one, against the contract that plugins inherit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from maquette.core.provider import Provider
from maquette.core.requests import Digest, Encoded, ImageRequest, Input, ModelProfile, digest_of
from maquette.imaging import png
from maquette.providers.proof.provider import ProofProvider
from maquette.testing.contracts import ProviderContract, RequestFor
from maquette.testing.scripted import Books, ScriptedProvider

SOURCE = png.write(np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8))


def edit(provider: str, profile: ModelProfile) -> ImageRequest:
    source = Input(
        role="init",
        digest=digest_of(SOURCE),
        media_type="image/png",
        width_px=32,
        height_px=24,
        size_bytes=len(SOURCE),
    )
    return ImageRequest(
        provider=provider,
        model=profile.id,
        mode="edit",
        prompt="a warm evening",
        size="source",
        seed=3,
        inputs=(source,),
    )


@pytest.fixture
def stored() -> Mapping[Digest, Encoded]:
    return {digest_of(SOURCE): Encoded(SOURCE, "image/png")}


class TestScripted(ProviderContract):
    """The fake keeps the promises of the real ones."""

    @pytest.fixture
    def provider(self, tmp_path: Path) -> Provider:
        return ScriptedProvider(Books(tmp_path / "other-side"))

    @pytest.fixture
    def request_for(self) -> RequestFor:
        return lambda profile: edit("scripted", profile)

    @pytest.fixture
    def inputs(self, stored: Mapping[Digest, Encoded]) -> Mapping[Digest, Encoded]:
        return stored


class TestProof(ProviderContract):
    """D9: editing."""

    @pytest.fixture
    def provider(self) -> Provider:
        return ProofProvider()

    @pytest.fixture
    def request_for(self) -> RequestFor:
        return lambda profile: edit("proof", profile)

    @pytest.fixture
    def inputs(self, stored: Mapping[Digest, Encoded]) -> Mapping[Digest, Encoded]:
        return stored


class TestProofCards(ProviderContract):
    """D9: generating a card."""

    @pytest.fixture
    def provider(self) -> Provider:
        return ProofProvider()

    @pytest.fixture
    def request_for(self) -> RequestFor:
        return lambda profile: ImageRequest(
            provider="proof", model=profile.id, prompt="a lighthouse", size=(96, 64), seed=3
        )
