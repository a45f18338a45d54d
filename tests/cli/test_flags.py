"""Every flag of every command does what its help says.

ONE table, which must equal a walk of `--help`: a flag without a row fails, so does a row without
a flag. A row runs its command with the flag and without, and looks at what the flag changed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.cli import (
    rows_assets,
    rows_credits,
    rows_instruct,
    rows_mask,
    rows_portable,
    rows_privacy,
    rows_s3,
    rows_secret,
    rows_user,
    rows_voice,
)
from tests.cli.conftest import Workplace
from tests.cli.rows import Doing, Row, Shows, elsewhere, is_json, line, pair, refused, works
from typer.main import get_command

from maquette.cli.app import app
from maquette.cli.arguments import ON_OFF, plain_booleans
from maquette.imaging import codec
from maquette.language import expander
from maquette.testing.s3_server import S3Server
from maquette.testing.scripted import Act

if TYPE_CHECKING:
    from tests.cli.conftest import Said


def pixels(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return codec.decode(path.read_bytes(), name=path.name).pixels


# --- dry and run: what a plan is made from


def spec(said: Said) -> dict[str, Any]:
    """Return the first scene's frozen spec: `dry` prints it, `run` logs it."""
    job = said.json["jobs"][0]
    return job["spec"] if "spec" in job else said.log["jobs"][0]["spec"]


def made(said: Said) -> bool:
    """Tell whether a run really made what its spec says; a plan makes nothing."""
    if "sheet" not in said.json:
        return True
    return [job["state"] for job in said.json["jobs"]] == ["succeeded"] * len(said.json["jobs"])


def asks(value: Any, *keys: str) -> Shows:
    """Tell whether the spec has `value` under the keys, and the run was made."""

    def shows(said: Said) -> bool:
        found: Any = spec(said)
        for key in keys:
            found = None if found is None else found[key]
        return found == value and made(said)

    return shows


def kinds(said: Said) -> set[str]:
    """Name what the run made; of a plan, what it would make."""
    if "assets" in said.json:
        return {asset["kind"] for asset in said.json["assets"]}
    return {name for name, step in spec(said)["post"].items() if step is not None}


def _plain(command: str) -> str:
    return f"{command} --json --project lab --project-root root --model proof"


_SCENE = "--input scenes/coast.png"

_VALUES = (
    "--style-refs scenes/dunes.png --prompt dusk --negative-prompt fog --size 40x30 --seed 7 "
    "--candidates 2 --max-chroma-delta 255 --post-bg-remove "
    "--bg-remove-backends classical,classical --post-upscale --upscale-scale 1.5 --post-color "
    "--post-color-profile house.cube"
)

_SWITCHES = (
    "output-guard-enabled",
    "fail-on-chroma-exceed",
    "post-bg-remove",
    "post-upscale",
    "post-color",
)


def _switched(*, on: bool) -> str:
    return " ".join(f"--{'' if on else 'no-'}{name}" for name in _SWITCHES)


def _both_scenes(said: Said) -> list[str]:
    return [job["scene"] for job in said.json["jobs"]]


def _with_setting(command: str, flag: str) -> Doing:
    """Use a project that has its root in the database."""
    words = f"{command} --json --project settled {_SCENE} --model proof {flag}"

    def work(place: Workplace) -> Said:
        if not (place.folder / "settled").exists():
            assert place("project", "create", "settled", "--root", "settled").status == 0
        return place(*shlex.split(words))

    return lambda place: place.once(words, lambda: work(place))


def _plan_rows(command: str) -> Iterator[Row]:
    plain, base = _plain(command), f"{_plain(command)} {_SCENE}"
    simple, full = line(base), line(f"{base} {_VALUES}")
    values: dict[str, Shows] = {
        "--style-refs": lambda said: (
            [one["name"] for one in spec(said)["request"]["inputs"][1:]] == ["dunes.png"]
            and made(said)
        ),
        "--prompt": asks("dusk", "request", "prompt"),
        "--negative-prompt": asks("fog", "request", "negative_prompt"),
        "--size": asks([40, 30], "request", "size"),
        "--seed": asks(7, "request", "seed"),
        "--candidates": asks(2, "candidates"),
        "--max-chroma-delta": asks(255.0, "guard", "max_chroma_delta"),
        "--bg-remove-backends": asks(["classical"] * 2, "post", "background", "backends"),
        "--upscale-scale": asks(1.5, "post", "upscale", "scale"),
        "--post-color-profile": asks("house.cube", "post", "colour", "profile"),
    }
    for flag, shows in values.items():
        yield Row(command, flag, full, simple, shows)
    switches: dict[str, Shows] = {
        "output-guard-enabled": asks(True, "guard", "enabled"),
        "fail-on-chroma-exceed": asks(True, "guard", "fail_on_chroma_exceed"),
        "post-bg-remove": lambda said: "background" in kinds(said),
        "post-upscale": lambda said: "upscale" in kinds(said),
        "post-color": lambda said: "colour" in kinds(said),
    }
    on_off = line(f"{base} {_switched(on=True)}"), line(f"{base} {_switched(on=False)}")
    for name, shows in switches.items():
        yield from pair(command, name, on_off, shows)
    yield Row(command, "--project", simple, line(base.replace("--project lab", "")), works)
    yield Row(
        command,
        "--project-root",
        simple,
        line(base.replace("--project-root root", "")),
        lambda said: said.status == 0 and Path(said.json["root"]) == said.place / "root",
    )
    yield Row(
        command,
        "--input",
        simple,
        line(plain),
        lambda said: said.status == 0 and _both_scenes(said) == ["coast"],
    )
    yield Row(
        command,
        "--scene-refs",
        line(f"{plain} --scene-refs scenes/dunes.png,scenes/coast.png"),
        simple,
        lambda said: _both_scenes(said) == ["dunes", "coast"],
    )
    yield Row(
        command,
        "--manifest",
        line(f"{base} --manifest sheet.json"),
        simple,
        asks("as the sheet says", "request", "prompt"),
    )
    free = f"{command} --json --project lab --project-root root {_SCENE} --prompt dusk"
    named = line(f"{free} --provider scripted --model free")
    by_provider = asks("scripted", "request", "provider")
    yield Row(command, "--provider", named, simple, by_provider)
    yield Row(
        command,
        "--model",
        named,
        line(f"{free} --provider scripted"),
        lambda said: said.status == 0 and spec(said)["request"]["model"] == "free",
    )
    yield Row(
        command,
        "--option",
        line(f"{base} --option steps=3"),
        simple,
        refused("bad-parameter", "'steps'"),
    )
    yield Row(
        command,
        "--upscale-backend",
        line(f"{base} --post-upscale --upscale-backend resampel"),
        line(f"{base} {_switched(on=True)}"),
        refused("unknown-plugin", "'upscale.resample'"),
    )
    low = f"{base} --candidates 2 --max-candidates 1"
    yield Row(
        command,
        "--max-candidates",
        line(low),
        line(f"{base} {_VALUES}"),
        refused("bad-parameter", "ceiling of 1"),
    )
    many = line(f"{low} --allow-many-candidates"), line(f"{low} --no-allow-many-candidates")
    yield from pair(command, "allow-many-candidates", many, works)
    resolve = "--backend-storage-resolve", "--no-backend-storage-resolve"
    yield from pair(
        command,
        "backend-storage-resolve",
        (_with_setting(command, resolve[0]), _with_setting(command, resolve[1])),
        works,
    )
    need = f"{base} --backend-storage-required", f"{base} --no-backend-storage-required"
    yield from pair(
        command,
        "backend-storage-required",
        (line(need[0]), line(need[1])),
        lambda said: said.status == 2,
    )
    yield Row(command, "--json", simple, line(base.replace(" --json", "")), is_json)


def _refine_rows(command: str, words: str, plan: str = "") -> Iterator[Row]:
    """LAB-9: the refine pass; the older names of its switches do the same."""
    asked = f"{words} {plan} --bg-remove-backends classical --bg-refine-model scripted:free"
    done = (
        refines if command == "bgremove" else asks(True, "post", "background", "refine", "wanted")
    )
    for name in ("bg-refine", "bg-refine-openai"):
        yield from pair(
            command, name, (line(f"{asked} --{name}"), line(f"{asked} --no-{name}")), done
        )
    for name in ("bg-refine-required", "bg-refine-openai-required"):
        given = f"{words} {plan} --bg-refine-model scripted:fre"
        on_off = line(f"{given} --{name}"), line(f"{given} --no-bg-refine --no-{name}")
        yield from pair(command, name, on_off, refused("bad-parameter", "no edit model"))
    yield Row(
        command,
        "--bg-refine-model",
        line(f"{words} {plan} --bg-refine --bg-refine-model scripted:fre"),
        line(f"{words} {plan} --no-bg-refine"),
        refused("bad-parameter", "'scripted:fre' is no edit model"),
    )
    yield Row(
        command,
        "--bg-refine-prompt",
        line(f"{asked} --bg-refine --bg-refine-prompt hair"),
        line(f"{asked} --bg-refine"),
        refine_prompt_is("hair"),
    )


def refines(said: Said) -> bool:
    """Tell whether a standalone cutout was refined."""
    return "refine.merge" in said.json[0]["operation"]


def refine_prompt_is(text: str) -> Shows:
    """Tell it by the newest run's log, or by a plan's spec."""

    def shows(said: Said) -> bool:
        if isinstance(said.json, dict):
            return spec(said)["post"]["background"]["refine"]["prompt"] == text
        logs = sorted(
            (said.place / "root" / "runs").glob("*.json"), key=lambda one: one.stat().st_mtime
        )
        steps = [loads(log.read_text())["jobs"][0]["spec"]["post"]["background"] for log in logs]
        prompts = [step["refine"]["prompt"] for step in steps if step is not None]
        return text in prompts if text in said.words else False

    return shows


def _dry_rows() -> Iterator[Row]:
    base = f"{_plain('dry')} {_SCENE}"
    grey = line(f"{base} --enforce-grayscale"), line(f"{base} --no-enforce-grayscale")
    shows = asks(True, "guard", "enforce_grayscale")
    yield from pair("dry", "enforce-grayscale", grey, shows)
    kept = line(f"{base} --archive-replaced"), line(f"{base} --no-archive-replaced")
    yield from pair("dry", "archive-replaced", kept, asks(True, "archive_replaced"))


# --- run: what only a run that is really made needs


def _over_a_persons_file(words: str, output: str) -> Doing:
    """Run a command in a root of its own, where a person's file has the output's name."""

    def work(place: Workplace) -> Said:
        root = place.fresh_root()
        before = root / output
        before.parent.mkdir(parents=True)
        shutil.copyfile(place.scenes / "dunes.png", before)
        return place(*shlex.split(words), "--project-root", root, "--json")

    return lambda place: place.once(("over", words), lambda: work(place))


def _archived(said: Said) -> bool:
    """Tell whether the person's file is now in `archive/replaced/`, byte for byte."""
    assert said.status == 0, said.err
    root = Path(said.words[said.words.index("--project-root") + 1])
    found = [path.read_bytes() for path in (root / "archive/replaced").glob("*.png")]
    return found == [(said.place / "scenes/dunes.png").read_bytes()]


def _archive_pair(command: str, words: str, output: str) -> Iterator[Row]:
    on_off = (
        _over_a_persons_file(f"{words} --archive-replaced", output),
        _over_a_persons_file(f"{words} --no-archive-replaced", output),
    )
    yield from pair(command, "archive-replaced", on_off, _archived)


def _runs_in(database: Path) -> set[str]:
    if not database.exists():
        return set()
    with closing(sqlite3.connect(database)) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM runs")}


def _is_in(name: str) -> Shows:
    return lambda said: said.json["run"] in _runs_in(said.place / name)


def _run_rows() -> Iterator[Row]:
    base = f"{_plain('run')} {_SCENE}"
    yield from pair(
        "run",
        "enforce-grayscale",
        (line(f"{base} --enforce-grayscale"), line(f"{base} --no-enforce-grayscale")),
        lambda said: said.status == 4,
    )
    words = f"run --project lab {_SCENE} --model proof"
    yield from _archive_pair("run", words, "outputs/coast.png")
    paid = f"run --json --project lab --project-root root {_SCENE} --model paid --prompt dusk"
    allowed = line(f"{paid} --confirm-spend"), line(f"{paid} --no-confirm-spend")
    yield from pair("run", "confirm-spend", allowed, works)
    yield Row(
        "run",
        "--max-spend",
        line(f"{paid} --confirm-spend --max-spend 0.01"),
        allowed[0],
        lambda said: said.status == 3,
    )
    into = line(f"{base} --backend-db other.db"), line(f"{base} --no-backend-db-required")
    yield Row("run", "--backend-db", *into, _is_in("other.db"))
    on_off = (
        line(f"{base} --backend-db other.db --backend-db-ingest"),
        line(f"{base} --backend-db other.db --no-backend-db-ingest"),
    )
    yield from pair("run", "backend-db-ingest", on_off, _is_in("other.db"))
    on_off = (
        line(f"{base} --backend-db no.db --backend-db-required"),
        line(f"{base} --backend-db no.db --no-backend-db-required"),
    )
    yield from pair("run", "backend-db-required", on_off, lambda said: said.status == 1)


def _says(words: str) -> Shows:
    return lambda said: words in " ".join(said.err.split())


# --- resume and replay


def _resumed(flags: str) -> Doing:
    """Resume a run that was begun while its model was free and refused once; now it has a price."""

    def work(place: Workplace) -> Said:
        place.script[:], place.price = [Act("refuse")], "0.01"
        words = f"run --json --project lab --project-root root {_SCENE} "
        words += "--model paid --prompt dusk --confirm-spend"
        failed = place(*shlex.split(words))
        place.script[:], place.price = [], "0.04"
        assert failed.status == 1, failed.err
        return place("resume", failed.json["run"], *shlex.split(flags))

    return lambda place: place.once(("resume", flags), lambda: work(place))


def _replayed(flags: str) -> Doing:
    def work(place: Workplace) -> Said:
        words = "run --json --project lab --project-root root --model paid --prompt dusk"
        first = line(f"{words} {_SCENE} --confirm-spend")(place)
        return place("replay", first.json["run"], *shlex.split(flags))

    return lambda place: place.once(("replay", flags), lambda: work(place))


def _again_rows() -> Iterator[Row]:
    for command, again in (("resume", _resumed), ("replay", _replayed)):
        allowed = again("--confirm-spend --json"), again("--no-confirm-spend --json")
        yield from pair(command, "confirm-spend", allowed, works)
        capped = again("--confirm-spend --json --max-spend 0.01")
        yield Row(command, "--max-spend", capped, allowed[0], lambda said: said.status == 3)
        yield Row(command, "--json", allowed[0], again("--confirm-spend"), is_json)


# --- looking at what there is


def _after_runs(words: str) -> Doing:
    """Run a command after one run each of the projects `lab` and `other`; `RUN` is the latter."""

    def work(place: Workplace) -> Said:
        for project in ("lab", "other"):
            made_run = f"run --json --project {project} --project-root {project} {_SCENE}"
            last = line(f"{made_run} --model proof")(place)
        return place(*(last.json["run"] if word == "RUN" else word for word in words.split()))

    return lambda place: place.once(("after", words), lambda: work(place))


def _listed(said: Said) -> list[Any]:
    return list(said.json)


def _look_rows() -> Iterator[Row]:
    everything = _after_runs("runs --json")
    yield Row("runs", "--json", everything, _after_runs("runs"), is_json)
    yield Row(
        "runs",
        "--project",
        _after_runs("runs --json --project other"),
        everything,
        lambda said: {one["project"] for one in _listed(said)} == {"other"},
    )
    yield Row(
        "runs",
        "--limit",
        _after_runs("runs --json --limit 1"),
        everything,
        lambda said: len(_listed(said)) == 1,
    )
    yield Row(
        "runs",
        "--before",
        _after_runs("runs --json --before RUN"),
        everything,
        lambda said: (
            _listed(said) != [] and "other" not in {one["project"] for one in _listed(said)}
        ),
    )
    yield Row("show", "--json", _after_runs("show RUN --json"), _after_runs("show RUN"), is_json)


# --- the post steps by themselves


def _outputs(said: Said) -> list[str]:
    return [one["output"] for one in said.json]


def _post_rows() -> Iterator[Row]:
    folders = {
        "upscale": "upscaled",
        "bgremove": "background_removed",
        "color": "color_corrected",
    }
    for command, folder in folders.items():
        words = f"{command} --json --project lab --project-root root {_SCENE}"
        plain = line(words)
        yield Row(command, "--json", plain, line(words.replace(" --json", "")), is_json)
        yield Row(command, "--project", plain, line(words.replace("--project lab", "")), works)
        rootless = words.replace("--project-root root", "")
        yield Row(command, "--project-root", plain, line(rootless), works)
        nothing = words.replace(_SCENE, "").replace("--project-root root", "--project-root bare")
        yield Row(command, "--input", plain, line(nothing), works)
        yield Row(
            command,
            "--output",
            line(f"{words} --output {folder}/mine"),
            plain,
            lambda said, folder=folder: _outputs(said) == [f"{folder}/mine/coast.png"],
        )
        bare = f"{command} --project lab {_SCENE}"
        yield from _archive_pair(command, bare, f"{folder}/coast.png")


def _backend_rows() -> Iterator[Row]:
    upscale = f"upscale --json --project lab --project-root root {_SCENE}"
    yield Row(
        "upscale",
        "--upscale-backend",
        line(f"{upscale} --upscale-backend resampel"),
        line(upscale),
        refused("unknown-plugin", "'upscale.resample'"),
    )
    # A folder of its own: a later run of the other line would show another size.
    yield Row(
        "upscale",
        "--upscale-scale",
        line(f"{upscale} --output scaled --upscale-scale 1.5"),
        line(f"{upscale} --output doubled"),
        lambda said: pixels(said.place / "root" / _outputs(said)[0]).shape[:2] == (36, 48),
    )
    bgremove = f"bgremove --json --project lab --project-root root {_SCENE}"
    yield Row(
        "bgremove",
        "--bg-remove-backends",
        line(f"{bgremove} --bg-remove-backends clasical"),
        line(bgremove),
        refused("unknown-plugin", "Did you mean 'classical'?"),
    )
    color = f"color --json --project lab --project-root root {_SCENE}"
    plain = line(f"{color} --output graded/plain")
    for number, flag in enumerate(("--profile", "--post-color-profile")):
        yield Row(
            "color",
            flag,
            line(f"{color} --output graded/look{number} {flag} noir"),
            plain,
            lambda said: _is_grey(pixels(said.place / "root" / _outputs(said)[0])),
        )
    yield Row(
        "color",
        "--strength",
        line(f"{color} --output graded/none --strength 0"),
        plain,
        lambda said: np.array_equal(
            pixels(said.place / "root" / _outputs(said)[0]), pixels(said.place / "scenes/coast.png")
        ),
    )


def _is_grey(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
    return int(np.ptp(picture.astype(int), axis=2).mean()) < 16


def _qa_rows() -> Iterator[Row]:
    words = f"qa --json --project lab --project-root root {_SCENE}"
    plain = line(words)
    yield Row("qa", "--json", plain, line(words.replace(" --json", "")), is_json)
    yield Row("qa", "--project", plain, line(words.replace("--project lab", "")), works)
    yield Row("qa", "--project-root", plain, line(words.replace("--project-root root", "")), works)
    nothing = words.replace(_SCENE, "").replace("--project-root root", "--project-root bare")
    yield Row("qa", "--input", plain, line(nothing), works)
    grey = line(f"{words} --enforce-grayscale"), line(f"{words} --no-enforce-grayscale")
    yield from pair("qa", "enforce-grayscale", grey, lambda said: said.status == 4)
    strict = f"{words} --max-chroma-delta 0"
    yield Row(
        "qa",
        "--max-chroma-delta",
        line(f"{strict} --no-fail-on-chroma-exceed"),
        plain,
        lambda said: (
            [one["code"] for one in said.json[0]["verdict"]["findings"]] == ["chroma_exceeded"]
        ),
    )
    hard = (
        line(f"{strict} --fail-on-chroma-exceed"),
        line(f"{strict} --no-fail-on-chroma-exceed"),
    )
    yield from pair("qa", "fail-on-chroma-exceed", hard, lambda said: said.status == 4)


# --- what is kept


def _bad_one(words: str) -> Doing:
    """Run `archivebad` in a root that has one rejected picture, `outputs/bad.png`."""

    def work(place: Workplace) -> Said:
        root = place.fresh_root()
        (root / "outputs").mkdir()
        shutil.copyfile(place.scenes / "coast.png", root / "outputs/bad.png")
        return place(*shlex.split(words.replace("ROOT", str(root))))

    return lambda place: place.once(words, lambda: work(place))


def _orphaned(flags: str) -> Doing:
    """Run `gc` where one stored object belongs to nothing; the output is the object's path."""

    def work(place: Workplace) -> Said:
        root = place.fresh_root()
        orphan = root / ".maquette/objects/00" / ("0" * 64)
        words = f"run --project gone --project-root {root} {_SCENE} --model proof"
        assert place(*shlex.split(words)).status == 0
        orphan.parent.mkdir(parents=True, exist_ok=True)
        orphan.write_bytes(b"nobody's")
        os.utime(orphan, (0, 0))  # a young one may be on its way into a row
        return place(*shlex.split(flags.replace("ROOT", str(root))))

    return lambda place: place.once(("gc", flags), lambda: work(place))


def _orphan_is_gone(said: Said) -> bool:
    assert said.status == 0, said.err
    assert len(said.json["leftovers"]) == 1
    root = Path(said.words[said.words.index("--project-root") + 1])
    return not (root / ".maquette/objects/00" / ("0" * 64)).exists()


def _keep_rows() -> Iterator[Row]:
    bad = "archivebad --json --project lab --project-root ROOT --input ROOT/outputs/bad.png"
    plain = _bad_one(bad)
    yield Row("archivebad", "--json", plain, _bad_one(bad.replace(" --json", "")), is_json)
    yield Row("archivebad", "--project", plain, _bad_one(bad.replace("--project lab", "")), works)
    rootless = bad.replace("--project-root ROOT", "")
    yield Row("archivebad", "--project-root", plain, _bad_one(rootless), works)
    nothing = bad.replace("--input ROOT/outputs/bad.png", "")
    yield Row("archivebad", "--input", plain, _bad_one(nothing), works)

    verify = "verify --json --project other --project-root other"
    plain = _after_runs(verify)
    yield Row("verify", "--json", plain, _after_runs(verify.replace(" --json", "")), is_json)
    yield Row(
        "verify", "--project", plain, _after_runs(verify.replace("--project other", "")), works
    )
    rootless = verify.replace("--project-root other", "")
    yield Row("verify", "--project-root", plain, _after_runs(rootless), works)

    gc = "gc --json --project gone --project-root ROOT"
    on_off = _orphaned(f"{gc} --no-dry-run"), _orphaned(f"{gc} --dry-run")
    yield Row("gc", "--no-dry-run", *on_off, _orphan_is_gone)
    yield Row("gc", "--dry-run", on_off[1], on_off[0], lambda said: not _orphan_is_gone(said))
    plain = _orphaned(gc)
    yield Row("gc", "--json", plain, _orphaned(gc.replace(" --json", "")), is_json)
    yield Row("gc", "--project", plain, _orphaned(gc.replace("--project gone", "")), works)
    yield Row(
        "gc", "--project-root", plain, _orphaned(gc.replace("--project-root ROOT", "")), works
    )


# --- projects


def _project_rows() -> Iterator[Row]:
    plain = line("project create bare-one --json")
    titled = line('project create titled --title "A longer name" --json')
    yield Row(
        "project create",
        "--title",
        titled,
        plain,
        lambda said: said.json["name"] == "A longer name",
    )
    yield Row(
        "project create",
        "--root",
        line("project create rooted --root made --json"),
        plain,
        lambda said: said.json["root"] == str(said.place / "made"),
    )
    yield Row(
        "project create",
        "--default-root",
        line("project create by-default --default-root --json"),
        plain,
        lambda said: said.json["root"] == str(said.place / "home/projects/by-default"),
    )
    yield Row("project create", "--json", plain, line("project create spoken"), is_json)
    yield Row("project list", "--json", line("project list --json"), line("project list"), is_json)
    shown = _after_runs("project show lab --json")
    yield Row("project show", "--json", shown, _after_runs("project show lab"), is_json)
    adopt = "project adopt lab scenes/coast.png --json --project-root root"
    yield Row("project adopt", "--json", line(adopt), line(adopt.replace(" --json", "")), is_json)
    rootless = adopt.replace("--project-root root", "")
    yield Row("project adopt", "--project-root", line(adopt), line(rootless), works)
    yield Row(
        "project ingest",
        "--backend-db",
        _ingested("--backend-db third.db"),
        _ingested(""),
        lambda said: Path(said.words[3]).stem in _runs_in(said.place / "third.db"),
    )
    set_local = "project storage set-local moved --json --root elsewhere"
    yield Row(
        "project storage set-local",
        "--root",
        _moved(set_local),
        _moved(set_local.replace("--root elsewhere", "")),
        lambda said: said.status == 0 and said.json["root"] == str(said.place / "elsewhere"),
    )
    yield Row(
        "project storage set-local",
        "--json",
        _moved(set_local),
        _moved(set_local.replace(" --json", "")),
        is_json,
    )


def _ingested(flags: str) -> Doing:
    """Ingest a run log of a run that this database has."""

    def work(place: Workplace) -> Said:
        run = _after_runs("show RUN --json")(place)
        # Each line has a log of its own, so that the other one's database cannot have it.
        again = place("replay", run.json["run"], "--json")
        return place("project", "ingest", "other", again.json["log"], *shlex.split(flags))

    return lambda place: place.once(("ingest", flags), lambda: work(place))


def _moved(words: str) -> Doing:
    def work(place: Workplace) -> Said:
        place.once("moved", lambda: place("project", "create", "moved"))
        return place(*shlex.split(words))

    return lambda place: place.once(words, lambda: work(place))


# --- money


def _cap(said: Said, scope: str) -> str | None:
    return next(one["limit"] for one in said.json["caps"] if one["scope"].startswith(scope))


def _stopped(flags: str) -> Doing:
    """Throw the switch, look at the caps, take it back."""

    def work(place: Workplace) -> Said:
        said = place("spend", "stop", *shlex.split(flags))
        caps = place("spend", "caps", "--json")
        assert place("spend", "resume").status == 0
        return replace(said, out=caps.out)

    return lambda place: place.once(("stop", flags), lambda: work(place))


def _lost(words: str) -> Doing:
    """Lose the answer of a paid call, then run a command; `ATTEMPT` is the call."""

    def work(place: Workplace) -> Said:
        place.script[:] = [Act("lose")]
        run = "run --json --project lost --project-root lost --model paid --prompt dusk"
        lost = place(*shlex.split(run), *_SCENE.split(), "--confirm-spend")
        place.script[:] = []
        assert lost.status == 1, lost.err
        undecided = place("spend", "unknown", "--json").json
        attempt = next(one["attempt"] for one in undecided if one["run"] == lost.json["run"])
        said = place(*shlex.split(words.replace("ATTEMPT", attempt)))
        if "decide" not in words:
            return said
        show = place("resume", lost.json["run"], "--json", "--confirm-spend")
        attempts: list[Any] = [one for job in show.log["jobs"] for one in job["attempts"]]
        out = [one for one in attempts if one["id"] == attempt]
        return replace(said, out=dumps(out))

    return lambda place: place.once(("lost", words), lambda: work(place))


def _money_rows() -> Iterator[Row]:
    capped = line("spend caps --json --set installation=500")
    plain = _first("spend caps --json")
    yield Row("spend caps", "--set", capped, plain, lambda said: _cap(said, "inst") == "500")
    yield Row("spend caps", "--json", plain, line("spend caps"), is_json)
    yield Row(
        "spend stop",
        "--why",
        _stopped("--why 'the invoice is late'"),
        _stopped(""),
        lambda said: said.json["stopped_why"] == "the invoice is late",
    )
    paid = "run --json --project lab --project-root root --model paid --prompt dusk"

    def report(words: str) -> Doing:
        def work(place: Workplace) -> Said:
            for project in ("lab", "other"):
                run = paid.replace("lab", project).replace("root root", f"root {project}-root")
                assert line(f"{run} {_SCENE} --confirm-spend")(place).status == 0
            return place(*shlex.split(words))

        return lambda place: place.once(words, lambda: work(place))

    whole = report("spend report --json")
    yield Row("spend report", "--json", whole, report("spend report"), is_json)
    yield Row(
        "spend report",
        "--project",
        report("spend report --json --project other"),
        whole,
        lambda said: {one["project"] for one in _listed(said)} == {"other"},
    )
    narrowed: tuple[tuple[str, str, Shows], ...] = (
        ("--by", "--by user", lambda said: {one["day"] for one in _listed(said)} == {None}),
        ("--from", "--from 2999-01-01", lambda said: _listed(said) == []),
        ("--to", "--to 2000-01-01", lambda said: _listed(said) == []),
        ("--model", "--model scripted:free", lambda said: _listed(said) == []),
    )
    for flag, words, right in narrowed:
        yield Row("spend report", flag, report(f"spend report --json {words}"), whole, right)
    yield Row(
        "spend report",
        "--user",
        report("spend report --json --user nobody"),
        whole,
        lambda said: "'nobody'" in said.err,
    )
    yield Row(
        "spend report",
        "--csv",
        report("spend report --csv"),
        report("spend report"),
        lambda said: said.out.startswith("day,project,provider,model,calls,"),
    )
    yield Row(
        "spend unknown", "--json", _lost("spend unknown --json"), _lost("spend unknown"), is_json
    )
    charged = _lost("spend decide ATTEMPT --charged")
    free = _lost("spend decide ATTEMPT --not-charged")
    yield Row("spend decide", "--charged", charged, free, lambda said: _settled(said) == 40_000_000)
    yield Row("spend decide", "--not-charged", free, charged, lambda said: _settled(said) == 0)
    yield Row(
        "spend decide",
        "--amount",
        _lost("spend decide ATTEMPT --charged --amount 0.01"),
        charged,
        lambda said: _settled(said) == 10_000_000,
    )


def _first(words: str) -> Doing:
    """Run a command in a home where nothing was set yet."""

    def work(place: Workplace) -> Said:
        return type(place)(place.folder / "first")(*shlex.split(words))

    return lambda place: place.once(("first", words), lambda: work(place))


def _settled(said: Said) -> int:
    """Return what the decided call cost."""
    assert said.status == 0, said.err
    return int(said.json[0]["settled_nano"])


# --- the installation


def _rest_rows() -> Iterator[Row]:
    commands = ("config", "plugins", "doctor", "tools list", "db status", "models")
    for command in (*commands, "models refresh"):
        yield Row(command, "--json", line(f"{command} --json"), line(command), is_json)
    yield Row(
        "",
        "--version",
        line("--version"),
        line("--help"),
        lambda said: said.out == "maquette 0.1.0\n",
    )


def _backends_rows() -> Iterator[Row]:
    """LAB-15: models, tools and what a paid cutout needs."""
    for command in ("models", "models refresh"):
        unknown = refused("unknown-plugin", "There are:")
        given = line(f"{command} --json --provider proofs")
        yield Row(command, "--provider", given, line(f"{command} --json"), unknown)
    yield Row(
        "doctor",
        "--online",
        _with_a_server("doctor --json --online"),
        _with_a_server("doctor --json"),
        lambda said: any(one["name"] == "a1111 online" for one in said.json),
    )
    setup = "tools setup realesrgan"
    named = line(f"{setup} --weights none")
    yield Row("tools setup", "--weights", named, line(setup), lambda said: "no weights" in said.err)
    for flag in ("--yes", "-y"):
        yield Row(
            "tools setup",
            flag,
            _offline(f"{setup} {flag}"),
            _offline(setup),
            lambda said: "pip could not" in said.err,
        )
    words = f"bgremove --json --project lab --project-root root {_SCENE}"
    words += " --bg-remove-backends classical --bg-refine --bg-refine-model scripted:paid"
    allowed = line(f"{words} --confirm-spend"), line(f"{words} --no-confirm-spend")
    yield from pair("bgremove", "confirm-spend", allowed, works)
    yield Row(
        "bgremove",
        "--max-spend",
        line(f"{words} --confirm-spend --max-spend 0.01"),
        line(f"{words} --confirm-spend"),
        lambda said: said.status == 3,
    )


def _word_rows() -> Iterator[Row]:
    """ORC-3, ORC-4: prompts and descriptions."""
    idea = line("prompts lighthouse --seed 1 --json")
    yield Row("prompts", "--json", idea, line("prompts lighthouse --seed 1"), is_json)
    other = line("prompts lighthouse --seed 2 --json")
    yield Row("prompts", "--seed", other, line("prompts lighthouse --json"), _repeats)
    yield Row(
        "prompts",
        "--count",
        line("prompts lighthouse --seed 1 --json --count 5"),
        idea,
        lambda said: len(said.json["prompts"]) == 5,
    )
    yield Row(
        "prompts",
        "--scene",
        line("prompts --json --scene no-scene.json"),
        idea,
        refused("file-missing", "no-scene.json"),
    )
    for command in ("prompts lighthouse --json", "describe scenes/coast.png"):
        yield Row(
            command.split()[0],
            "--embedded",
            _with_a_model(f"{command} --embedded"),
            _with_a_model(command),
            works,
        )


def _repeats(said: Said) -> bool:
    """Tell whether the prompts are those of seed 2."""
    prompts = [one["prompt"] for one in said.json["prompts"]]
    return prompts == [one.prompt for one in expander.expand("lighthouse", 3, 2)]


def _with_a_model(words: str) -> Doing:
    """Run a command where a language model is configured that nobody serves."""
    return elsewhere(words, _MODEL)


_MODEL = {
    "MAQUETTE_LANGUAGE__BASE_URL": "http://127.0.0.1:9/v1",
    "MAQUETTE_LANGUAGE__MODEL": "nobody",
    "MAQUETTE_LANGUAGE__FREE": "true",
    "MAQUETTE_LANGUAGE__VISION": "true",
}


def _with_a_server(words: str) -> Doing:
    """Run a command where an address is set at which nobody listens."""
    return elsewhere(words, _SERVER)


_SERVER = {"MAQUETTE_PROVIDERS__A1111__BASE_URL": "http://127.0.0.1:9"}


def _offline(words: str) -> Doing:
    """Run a command that would fetch something, with an index that has nothing."""
    nothing = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    return elsewhere(words, nothing)


def _hidden_rows() -> Iterator[Row]:
    """Older scripts name a Python; it is ignored with a notice."""
    for command in ("dry", "run"):
        base = f"{_plain(command)} {_SCENE}"
        for flag in ("--qa-python-bin", "--backend-python-bin"):
            yield Row(command, flag, line(f"{base} {flag} python3"), line(base), _says("ignored"))
    qa = f"qa --json --project lab --project-root root {_SCENE}"
    flag = "--qa-python-bin"
    yield Row("qa", flag, line(f"{qa} {flag} python3"), line(qa), _says("ignored"))


TABLE = (
    *_refine_rows("dry", f"{_plain('dry')} {_SCENE}", "--post-bg-remove"),
    *_refine_rows("run", f"{_plain('run')} {_SCENE}", "--post-bg-remove"),
    *_refine_rows("bgremove", f"bgremove --json --project lab --project-root root {_SCENE}"),
    *_plan_rows("dry"),
    *_dry_rows(),
    *_plan_rows("run"),
    *_run_rows(),
    *_again_rows(),
    *_look_rows(),
    *_post_rows(),
    *_backend_rows(),
    *_qa_rows(),
    *_keep_rows(),
    *_project_rows(),
    *_money_rows(),
    *_rest_rows(),
    *_backends_rows(),
    *_word_rows(),
    *rows_assets.ROWS,
    *rows_s3.ROWS,
    *rows_secret.ROWS,
    *rows_instruct.ROWS,
    *rows_mask.ROWS,
    *rows_portable.ROWS,
    *rows_privacy.ROWS,
    *rows_voice.ROWS,
    *rows_user.ROWS,
    *rows_credits.ROWS,
)
HIDDEN = tuple(_hidden_rows())

SHELL = ("--install-completion", "--show-completion")
"""Typer's own two, which look at the shell that runs them: proven by tests of their own."""


LASTING = (
    ("serve", "--host"),
    ("serve", "--port"),
    ("serve", "--worker"),
    ("serve", "--no-worker"),
    ("serve", "--legacy-ports"),
    ("worker", "--once"),
    ("contract-smoke", "--base-url"),
    ("contract-smoke", "--project-slug"),
    ("contract-smoke", "--json"),
    ("openapi", "--output"),
    ("mcp", "--project"),
)
"""Of commands that go on until they are stopped, or talk to one that does: see `test_serve`, and
for the last `test_mcp`."""


def _walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str, bool]]:
    for parameter in command.params:
        if parameter.param_type_name == "option":
            for flag in (*parameter.opts, *parameter.secondary_opts):
                yield " ".join(path), flag, parameter.hidden
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, (*path, name))


ALL_FLAGS = tuple(_walk(get_command(app)))


def test_the_table_equals_a_walk_of_the_help() -> None:
    shown = {(command, flag) for command, flag, hidden in ALL_FLAGS if not hidden}
    rows = {(row.command, row.flag) for row in TABLE} | {("", flag) for flag in SHELL}
    rows |= set(LASTING)
    assert rows == shown


def test_the_hidden_flags_have_their_own_table() -> None:
    """§8.6: `--qa-python-bin`, `--backend-python-bin`."""
    hidden = {(command, flag) for command, flag, is_hidden in ALL_FLAGS if is_hidden}
    assert {(row.command, row.flag) for row in HIDDEN} == hidden


def test_no_flag_has_two_rows() -> None:
    rows = [(row.command, row.flag) for row in (*TABLE, *HIDDEN)]
    assert len(rows) == len(set(rows))


@pytest.fixture(scope="module")
def desk(shared: Workplace, s3_server: S3Server) -> Workplace:
    """A place with a manifest, a `.cube` file and a database that is none."""
    (shared.folder / rows_s3.ADDRESS).write_text(s3_server.url)
    (shared.folder / "sheet.json").write_text('{"prompt": "as the sheet says"}')
    corners = ["1 0.5 0"] * 8
    (shared.folder / "house.cube").write_text("\n".join(["LUT_3D_SIZE 2", *corners]))
    (shared.folder / "no.db").write_text("This is a letter, not a database.")
    return shared


@pytest.mark.parametrize("row", [*TABLE, *HIDDEN], ids=lambda row: row.name)
def test_a_flag_changes_what_its_help_says(row: Row, desk: Workplace) -> None:
    """LAB-1 … LAB-15, §8.6: every flag of the main job, of the tools and of money."""
    said, plain = row.done(desk), row.without(desk)
    assert row.flag in said.words
    assert row.flag not in plain.words
    assert row.shows(said), (said.status, said.err)
    assert not row.shows(plain), (plain.status, plain.err)


def _in_bash(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as bash's child, which is what Typer's shell detection looks for."""
    program = Path(sys.executable).with_name("maquette")
    environment = {**os.environ, "HOME": str(home), "SHELL": "/bin/bash"}
    return subprocess.run(
        ["bash", "-c", f"{program} {command}; exit $?"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="completion is asked of bash here")
def test_show_completion_prints_the_script_of_the_shell(tmp_path: Path) -> None:
    shown = _in_bash("--show-completion", tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "_MAQUETTE_COMPLETE=complete_bash" in shown.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="completion is asked of bash here")
def test_install_completion_writes_the_script_to_the_home(tmp_path: Path) -> None:
    assert _in_bash("--install-completion", tmp_path).returncode == 0
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_MAQUETTE_COMPLETE=complete_bash" in text for text in written)


def test_two_homes_can_ingest_into_one_database(place: Workplace, tmp_path: Path) -> None:
    """LAB-12: `--backend-db` of another home that has a project of the same name."""
    words = f"{_plain('run')} {_SCENE} --backend-db {tmp_path / 'common.db'}".split()
    other = type(place)(tmp_path / "other-place")
    said = [one(*words, "--backend-db-required") for one in (place, other)]
    assert [one.status for one in said] == [0, 0], [one.err for one in said]
    assert _runs_in(tmp_path / "common.db") == {one.json["run"] for one in said}


# --- the forms that older scripts write


def test_every_switch_of_run_is_understood_with_a_value() -> None:
    """LAB-7, LAB-8, LAB-12, LAB-13: `--x true|false` of every switch of the main job."""
    pairs = {
        flag
        for command, flag, _ in ALL_FLAGS
        if command == "run" and ("run", f"--no-{flag.removeprefix('--')}", False) in ALL_FLAGS
    }
    assert set(ON_OFF) == pairs


@pytest.mark.parametrize("word", ["true", "TRUE", "yes", "1", "on"])
@pytest.mark.parametrize("flag", ON_OFF)
def test_a_true_word_switches_on(flag: str, word: str) -> None:
    assert plain_booleans(["run", flag, word, "--json"]) == ["run", flag, "--json"]
    assert plain_booleans(["run", f"{flag}={word}", "--json"]) == ["run", flag, "--json"]


@pytest.mark.parametrize("word", ["false", "False", "no", "0", "off"])
@pytest.mark.parametrize("flag", ON_OFF)
def test_a_false_word_switches_off(flag: str, word: str) -> None:
    off = f"--no-{flag.removeprefix('--')}"
    assert plain_booleans(["run", flag, word, "--json"]) == ["run", off, "--json"]
    assert plain_booleans(["run", f"{flag}={word}", "--json"]) == ["run", off, "--json"]


@pytest.mark.parametrize("flag", ON_OFF)
def test_a_switch_does_not_eat_the_next_flag(flag: str) -> None:
    assert plain_booleans(["run", flag, "--prompt", "on"]) == ["run", flag, "--prompt", "on"]


def test_a_switch_with_a_value_that_is_none_is_refused(desk: Workplace) -> None:
    said = desk(*f"{_plain('dry')} {_SCENE}".split(), "--enforce-grayscale=maybe")
    assert said.status == 2
    assert said.error["code"] == "bad-parameter"


_OF_DRY = tuple(
    flag for flag in ON_OFF if ("dry", flag, False) in ALL_FLAGS and "storage-required" not in flag
)


@pytest.mark.parametrize(
    ("form", "prefix"),
    [("{} true", "--"), ("{}=true", "--"), ("{} false", "--no-"), ("{}=false", "--no-")],
)
def test_the_value_forms_give_the_same_plan(form: str, prefix: str, desk: Workplace) -> None:
    """LAB-7: the seed's `--output-guard-enabled true`, `--enforce-grayscale=false`."""
    base = f"{_plain('dry')} {_SCENE} --seed 1 --max-chroma-delta 9"
    base += " --bg-refine-model scripted:free"
    valued = " ".join(form.format(flag) for flag in _OF_DRY)
    plain = " ".join(prefix + flag.removeprefix("--") for flag in _OF_DRY)
    said = line(f"{base} {valued}")(desk)
    assert said.status == 0, said.err
    assert said.json == line(f"{base} {plain}")(desk).json


_OF_RUN_ONLY = tuple(
    flag
    for flag in ON_OFF
    if ("dry", flag, False) not in ALL_FLAGS and flag != "--storage-sync-required"
)


@pytest.mark.parametrize("form", ["{} false", "{}=false"])
def test_the_value_forms_reach_a_run(form: str, desk: Workplace) -> None:
    """LAB-12, LAB-13: `--backend-db-ingest=false` … on a run that is really made."""
    base = f"{_plain('run')} {_SCENE} --backend-db other.db"
    said = line(f"{base} {' '.join(form.format(flag) for flag in _OF_RUN_ONLY)}")(desk)
    assert said.status == 0, said.err
    assert said.json["run"] not in _runs_in(desk.folder / "other.db")
    assert "S3" not in said.err


@pytest.mark.parametrize("form", ["{} true", "{}=true"])
def test_a_required_mirror_by_value_starts_nothing(form: str, desk: Workplace) -> None:
    """LAB-13: `--storage-sync-required true`."""
    before = _runs_in(desk.home / "app.db")
    said = desk(*f"{_plain('run')} {_SCENE} {form.format('--storage-sync-required')}".split())
    assert said.status == 2
    assert _runs_in(desk.home / "app.db") == before
