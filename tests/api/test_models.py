"""WEB-3: what can be asked for, as data, in the form that OpenAI's clients read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from openai import AsyncOpenAI
from tests.api.asked import told
from tests.api.conftest import Serve
from tests.api.people import Client

from maquette.core.requests import ModelProfile
from maquette.settings import ServerSettings, load
from maquette.testing.scripted import Books, ScriptedProvider
from maquette.testing.serving import Served, serving


async def test_every_model_says_what_it_can(served: Served) -> None:
    reply = await served.client.get("/v1/models")
    assert reply.status_code == 200, reply.text
    assert reply.json()["object"] == "list"
    by_id = {one["id"]: one for one in reply.json()["data"]}
    paid = by_id["paid"]
    assert (paid["object"], paid["owned_by"], paid["name"]) == (
        "model",
        "scripted",
        "scripted:paid",
    )
    assert paid["modes"] == ["edit", "generate", "inpaint"]
    assert (paid["max_count"], paid["max_references"], paid["max_pixels"]) == (2, 2, 1024 * 1024)
    assert paid["sizes"] == ["1024x1024"]
    assert paid["prices"] == [{"size": "1024x1024", "quality": None, "usd": "0.04"}]
    assert (paid["ready"], paid["missing"], paid["paid"]) == (True, None, True)
    assert by_id["free"]["prices"] == by_id["unpriced"]["prices"] == []
    assert by_id["proof"]["proof"] and not by_id["proof"]["paid"]


async def test_a_price_list_is_the_providers_own(served: Served) -> None:
    """By size and quality, with the day and the origin of the numbers; nobody is called."""
    reply = await served.client.get("/v1/models/gpt-image-2.5-flare")
    found = reply.json()
    assert (found["ready"], "OPENAI_API_KEY" in found["missing"]) == (False, True)
    assert "quality" in found["options"]["properties"]
    prices = {(one["size"], one["quality"]): float(one["usd"]) for one in found["prices"]}
    assert prices["1024x1024", "low"] < prices["1024x1024", "high"]
    assert prices["1024x1024", "high"] < prices["3840x2160", "high"]
    assert date.fromisoformat(found["prices_as_of"]) <= date.today()  # noqa: DTZ011
    assert "OpenAI" in found["prices_source"]


async def test_openais_own_client_reads_the_list(served: Served) -> None:
    client = AsyncOpenAI(base_url=f"{served.url}/v1", api_key="mq_none", max_retries=0)
    async with client:
        found = [one async for one in client.models.list()]
        assert {"paid", "proof"} <= {one.id for one in found}
        one = await client.models.retrieve("scripted:paid")
        assert (one.id, one.owned_by, one.created > 0) == ("paid", "scripted", True)


class Twin(ScriptedProvider):
    """Another provider with models of the same names, one of which has ended."""

    id = "twin"

    def models(self) -> Sequence[ModelProfile]:
        first, *others = super().models()
        ended = dataclasses.replace(first, id="old", shutdown=date(2025, 1, 1), successor="free")
        return [ended, *others]


async def test_names_that_two_providers_have_are_told_apart(tmp_path: Path, books: Books) -> None:
    settings = load(home=tmp_path / "home", plugins="proof", server=ServerSettings())
    both = {one.id: one for one in (ScriptedProvider(books), Twin(books))}
    async with serving(settings, providers=both, work=False) as served:
        listed = [one["id"] for one in (await served.client.get("/v1/models")).json()["data"]]
        assert "paid" in listed and "free" not in listed and "old" not in listed
        assert {"scripted:free", "twin:free"} <= set(listed)
        assert len(listed) == len(set(listed))
        for name in listed:
            assert (await served.client.get(f"/v1/models/{name}")).json()["id"] == name
        ended = await served.client.get("/v1/models/old")
        assert told(ended) == (404, "model-not-found") and "free" in ended.json()["detail"]
        nothing = await served.client.get("/v1/models/some/thing")
        assert told(nothing) == (404, "model-not-found")


async def test_strangers_are_told_no_models(serve: Serve) -> None:
    async with serve(auth="multi", work=False) as served:
        assert told(await Client(served).get("/v1/models")) == (401, "unauthenticated")
