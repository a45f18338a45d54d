"""Rows for `maquette assets` and `maquette trash`."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.cli.rows import Doing, Row, Shows, is_json, works

from maquette import bootstrap
from maquette.services import library, projects
from maquette.settings import load

if TYPE_CHECKING:
    from tests.cli.conftest import Said, Workplace

_LIST = "assets --json --project kept"
_TRASH = "trash list --json --project thrown"


def _filled(place: Workplace, project: str) -> list[str]:
    """Make a project with a source, a proof of it and its cutout; return their ids."""

    def work() -> Said:
        assert place("project", "create", project, "--root", project).status == 0
        made = (
            f"run --project {project} --model proof --input scenes/coast.png --prompt harbour "
            "--post-bg-remove --bg-remove-backends classical --no-bg-refine"
        )
        said = place(*shlex.split(made))
        assert said.status == 0, said.err
        asyncio.run(_tag_the_source(place, project))
        return place("assets", "--json", "--project", project)

    return [one["id"] for one in place.once(("library", project), work).json["items"]]


async def _tag_the_source(place: Workplace, project: str) -> None:
    async with bootstrap.open_studio(load(home=place.home)) as studio:
        project_id = (await projects.find(studio, project)).id
        wanted = library.Filters(project_id, kind="source")
        for one in (await library.page(studio, wanted)).items:
            await library.set_tags(studio, project_id, one.id, ["shore"])


def _given(words: str) -> Doing:
    """Run a command on the project `kept`; CURSOR stands for its second page."""

    def work(place: Workplace) -> Said:
        _filled(place, "kept")
        if "CURSOR" not in words:
            return place(*shlex.split(words))
        return place(*shlex.split(words.replace("CURSOR", _second(place, _LIST))))

    return lambda place: place.once(words, lambda: work(place))


def _thrown(words: str) -> Doing:
    """Run a command where all of the project `thrown` lies in the trash; ASSET is one of it."""

    def work(place: Workplace) -> Said:
        ids = _filled(place, "thrown")
        put = place("trash", "put", *ids, "--project", "thrown")
        assert put.status == 0, put.err
        filled = words.replace("ASSET", ids[0])
        if "CURSOR" in filled:
            filled = filled.replace("CURSOR", _second(place, _TRASH))
        return place(*shlex.split(filled))

    return lambda place: place.once(words, lambda: work(place))


def _second(place: Workplace, words: str) -> str:
    cursor = place(*shlex.split(words), "--limit", "1").json["next"]
    assert isinstance(cursor, str)
    return cursor


def _kinds(said: Said) -> list[str]:
    return sorted(one["kind"] for one in said.json["items"])


def _rows() -> Iterator[Row]:
    every = _given(_LIST)
    filters = {
        "--kind edited": ["edited"],
        "--tag shore": ["source"],
        "--search harb": ["background", "edited"],
        "--trash": [],
        "--next CURSOR": ["edited", "source"],
        "--limit 1": ["background"],
    }
    for words, kinds in filters.items():
        flag = words.partition(" ")[0]
        yield Row("assets", flag, _given(f"{_LIST} {words}"), every, _has(kinds))
    yield Row("assets", "--project", every, _given("assets --json"), works)
    yield Row("assets", "--json", every, _given("assets --project kept"), is_json)
    thrown = _thrown(_TRASH)
    first, rest = _thrown(f"{_TRASH} --limit 1"), _thrown(f"{_TRASH} --next CURSOR")
    yield Row("trash list", "--limit", first, thrown, lambda said: len(_kinds(said)) == 1)
    yield Row("trash list", "--next", rest, thrown, lambda said: len(_kinds(said)) == 2)
    for verb in ("list", "put ASSET", "restore ASSET", "empty"):
        base, name = f"trash {verb}", f"trash {verb}".removesuffix(" ASSET")
        full = _thrown(f"{base} --json --project thrown")
        yield Row(name, "--project", full, _thrown(f"{base} --json"), works)
        yield Row(name, "--json", full, _thrown(f"{base} --project thrown"), is_json)
    empty = "trash empty --json --project thrown"
    dry, wet = _thrown(f"{empty} --dry-run"), _emptied
    yield Row("trash empty", "--dry-run", dry, wet, lambda said: said.json["dry_run"])
    yield Row("trash empty", "--no-dry-run", wet, dry, lambda said: not said.json["dry_run"])


def _has(kinds: list[str]) -> Shows:
    return lambda said: said.status == 0 and _kinds(said) == kinds


def _emptied(place: Workplace) -> Said:
    """Purge a project of its own."""
    words = "trash empty --json --project wasted --no-dry-run"

    def work() -> Said:
        put = place("trash", "put", *_filled(place, "wasted"), "--project", "wasted")
        assert put.status == 0, put.err
        said = place(*shlex.split(words))
        assert (said.status, len(said.json["assets"])) == (0, 3), said.err
        return said

    return place.once(words, work)


ROWS = tuple(_rows())
