"""Without a key: planned for free, never begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from maquette import bootstrap
from maquette.core.errors import CapabilityMissing
from maquette.core.pipeline import RunOrder
from maquette.services import planning, starting, viewing
from maquette.settings import load


async def test_without_a_key_nothing_is_begun(tmp_path: Path, scenes: Path, root: Path) -> None:
    """LAB-1, LAB-15: the plan says what is missing, a run is refused with it."""
    order = RunOrder(
        project="demo",
        input=scenes,
        provider="openai",
        model="gpt-image-2",
        prompt="dusk",
        options={"quality": "low"},
    )
    async with bootstrap.open_studio(load(home=tmp_path / "home")) as studio:
        plan = await planning.plan(studio, order, root)
        assert any("OPENAI_API_KEY" in note for note in plan.notes)
        assert plan.worst_case > 0
        with pytest.raises(CapabilityMissing, match="OPENAI_API_KEY"):
            await starting.start(studio, plan, starting.Spending(confirmed=True))
        assert await viewing.listing(studio, None, 10, None) == []
    assert not root.exists()


async def test_a_key_makes_it_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key")
    async with bootstrap.open_studio(load(home=tmp_path / "home")) as studio:
        assert studio.shop.providers["openai"].missing() is None


async def test_a_server_of_ones_own_is_told_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of the guide: a list in a variable is JSON."""
    monkeypatch.setenv("MAQUETTE_PROVIDERS__OPENAI__BASE_URL", "http://127.0.0.1:9000/v1")
    monkeypatch.setenv("MAQUETTE_PROVIDERS__OPENAI__KEYLESS", "true")
    monkeypatch.setenv("MAQUETTE_PROVIDERS__OPENAI__MODELS", '[{"id": "my-model", "free": true}]')
    async with bootstrap.open_studio(load(home=tmp_path / "home")) as studio:
        provider = studio.shop.providers["openai"]
        assert [model.id for model in provider.models()] == ["my-model"]
        assert provider.missing() is None
