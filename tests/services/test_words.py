"""Prompts and descriptions as a person asks for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from maquette import bootstrap
from maquette.core import money
from maquette.core.errors import (
    BadParameter,
    FileMissing,
    ImageTooLarge,
    NotConfirmed,
    ProviderUnavailable,
)
from maquette.core.money import Usd
from maquette.services import projects, spending, words
from maquette.services.starting import Spending
from maquette.settings import Settings, load
from maquette.testing.standin_chat import Act, ChatStandIn
from tests.services.conftest import noise


@pytest.fixture
def server() -> Iterator[ChatStandIn]:
    with ChatStandIn("lm-studio") as running:
        yield running


def settings(**language: Any) -> Settings:
    return load(language=language)


def local(server: ChatStandIn, **more: Any) -> Settings:
    given = {"base_url": server.url, "model": "stand-in-vision", "free": True, "vision": True}
    return settings(**{**given, **more})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "given.png"
    path.write_bytes(noise(1))
    return path


async def test_without_a_model_the_embedded_ones_do_it(picture: Path) -> None:
    """ORC-3, ORC-4: and say so."""
    async with bootstrap.open_words(settings()) as by:
        written = await words.write(by, "a lighthouse", 3, 5, embedded=False)
        described = await words.describe(by, picture, embedded=False)
    assert written.embedded
    assert len({one.prompt for one in written.prompts}) == 3
    assert described.embedded


async def test_a_local_model_is_asked(server: ChatStandIn, picture: Path) -> None:
    """ORC-3, ORC-4: LM Studio, with a schema and the picture as PNG or JPEG."""
    async with bootstrap.open_words(local(server)) as by:
        written = await words.write(by, "a lighthouse", 2, None, embedded=False)
        described = await words.describe(by, picture, embedded=False)
    assert not written.embedded
    assert len(written.prompts) == 2
    assert not described.embedded
    assert [kind for seen in server.seen for kind, _ in seen.pictures] == ["image/png"]


async def test_a_model_can_be_passed_over(server: ChatStandIn, picture: Path) -> None:
    async with bootstrap.open_words(local(server)) as by:
        assert (await words.write(by, "a lighthouse", 1, 1, embedded=True)).embedded
        assert (await words.describe(by, picture, embedded=True)).embedded
    assert not server.seen


async def test_a_model_without_eyes_leaves_pictures_to_the_embedded_one(
    server: ChatStandIn, picture: Path
) -> None:
    async with bootstrap.open_words(local(server, vision=False)) as by:
        assert (await words.describe(by, picture, embedded=False)).embedded
    assert not server.seen


PRICE = {"input": "2.50", "output": "10", "date": "2026-11-20", "source": "the stand-in"}


async def test_a_model_that_costs_is_refused_where_nobody_says_whose_money_it_is(
    server: ChatStandIn, picture: Path
) -> None:
    """LAB-14: nothing is ever spent beside the ledger."""
    async with bootstrap.open_words(local(server, free=False, price=PRICE)) as by:
        with pytest.raises(BadParameter, match=r"may cost up to \$.*--project"):
            await words.write(by, "a lighthouse", 1, 1, embedded=False)
        with pytest.raises(BadParameter, match="nothing was sent"):
            await words.describe(by, picture, embedded=False)
    assert not server.seen


async def test_prompts_and_descriptions_are_paid_by_a_project(
    server: ChatStandIn, picture: Path, tmp_path: Path
) -> None:
    """WEB-8: what the stand-in charged for all rounds is what is settled."""
    server.script(Act(text="no JSON"))
    home = load(home=tmp_path / "home", language=local(server, free=False, price=PRICE).language)
    async with bootstrap.open_studio(home) as studio:
        await projects.create(studio, "demo", name=None, root=None, default_root=True)
        project = await projects.find(studio, "demo")
        by = await words.of_project(studio, project.id)
        unasked = words.Account(studio, project, Spending())
        with pytest.raises(NotConfirmed):
            await words.write(by, "a lighthouse", 1, 1, embedded=False, account=unasked)
        assert not server.seen
        asked = words.Account(studio, project, Spending(confirmed=True))
        written = await words.write(by, "a lighthouse", 9, 1, embedded=False, account=asked)
        await words.describe(by, picture, embedded=False, account=asked)
        lines = await spending.report(studio, "demo")
    assert len(written.prompts) == 9
    assert len(server.seen) == 4
    assert sum(one.calls for one in lines) == 2
    assert money.to_nano(Usd(sum((one.actual for one in lines), Decimal(0)))) == server.charged_nano


async def test_a_server_that_is_not_there_is_named() -> None:
    away = settings(base_url="http://127.0.0.1:9/v1", model="nobody", free=True)
    async with bootstrap.open_words(away) as by:
        with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1"):
            await words.write(by, "a lighthouse", 1, 1, embedded=False)


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(BadParameter, match="MAQUETTE_LANGUAGE__WAIT_S"):
        bootstrap.language_config(settings(wait_s=1))


async def test_pictures_that_are_none(tmp_path: Path) -> None:
    """ORC-4: images of at most 10 MB."""
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(words.MOST_BYTES + 1)
    async with bootstrap.open_words(settings()) as by:
        with pytest.raises(FileMissing):
            await words.describe(by, tmp_path / "gone.png", embedded=False)
        with pytest.raises(ImageTooLarge, match="10 MiB"):
            await words.describe(by, large, embedded=False)


async def test_a_described_picture_can_be_written_about(picture: Path, tmp_path: Path) -> None:
    async with bootstrap.open_words(settings()) as by:
        described = await words.describe(by, picture, embedded=True)
        path = tmp_path / "scene.json"
        path.write_text(described.scene.model_dump_json(exclude_defaults=True))
        written = await words.write(by, words.read_scene(path), 2, 1, embedded=True)
    assert len(written.prompts) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "not JSON"), (json.dumps({"subjects": 3}), "wrong at subjects"), ("[]", "is wrong")],
)
def test_a_wrong_scene_is_explained(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "scene.json"
    path.write_text(text)
    with pytest.raises(BadParameter, match=told):
        words.read_scene(path)
