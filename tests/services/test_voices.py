"""Speech outside of any project: free or refused, and never recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maquette import bootstrap
from maquette.core.errors import BadParameter
from maquette.services import voices
from maquette.settings import Settings, load
from maquette.testing.standin_audio import SOUNDS, StandInAudio, tone


@pytest.fixture
def server() -> Iterator[StandInAudio]:
    with StandInAudio(key=None) as running:
        yield running


def settings(tmp_path: Path, server: StandInAudio, **more: Any) -> Settings:
    given = {"base_url": server.url, "listen_model": "ear", "speak_model": "mouth", "free": True}
    return load(home=tmp_path / "home", speech={**given, **more})


async def test_what_is_free_needs_no_project(tmp_path: Path, server: StandInAudio) -> None:
    async with bootstrap.open_studio(settings(tmp_path, server)) as studio:
        by = studio.voices(studio.keys.get)
        assert (await voices.say_aside(by, voices.Wanted("Hello"))).audio.data == SOUNDS["mp3"]
        heard = await voices.hear_aside(by, tone(0.2))
    assert heard.command is not None


async def test_what_costs_needs_one(tmp_path: Path, server: StandInAudio) -> None:
    known = {"date": "2026-11-20", "source": "the stand-in"}
    prices = {
        "ear": {"per_minute": "0.0045", **known},
        "mouth": {"per_million_characters": "15", **known},
    }
    paid = settings(tmp_path, server, free=False, prices=prices)
    async with bootstrap.open_studio(paid) as studio:
        by = studio.voices(studio.keys.get)
        with pytest.raises(BadParameter, match="--project"):
            await voices.say_aside(by, voices.Wanted("Hello"))
        with pytest.raises(BadParameter, match="--project"):
            await voices.hear_aside(by, tone(0.2))
    assert not server.seen


async def test_one_model_alone_leaves_the_other_end_embedded(
    tmp_path: Path, server: StandInAudio
) -> None:
    """A service that only listens takes nobody's voice away, and the other way round."""
    for name, ends in (("speak_model", (True, False)), ("listen_model", (False, True))):
        half = settings(tmp_path, server, **{name: ""})
        async with bootstrap.open_studio(half) as studio:
            by = studio.voices(studio.keys.get)
        assert (by.speaker.embedded, by.listener.embedded) == ends
