"""A running server for each test that asks for one."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.lending import furnish

from maquette.settings import RetrySettings, ServerSettings, load
from maquette.testing.scripted import Act, Books, ScriptedProvider
from maquette.testing.serving import Served, serving
from maquette.testing.standin_audio import StandInAudio

Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path, books: Books) -> Serve:
    """Serve the test's home, with the scripted provider beside the built-in ones."""

    @asynccontextmanager
    async def opened(
        *script: Act, price: str = "0.04", url: str | None = None, work: bool = True, **server: Any
    ) -> AsyncGenerator[Served]:
        settings = load(
            home=tmp_path / "home",
            database_url=url,
            server=ServerSettings(**server),
            retries=RetrySettings(first_wait_s=0.01, longest_wait_s=0.05),
        )
        furnish(settings)
        provider = ScriptedProvider(books, script, price=price)
        async with serving(settings, work=work, providers={provider.id: provider}) as served:
            yield served

    return opened


@pytest.fixture
async def served(serve: Serve) -> AsyncGenerator[Served]:
    async with serve() as running:
        yield running


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInAudio]:
    """A free service of speech on this machine."""
    with StandInAudio(key=None) as running:
        settings = {
            "BASE_URL": running.url,
            "LISTEN_MODEL": "ear",
            "SPEAK_MODEL": "mouth",
            "FREE": "true",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"MAQUETTE_SPEECH__{name}", value)
        yield running


@pytest.fixture
def paid(service: StandInAudio, monkeypatch: pytest.MonkeyPatch) -> StandInAudio:
    """One that charges, and says what."""
    known = {"date": "2026-11-20", "source": "the stand-in"}
    prices = {
        "ear": {"per_minute": "0.0045", **known},
        "mouth": {"per_million_characters": "15", **known},
    }
    monkeypatch.setenv("MAQUETTE_SPEECH__FREE", "false")
    monkeypatch.setenv("MAQUETTE_SPEECH__PRICES", json.dumps(prices))
    return service
