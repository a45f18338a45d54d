"""Rows for `maquette instruct` and `maquette project notify`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.cli.rows import Doing, Row, is_json, line, refused, works

if TYPE_CHECKING:
    from tests.cli.conftest import Said, Workplace


def _rows() -> Iterator[Row]:
    create = "instruct create --json --project told --type qa --draft"
    words = "instruct create"
    unknown = refused("project-not-found")
    gone = _given("instruct create --json --project nobody --type qa")
    yield Row(words, "--project", gone, _given("instruct create --json --type qa"), unknown)
    plain = _given("instruct create --json --project told")
    yield Row(words, "--type", _given(create), plain, works)
    payload = f'{create} --payload \'{{"stage": "x"}}\''
    yield Row(words, "--payload", _given(payload), _given(create), _staged)
    asked = _given(f"{create} --dispatch-to-agent")
    yield Row(words, "--dispatch-to-agent", asked, _given(create), refused("capability-missing"))
    # Where an agent is configured, only the flag keeps an instruction here.
    here = f"{create} --no-dispatch-to-agent"
    yield Row(words, "--no-dispatch-to-agent", _with_agent(here), _with_agent(create), _stays_here)
    waiting = _given(create)
    queued = _given(create.replace(" --draft", ""))
    yield Row(words, "--draft", waiting, queued, lambda said: said.json["state"] == "draft")
    yield Row(words, "--json", waiting, _given(create.replace(" --json", "")), is_json)
    listed = "instruct list --json --project told"
    yield Row(
        "instruct list", "--json", _given(listed), _given(listed.replace(" --json", "")), is_json
    )
    yield Row(
        "instruct list",
        "--limit",
        _given(f"{listed} --limit 1"),
        _given(listed),
        lambda said: len(said.json) == 1,
    )
    yield Row("instruct list", "--project", _given(listed), _given("instruct list --json"), works)
    for verb in ("show", "confirm", "cancel"):
        base = f"instruct {verb} ID --json --project told"
        yield Row(
            f"instruct {verb}", "--json", _given(base), _given(base.replace(" --json", "")), is_json
        )
        bare = base.replace(" --project told", "")
        yield Row(f"instruct {verb}", "--project", _given(base), _given(bare), works)
    tell = "project notify told http://127.0.0.1:9/hook --json"
    yield Row(
        "project notify", "--json", _given(tell), _given(tell.replace(" --json", "")), is_json
    )
    off = "project notify told --off --json"
    both = line("project notify told --json")
    yield Row("project notify", "--off", _given(off), both, works)


def _staged(said: Said) -> bool:
    return said.json["payload_json"] == {"stage": "x"}


def _stays_here(said: Said) -> bool:
    return said.json["dispatch_to_agent"] is False


def _prepared(place: Workplace) -> None:
    place.once("told", lambda: place("project", "create", "told", "--default-root"))


def _given(words: str) -> Doing:
    """Run a line in a project of its own; ID is a draft made for it."""

    def work(place: Workplace) -> Said:
        _prepared(place)
        line = words
        if " ID " in words:
            made = place(*shlex.split("instruct create --json --project told --type qa --draft"))
            line = words.replace(" ID ", f" {made.json['id']} ")
        elif words.startswith("instruct list"):
            for _ in range(2):
                place(*shlex.split("instruct create --json --project told --type qa --draft"))
        return place(*shlex.split(line))

    return lambda place: place.once(words, lambda: work(place))


def _with_agent(words: str) -> Doing:
    def work(place: Workplace) -> Said:
        _prepared(place)
        variables = {"MAQUETTE_AGENT_URL": "http://127.0.0.1:9/instructions"}
        return place.with_variables(variables)(*shlex.split(words))

    return lambda place: place.once(("agent", words), lambda: work(place))


ROWS = tuple(_rows())
