"""LAB-21, LAB-22: the flags of exporting, importing, snapshots and deleting."""

from __future__ import annotations

import shlex
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.cli.conftest import Said, Workplace
from tests.cli.rows import Doing, Row, is_json, refused, works


def _ok(said: Said) -> Said:
    assert said.status == 0, said.err
    return said


def _settled(place: Workplace) -> str:
    """Make a project of its own with a run, once; return its name."""

    def work() -> Said:
        _ok(place("project", "create", "moving", "--root", "moving"))
        run = "run --json --project moving --model proof --input scenes/coast.png"
        return _ok(place(*shlex.split(run)))

    place.once("moving", work)
    return "moving"


def _in(words: str) -> Doing:
    """Run a command line on that project."""

    def work(place: Workplace) -> Said:
        _settled(place)
        return place.once(("moving", words), lambda: place(*shlex.split(words)))

    return work


def _archived(words: str) -> Doing:
    """Run a command line on an archive of that project, `FILE`, as a copy with a name of its own.

    `COPY` is that name.
    """

    def work(place: Workplace) -> Said:
        _settled(place)
        export = "project export moving --output moving.tar.gz"
        place.once("exported", lambda: _ok(place(*shlex.split(export))))
        name = f"copy-{abs(hash(words))}"
        line = words.replace("FILE", "moving.tar.gz").replace("COPY", name)
        return place.once(("archive", words), lambda: place(*shlex.split(line)))

    return work


def _snapped(words: str) -> Doing:
    """Run a command line where there are two snapshots, `one` and `two`."""

    def work(place: Workplace) -> Said:
        _settled(place)
        for name in ("one", "two"):
            made = ("project", "snapshot", "create", "moving", name)
            place.once(made, lambda words=made: _ok(place(*words)))
        return place.once(("snapped", words), lambda: place(*shlex.split(words)))

    return work


def _spare(words: str) -> Doing:
    """Run a command line on a snapshot that was made for it, `NAME`."""

    def work(place: Workplace) -> Said:
        _settled(place)
        name = f"spare-{len(words)}"
        _ok(place("project", "snapshot", "create", "moving", name))
        return place(*shlex.split(words.replace("NAME", name)))

    return work


def _doomed(words: str) -> Doing:
    """Run a command line on a project that was made to be deleted, `NAME`."""

    def work(place: Workplace) -> Said:
        name = f"doomed-{len(list(place.folder.glob('doomed-*')))}"
        _ok(place("project", "create", name, "--root", name))
        return place(*shlex.split(words.replace("NAME", name)))

    return lambda place: place.once(("doomed", words), lambda: work(place))


def _is_archive(said: Said) -> bool:
    path = said.place / "out.tar.gz"
    return said.status == 0 and "out.tar.gz" in said.out and tarfile.is_tarfile(path)


def _has_others(said: Said) -> bool:
    """Tell whether a person's file is in the archive that the command made."""
    path = Path(said.json["path"])
    with tarfile.open(path) as tar:
        return any(name.startswith("files/") for name in tar.getnames())


def _with_notes(words: str) -> Doing:
    def work(place: Workplace) -> Said:
        name = _settled(place)
        (place.folder / name / "notes.txt").write_text("mine")
        return _in(words)(place)

    return work


def _went_aside(said: Said) -> bool:
    assert said.status == 0, said.err
    return bool(list(said.place.glob(f"{said.words[2]}.deleted-*")))


def _rows() -> Iterator[Row]:
    export = "project export moving"
    yield Row(
        "project export", "--output", _in(f"{export} --output out.tar.gz"), _in(export), _is_archive
    )
    every = _with_notes(f"{export} --json --all-files"), _with_notes(f"{export} --json")
    yield Row("project export", "--all-files", *every, _has_others)
    root = _in(f"{export} --json --project-root scenes"), _in(f"{export} --json")
    yield Row(
        "project export",
        "--project-root",
        *root,
        lambda said: "scenes" in said.words and (said.json["missing"] > 0),
    )
    yield Row("project export", "--json", _in(f"{export} --json"), _in(export), is_json)

    copied = "project import FILE --as COPY"
    yield Row("project import", "--as", _archived(copied), _archived("project import FILE"), works)
    yield Row(
        "project import",
        "--root",
        _archived(f"{copied} --root arrived"),
        _archived(copied),
        lambda said: str(said.place / "arrived") in said.out,
    )
    yield Row("project import", "--json", _archived(f"{copied} --json"), _archived(copied), is_json)

    gone = "project delete NAME"
    yield Row("project delete", "--yes", _doomed(f"{gone} --yes"), _doomed(gone), works)
    aside = _doomed(f"{gone} --yes --files"), _doomed(f"{gone} --yes")
    yield Row("project delete", "--files", *aside, _went_aside)
    told = _doomed(f"{gone} --yes --json"), _doomed(f"{gone} --yes")
    yield Row("project delete", "--json", *told, is_json)

    make = "project snapshot create moving"
    yield Row(
        "project snapshot create", "--json", _in(f"{make} a --json"), _in(f"{make} b"), is_json
    )
    yield Row(
        "project snapshot create",
        "--project-root",
        _in(f"{make} c --json --project-root root-of-another"),
        _in(f"{make} d --json"),
        lambda said: (
            (said.place / "root-of-another" / ".maquette").is_dir()
            and "root-of-another" in said.words
        ),
    )
    shown = "project snapshot list moving"
    yield Row(
        "project snapshot list",
        "--limit",
        _snapped(f"{shown} --json --limit 1"),
        _snapped(f"{shown} --json"),
        lambda said: len(said.json) == 1,
    )
    yield Row(
        "project snapshot list", "--json", _snapped(f"{shown} --json"), _snapped(shown), is_json
    )
    one = "project snapshot show moving one"
    yield Row("project snapshot show", "--json", _snapped(f"{one} --json"), _snapped(one), is_json)
    back = "project snapshot restore moving one"
    yield Row(
        "project snapshot restore", "--json", _snapped(f"{back} --json"), _snapped(back), is_json
    )
    yield Row(
        "project snapshot restore",
        "--project-root",
        _snapped(f"{back} --json --project-root empty-root"),
        _snapped(f"{back} --json"),
        refused("object-not-found", "verify"),
    )
    yield Row(
        "project snapshot delete",
        "--json",
        _spare("project snapshot delete moving NAME --json"),
        _spare("project snapshot delete moving NAME"),
        is_json,
    )


ROWS = tuple(_rows())
