"""Rows for `maquette voice`, and for the money of `prompts` and `describe`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.rows import Doing, Row, is_json, refused, works

from maquette.testing.standin_audio import StandInAudio, tone
from maquette.testing.standin_chat import ChatStandIn

if TYPE_CHECKING:
    from tests.cli.conftest import Said, Workplace

_KNOWN = {"date": "2026-11-20", "source": "the stand-in"}


def _rows() -> Iterator[Row]:
    for words in ("prompts lighthouse --json --count 1", "describe scenes/coast.png"):
        yield from _money(words, _chat)
    say = "voice say hello --json --output NEW"
    hear = "voice hear clip.wav --json"
    yield from _money(say, _voice)
    yield from _money(hear, _voice)
    say, hear = (
        f"{say} --project talked --confirm-spend",
        f"{hear} --project talked --confirm-spend",
    )
    named = "voice say"
    yield Row(named, "--output", _voice(say), _voice(say.replace(" --output NEW", "")), works)
    marin = _voice(f"{say} --voice marin")
    yield Row(named, "--voice", marin, _voice(say), lambda said: said.json["voice"] == "marin")
    yield Row(named, "--rate", _voice(f"{say} --rate 9"), _voice(say), refused("bad-parameter"))
    yield Row(named, "--format", _voice(f"{say} --format flac"), _voice(say), _is_flac)
    yield Row(named, "--json", _voice(say), _voice(say.replace(" --json", "")), is_json)
    yield Row("voice hear", "--json", _voice(hear), _voice(hear.replace(" --json", "")), is_json)
    yield Row("voice hear", "--propose", _voice(f"{hear} --propose"), _voice(hear), _proposes)


def _money(words: str, doing: Doings) -> Iterator[Row]:
    """A call that costs needs a project, a word, and room under the ceiling."""
    command = " ".join(words.split()[: 2 if words.startswith("voice") else 1])
    project = f"{words} --project talked"
    paid = f"{project} --confirm-spend"
    yield Row(command, "--project", doing(paid), doing(f"{words} --confirm-spend"), works)
    yield Row(command, "--confirm-spend", doing(paid), doing(project), works)
    refusal = doing(f"{paid} --no-confirm-spend")
    yield Row(command, "--no-confirm-spend", refusal, doing(paid), _spends_nothing)
    little = doing(f"{paid} --max-spend 0.000001")
    yield Row(command, "--max-spend", little, doing(paid), _spends_nothing)


def _spends_nothing(said: Said) -> bool:
    return said.status == 3


def _is_flac(said: Said) -> bool:
    return (said.place / said.json["file"]).read_bytes()[:4] == b"fLaC"


def _proposes(said: Said) -> bool:
    return bool(said.json.get("proposal", {}).get("id"))


class Doings:
    """Runs a line beside a service that charges."""

    def __init__(self, *, speaks: bool) -> None:
        self._speaks = speaks

    def __call__(self, words: str) -> Doing:
        return lambda place: place.once(words, lambda: self._done(words, place))

    def _done(self, words: str, place: Workplace) -> Said:
        place.once("talked", lambda: place("project", "create", "talked", "--default-root"))
        (place.folder / "clip.wav").write_bytes(tone(0.2))
        sounds = place.folder / "sounds"
        sounds.mkdir(exist_ok=True)
        new = str(Path("sounds") / f"{len(list(sounds.iterdir()))}.wav")
        line = shlex.split(words.replace("NEW", new))
        if self._speaks:
            with StandInAudio(key=None) as service:
                return place.with_variables(_speech(service.url))(*line)
        with ChatStandIn("lm-studio") as model:
            return place.with_variables(_language(model.url))(*line)


def _speech(url: str) -> dict[str, str]:
    prices = {
        "ear": {"per_minute": "0.0045", **_KNOWN},
        "mouth": {"per_million_characters": "15", **_KNOWN},
    }
    return {
        "MAQUETTE_SPEECH__BASE_URL": url,
        "MAQUETTE_SPEECH__LISTEN_MODEL": "ear",
        "MAQUETTE_SPEECH__SPEAK_MODEL": "mouth",
        "MAQUETTE_SPEECH__PRICES": json.dumps(prices),
    }


def _language(url: str) -> dict[str, str]:
    price = {"input": "2.50", "output": "10", **_KNOWN}
    return {
        "MAQUETTE_LANGUAGE__BASE_URL": url,
        "MAQUETTE_LANGUAGE__MODEL": "stand-in-vision",
        "MAQUETTE_LANGUAGE__VISION": "true",
        "MAQUETTE_LANGUAGE__PRICE": json.dumps(price),
    }


_chat, _voice = Doings(speaks=False), Doings(speaks=True)
ROWS = tuple(_rows())
