"""The list of models, and asking the other sides again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from maquette import bootstrap
from maquette.core.errors import PriceUnknown, ProviderUnavailable, UnknownPlugin
from maquette.core.provider import Listed, Provider
from maquette.core.registry import Registry
from maquette.core.requests import ImageRequest
from maquette.core.wire import WireRules
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.provider import OpenAIProvider
from maquette.services import models
from maquette.settings import load
from maquette.testing.http_server import Exchange, LoopbackServer
from maquette.testing.scripted import Books, ScriptedProvider

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TODAY = NOW.date()
DAMAGED, DAMAGED_TOO = '{"scripted": 3}', '{"scripted": {"models": 1}}'


class Talkative(ScriptedProvider):
    """Lists whatever it is told to."""

    says: Sequence[Listed] | None = ()
    learnt: Sequence[Listed] = ()
    down = False

    async def listing(self, secret: Callable[[str], SecretStr]) -> Sequence[Listed] | None:
        if self.down:
            raise ProviderUnavailable("No connection; nothing was sent.")
        return self.says

    def learn(self, listed: Sequence[Listed]) -> None:
        self.learnt = listed


@pytest.fixture
def one(tmp_path: Path) -> Talkative:
    return Talkative(Books(tmp_path / "books"))


def registry(*providers: Provider) -> Registry[Provider]:
    return Registry("provider", {provider.id: provider for provider in providers})


def key(_name: str) -> SecretStr:
    return SecretStr("sk-of-a-test")


async def ask(provider: Provider, home: Path) -> list[models.Answered]:
    return await models.refresh(registry(provider), home, key, NOW)


async def test_what_was_learnt_is_told_to_the_next_process(one: Talkative, tmp_path: Path) -> None:
    one.says = [Listed(id="sdxl", title="SDXL")]
    assert await ask(one, tmp_path) == [models.Answered("scripted", 1)]
    assert list(one.learnt) == list(one.says)
    assert models.read(tmp_path)["scripted"].models == tuple(one.says)


async def test_news_are_told(one: Talkative, tmp_path: Path) -> None:
    one.says = [Listed(id="old"), Listed(id="kept")]
    await ask(one, tmp_path)
    one.says = [Listed(id="kept", shutdown=date(2027, 1, 1)), Listed(id="fresh")]
    [answer] = await ask(one, tmp_path)
    assert answer.news == ("new: fresh", "gone: old", "kept ends 2027-01-01")


async def test_no_answer_forgets_nothing(one: Talkative, tmp_path: Path) -> None:
    one.says = [Listed(id="kept")]
    await ask(one, tmp_path)
    one.down = True
    [answer] = await ask(one, tmp_path)
    assert "No connection" in str(answer.error)
    assert [model.id for model in models.read(tmp_path)["scripted"].models] == ["kept"]


async def test_who_has_nobody_to_ask_is_not_listed(one: Talkative, tmp_path: Path) -> None:
    one.says = None
    assert await ask(one, tmp_path) == []


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"scripted": 3}', '{"scripted": {"models": 1}}']
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / models.FILE).write_text(damage)
    assert models.read(tmp_path) == {}


async def test_only_one_provider_can_be_asked(one: Talkative, tmp_path: Path) -> None:
    with pytest.raises(UnknownPlugin, match="There are: scripted"):
        await models.refresh(registry(one), tmp_path, key, NOW, "nobody")
    with pytest.raises(UnknownPlugin, match="There are: scripted"):
        models.lines(registry(one), TODAY, "nobody")


def test_models_are_listed_with_their_state() -> None:
    """LAB-14: gone, ending, not ready: a person sees it before a plan does."""
    provider = OpenAIProvider(OpenAIConfig(has_key=True), WireRules())
    states = {line.model: line.state for line in models.lines(registry(provider), TODAY)}
    assert states["gpt-image-2"] == "ready"
    assert states["gpt-image-1"].startswith("gone since 2026-10-23, use ")
    assert states["gpt-image-1.5"].startswith("ends 2026-12-01, then ")
    waiting = OpenAIProvider(OpenAIConfig(), WireRules())
    assert "OPENAI_API_KEY" in models.lines(registry(waiting), TODAY)[0].state


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """List three models, in the two ways in which a day could be said."""
    body = (
        b'{"object": "list", "data": ['
        b'{"id": "gpt-image-2", "shutdown_date": "2027-03-01"},'
        b'{"id": "gpt-image-3", "shutdown_date": null},'
        b'{"id": "gpt-5", "shutdown_date": 1798761600}]}'
    )

    def handle(exchange: Exchange) -> None:
        if exchange.headers.get("authorization") != "Bearer sk-of-a-test":
            exchange.answer(401, b"{}")
        elif exchange.path == "/v1/models":
            exchange.answer(200, body)
        else:
            exchange.answer(200, b"<html>")

    with LoopbackServer(handle) as running:
        yield running


async def test_a_servers_shutdown_days_win_over_the_table(
    server: LoopbackServer, tmp_path: Path
) -> None:
    """LAB-14: warned before, refused after."""
    config = OpenAIConfig(base_url=f"{server.url}/v1", shipped_models=True, has_key=True)
    provider = OpenAIProvider(config, WireRules(paid_calls=False))
    [answer] = await ask(provider, tmp_path)
    assert (answer.models, answer.error) == (3, None)
    shutdowns = {profile.id: profile.shutdown for profile in provider.models()}
    assert shutdowns["gpt-image-2"] == date(2027, 3, 1)
    assert models.read(tmp_path)["openai"].models[2].shutdown == date(2027, 1, 1)
    assert "gpt-5" not in shutdowns


def test_a_new_model_is_shown_and_refused_until_it_has_a_price() -> None:
    """LAB-14: never taken as free."""
    provider = OpenAIProvider(OpenAIConfig(has_key=True), WireRules())
    provider.learn([Listed(id="gpt-image-3"), Listed(id="gpt-5")])
    assert "gpt-image-3" in {profile.id for profile in provider.models()}
    assert "gpt-5" not in {profile.id for profile in provider.models()}
    request = ImageRequest(provider="openai", model="gpt-image-3", prompt="a lake")
    with pytest.raises(PriceUnknown, match="has no price"):
        provider.estimate(request)


@pytest.mark.parametrize(
    ("address", "secret", "words"),
    [("/v1", "wrong", "refused the key"), ("", "sk-of-a-test", "is none")],
)
async def test_a_server_that_refuses_or_babbles(
    server: LoopbackServer, tmp_path: Path, address: str, secret: str, words: str
) -> None:
    config = OpenAIConfig(base_url=server.url + address, shipped_models=True, has_key=True)
    provider = OpenAIProvider(config, WireRules(paid_calls=False))
    answers = await models.refresh(
        registry(provider), tmp_path, lambda _name: SecretStr(secret), NOW
    )
    assert words in str(answers[0].error)
    assert secret not in str(answers[0].error)


def test_a_new_process_learns_before_anything_is_asked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    learnt = models.Learnt(asked_at=NOW, models=(Listed(id="gpt-image-3"),))
    (home / models.FILE).write_text('{"openai": ' + learnt.model_dump_json() + "}")
    found = bootstrap.ready_providers(load(home=home))["openai"].models()
    assert "gpt-image-3" in {profile.id for profile in found}
