"""One server a module: the clients come and go."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from tests.clients.running import KEY, Running, running


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls find the provider's key, which other tests must not have."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def client(house: Running) -> Iterator[openai.OpenAI]:
    """The official client as it comes: two retries, ten minutes."""
    with openai.OpenAI(base_url=house.url, api_key="not used here") as made:
        yield made
