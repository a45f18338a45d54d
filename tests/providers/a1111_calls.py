"""Calls of the A1111 provider, as its tests make them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from maquette.core.errors import (
    ProviderError,
)
from maquette.core.requests import Encoded, Generated, ImageRequest, Input, digest_of
from maquette.core.wire import WireRules
from maquette.imaging import codec, png
from maquette.providers.a1111.config import A1111Config
from maquette.providers.a1111.provider import A1111Provider
from maquette.testing.provider_contract import FakeRun
from maquette.testing.standin_a1111 import A1111StandIn, Act, Seen

PASSWORD = "letmein-8c1f2e"  # noqa: S105 - opens nothing
RNG = np.random.default_rng(7)
SCENE_PIXELS = RNG.integers(0, 256, (64, 96, 3), np.uint8)
SCENE = png.write(SCENE_PIXELS)
MARKS = np.zeros((64, 96), np.uint8)
MARKS[:16, :24] = 255
MARKS[16, :24] = 90
"""The top left corner is to be edited: no symmetry hides a flip or an inversion."""
MASK = png.write(MARKS)
WAIT_S = 20.0


def given_as(data: bytes, role: Any, media_type: str = "image/png") -> Input:
    header = codec.sniff(data, name="a picture")
    return Input(
        role=role,
        digest=digest_of(data),
        media_type=media_type,
        width_px=header.width_px,
        height_px=header.height_px,
        size_bytes=len(data),
    )


class Keyed(FakeRun):
    """A run whose project has this password, and these pictures."""

    def __init__(self, *stored: bytes, password: str = PASSWORD) -> None:
        super().__init__({digest_of(one): Encoded(one, "image/png") for one in stored})
        self._password = password
        self.notes: list[str] = []
        self.noted = asyncio.Event()
        self.shown = asyncio.Event()

    def secret(self, name: str) -> SecretStr:
        return SecretStr(self._password)

    async def progress(self, fraction: float, note: str = "") -> None:
        await super().progress(fraction, note)
        self.notes.append(note)
        self.noted.set()

    async def partial(self, index: int, image: Encoded) -> None:
        await super().partial(index, image)
        self.shown.set()


def provider(server: A1111StandIn | str, **config: Any) -> A1111Provider:
    """Make a provider that looks at the progress all the time."""
    rules = WireRules(paid_calls=False, **config.pop("rules", {}))
    url = server if isinstance(server, str) else server.url
    settings = A1111Config.model_validate({"base_url": url, "default_size": (64, 80), **config})
    return A1111Provider(settings, rules, look_s=0.01)


def words(model: str = "current", **fields: Any) -> ImageRequest:
    return ImageRequest(provider="a1111", model=model, prompt="a lighthouse", **fields)


def edit(*more: Input, source: bytes = SCENE, **fields: Any) -> ImageRequest:
    mode = "inpaint" if more else "edit"
    inputs = (given_as(source, "init"), *more)
    wanted: dict[str, Any] = {"mode": mode, "size": "source", "inputs": inputs, **fields}
    return words(**wanted)


def inpaint(**fields: Any) -> ImageRequest:
    return edit(given_as(MASK, "mask"), **fields)


async def sent(
    server: A1111StandIn, request: ImageRequest, *stored: bytes, **config: Any
) -> tuple[Seen, Generated, Keyed]:
    run = Keyed(SCENE, MASK, *stored)
    generated = await provider(server, **config).generate(request, run)
    return server.seen[-1], generated, run


async def failed(
    server: A1111StandIn, act: Act, run: FakeRun | None = None, **config: Any
) -> ProviderError:
    """Return the error of one call that meets `act`."""
    server.script(act)
    with pytest.raises(ProviderError) as caught:
        await provider(server, **config).generate(words(), run or Keyed())
    return caught.value


def closed() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"
