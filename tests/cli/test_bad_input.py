"""Bad input is refused with a way out, before anything is paid and without touching a file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Said, Workplace

_LAB = "--project lab --project-root root --json"
_SCENE = "--input scenes/coast.png"
_PAID = f"run {_LAB} --model paid --prompt dusk --confirm-spend"


def _files(*places: Path) -> dict[str, str]:
    """Return every file below the places, with the digest of its bytes or a link's goal."""
    found: dict[str, str] = {}
    for place in places:
        for path in sorted(place.rglob("*")):
            if path.is_symlink():
                found[str(path)] = str(path.readlink())
            elif path.is_file():
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _runs(place: Workplace) -> list[str]:
    with closing(sqlite3.connect(place.home / "app.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM runs ORDER BY id")]


@pytest.fixture(scope="module")
def worked(shared: Workplace) -> Workplace:
    """A place where something can be lost: a run was made, its pictures are there."""
    assert shared(*f"run {_LAB} {_SCENE} --model proof".split()).status == 0
    (shared.folder / "bad").mkdir()
    return shared


@pytest.fixture
def safe(worked: Workplace) -> Iterator[Workplace]:
    """Look after the test: nothing paid, nothing lost, nothing begun."""
    files, runs = _files(worked.root, worked.scenes), _runs(worked)
    yield worked
    assert worked.books.paid_calls == 0
    assert _files(worked.root, worked.scenes) == files
    assert _runs(worked) == runs
    verified = worked(*f"verify {_LAB}".split())
    assert (verified.status, verified.json["flaws"]) == (0, [])


def refused(said: Said, code: str, *words: str) -> None:
    """Assert a usage error that tells the way out in these words."""
    assert said.status == 2, (said.status, said.out, said.err)
    assert said.error["code"] == code
    for word in words:
        assert word in said.error["message"]


# --- projects


def test_a_run_without_a_project_is_refused(safe: Workplace) -> None:
    """LAB-3: required, no implicit default."""
    said = safe(*f"run {_SCENE} --model proof --json".split())
    refused(said, "bad-parameter", "--project")


def test_an_unknown_project_without_a_root_names_both_ways_out(safe: Workplace) -> None:
    """LAB-3: fail at once with a message that says both ways out."""
    said = safe(*f"run --project lap {_SCENE} --model proof --json".split())
    refused(said, "project-not-found", "'lab'", "project create lap --root", "--project-root")


def test_a_project_without_a_root_names_both_ways_out(safe: Workplace) -> None:
    """LAB-3: `--project-root`, or the project's storage setting."""
    said = safe(*f"run --project lab {_SCENE} --model proof --json".split())
    refused(said, "bad-parameter", "--project-root DIR", "storage set-local lab --root DIR")


def test_a_look_at_an_unknown_project_names_the_near_one(safe: Workplace) -> None:
    """LAB-3: on every command."""
    said = safe("runs", "--project", "lap", "--json")
    refused(said, "project-not-found", "'lab'")


# --- pictures


def _png(width_px: int, height_px: int) -> bytes:
    """Make a short file whose header promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


_BAD_PICTURES = {
    "letter.png": (b"Dear reader, this is no picture.", "unsupported-image", ("text",)),
    "empty.png": (b"", "unsupported-image", ("empty",)),
    "bomb.png": (_png(10_000, 10_000), "image-too-large", ("10000 x 10000", "scale it down")),
    "cut.png": (_png(40, 30)[:60], "unsupported-image", ("cut.png",)),
    "page.jpg": (b"<!doctype html><html></html>", "unsupported-image", ("web page",)),
}


@pytest.mark.parametrize("name", _BAD_PICTURES)
def test_a_bad_scene_is_refused_before_anything_is_paid(name: str, safe: Workplace) -> None:
    """LAB-2, LAB-14: the price is never asked for a picture that cannot be read."""
    data, code, words = _BAD_PICTURES[name]
    (safe.folder / "bad" / name).write_bytes(data)
    said = safe(*_PAID.split(), "--input", f"bad/{name}")
    refused(said, code, name, *words)


@pytest.mark.parametrize("name", _BAD_PICTURES)
def test_a_bad_style_reference_is_refused(name: str, safe: Workplace) -> None:
    """LAB-2: style anchors are looked at as the scenes are."""
    data, code, words = _BAD_PICTURES[name]
    (safe.folder / "bad" / name).write_bytes(data)
    said = safe(*f"{_PAID} {_SCENE}".split(), "--style-refs", f"bad/{name}")
    refused(said, code, name, *words)


@pytest.mark.parametrize("name", _BAD_PICTURES)
def test_a_bad_picture_fails_a_step_by_itself_with_its_reason(name: str, place: Workplace) -> None:
    """LAB-8: `upscale` over a bad file writes nothing."""
    data, _, words = _BAD_PICTURES[name]
    (place.scenes / name).write_bytes(data)
    said = place(*f"upscale {_LAB} --input scenes/{name}".split())
    assert said.status == 1
    assert all(word in said.json[0]["error"] for word in words)
    assert list((place.root / "upscaled").iterdir()) == []


def test_a_bad_picture_fails_the_audit(safe: Workplace) -> None:
    """LAB-7: undecodable."""
    (safe.folder / "bad/audit.png").write_bytes(b"no picture")
    said = safe(*f"qa {_LAB} --input bad/audit.png".split())
    assert said.status == 4
    assert [one["code"] for one in said.json[0]["verdict"]["findings"]] == ["undecodable"]


def test_a_style_reference_that_does_not_exist_is_refused(safe: Workplace) -> None:
    """LAB-2."""
    said = safe(*f"{_PAID} {_SCENE} --style-refs scenes/gone.png".split())
    refused(said, "file-missing", "style reference", "scenes/gone.png")


def test_a_scene_reference_that_does_not_exist_is_refused(safe: Workplace) -> None:
    """LAB-2: neither a path nor a name in scenes/."""
    refused(safe(*f"{_PAID} --scene-refs gone".split()), "file-missing", "'gone'", "scenes")


def test_a_run_without_any_scene_is_refused(safe: Workplace) -> None:
    """LAB-2: without any input, `<root>/scenes`, else an error."""
    refused(safe(*_PAID.split()), "nothing-to-do", "--input", "--scene-refs")


def test_a_folder_without_pictures_is_refused(safe: Workplace) -> None:
    (safe.folder / "no-pictures").mkdir()
    refused(safe(*f"{_PAID} --input no-pictures".split()), "nothing-to-do", ".png")


# --- manifests


def _with_manifest(place: Workplace, text: str) -> Said:
    (place.folder / "sheet.json").write_text(text)
    return place(*f"{_PAID} {_SCENE} --manifest sheet.json".split())


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"scenes": {"coast": {"candidats": 2}}}, ("scenes.coast.candidats", "'candidates'")),
        ({"promt": "dusk"}, ("promt", "'prompt'")),
        ({"colour": "red"}, ("colour: unknown key", "known are prompt")),
        ({"post": {"upscale": {"scael": 2}}}, ("post.upscale.scael", "unknown key")),
        ({"scenes": {"coast": {"candidates": "two"}}}, ("scenes.coast.candidates", "'two'")),
        ({"scenes": {"coast": {"post": {"upscale": {"scale": 9}}}}}, ("upscale.scale", "9")),
        ({"scenes": ["coast"]}, ("scenes:", "['coast']")),
        ([], ("the file:",)),
        ({"scenes": {"cost": {}}}, ("scenes.cost", "'coast'")),
    ],
)
def test_a_wrong_manifest_names_the_place_in_the_file(
    document: Any, words: tuple[str, ...], safe: Workplace
) -> None:
    """LAB-2: the path in the file, and a near name."""
    refused(_with_manifest(safe, json.dumps(document)), "bad-parameter", *words)


def test_an_unknown_key_deep_in_the_file_is_compared_with_its_own_neighbours(
    safe: Workplace,
) -> None:
    """LAB-2: `scael` is near to `scale`, which is a key of the upscale step."""
    said = _with_manifest(safe, '{"post": {"upscale": {"scael": 2}}}')
    refused(said, "bad-parameter", "did you mean 'scale'?")


def test_a_manifest_that_is_not_json_names_line_and_column(safe: Workplace) -> None:
    """LAB-2."""
    said = _with_manifest(safe, '{\n  "prompt": "dusk",\n}')
    refused(said, "bad-parameter", "sheet.json", "line 3, column 1")


def test_a_manifest_that_is_not_text_is_refused(safe: Workplace) -> None:
    (safe.folder / "sheet.json").write_bytes(b"\xff\xfe\x00\x01")
    said = safe(*f"{_PAID} {_SCENE} --manifest sheet.json".split())
    refused(said, "bad-parameter", "sheet.json", "UTF-8")


def test_a_manifest_that_does_not_exist_is_refused(safe: Workplace) -> None:
    said = safe(*f"{_PAID} {_SCENE} --manifest gone.json".split())
    refused(said, "file-missing", "gone.json", "--manifest")


def test_a_reference_of_a_manifest_that_does_not_exist_is_refused(safe: Workplace) -> None:
    """LAB-2: relative to the file."""
    said = _with_manifest(safe, '{"scenes": {"coast": {"refs": ["gone.png"]}}}')
    refused(said, "file-missing", "style reference", "gone.png")


@pytest.mark.parametrize("name", ["../evil", "..", "/etc/evil", "outputs/../../evil"])
def test_a_scene_name_that_climbs_out_is_refused(name: str, safe: Workplace) -> None:
    """LAB-4: a manifest cannot name a file outside the root."""
    said = _with_manifest(safe, json.dumps({"scenes": {name: {}}}))
    refused(said, "bad-parameter", f"scenes.{name}", "matches no input picture")


@pytest.mark.parametrize("name", ["..", "../evil", "../../evil"])
def test_a_scene_name_that_climbs_out_writes_inside_the_root(name: str, place: Workplace) -> None:
    """LAB-4: with an input of its own the scene is called as its file is."""
    sheet = {"scenes": {name: {"input": "scenes/coast.png"}}}
    (place.folder / "sheet.json").write_text(json.dumps(sheet))
    before = _files(place.folder)
    said = place(*f"run {_LAB} --model proof --manifest sheet.json".split())
    assert said.status == 0, said.err
    assert said.json["jobs"][0]["final"] == "outputs/coast.png"
    new = _files(place.folder).keys() - before.keys()
    inside = (str(place.root), str(place.home))
    assert [path for path in new if not path.startswith(inside)] == []


def test_a_picture_called_dot_dot_writes_inside_the_root(place: Workplace) -> None:
    """LAB-4: `...png` has the stem `..`."""
    (place.scenes / "...png").write_bytes((place.scenes / "coast.png").read_bytes())
    said = place(*f"run {_LAB} --model proof --input scenes/...png".split())
    assert said.status == 0, said.err
    assert said.json["jobs"][0]["final"] == "outputs/scene.png"


# --- what cannot be asked for


def test_seven_candidates_are_refused_without_the_flag(safe: Workplace) -> None:
    """LAB-6: the ceiling is 6."""
    said = safe(*f"{_PAID} {_SCENE} --candidates 7".split())
    refused(said, "bad-parameter", "ceiling of 6", "--max-candidates", "--allow-many-candidates")


def test_seven_candidates_of_a_manifest_are_refused_without_the_flag(safe: Workplace) -> None:
    """LAB-6: the ceiling holds for a manifest too."""
    said = _with_manifest(safe, '{"scenes": {"coast": {"candidates": 7}}}')
    refused(said, "bad-parameter", "'coast'", "ceiling of 6")


def test_a_model_without_a_price_is_refused(safe: Workplace) -> None:
    """LAB-14: no price is never $0; `dry` says so too."""
    for command in ("run", "dry"):
        words = f"{command} {_LAB} {_SCENE} --model scripted:unpriced --prompt dusk"
        said = safe(*words.split())
        assert said.status == 3
        assert said.error["code"] == "price-unknown"
        assert "Choose another model" in said.error["message"]


@pytest.mark.parametrize(
    ("words", "code", "near"),
    [
        ("--provider scriptd --model paid", "unknown-plugin", "'scripted'"),
        ("--model scriptd:paid", "unknown-plugin", "'scripted'"),
        ("--model scripted:piad", "bad-parameter", "'paid'"),
        ("--model piad", "bad-parameter", "maquette plugins"),
        ("--provider scripted", "bad-parameter", "name one of"),
        ("", "bad-parameter", "PROVIDER:MODEL"),
        ("--model paid --option steps=3", "bad-parameter", "'steps'"),
        ("--model paid --option steps", "bad-parameter", "NAME=VALUE"),
        ("--model paid --size big", "bad-parameter", "WIDTHxHEIGHT"),
        ("--model paid --size 0x9", "bad-parameter", "WIDTHxHEIGHT"),
        ("--model paid --size 99999x9", "bad-parameter", "65535"),
        ("--model paid --size 5000x5000", "capability-missing", "smaller size"),
        ("--model paid --seed 99999999999999999999", "bad-parameter", "--seed"),
        ("--model paid --negative-prompt fog", "capability-missing", "a negative prompt"),
        ("--model paid --max-spend much", "bad-parameter", "'much'"),
        ("--model paid --max-chroma-delta 256", "bad-parameter", "0 to 255"),
        ("--model paid --candidates 2000 --allow-many-candidates", "bad-parameter", "--candidates"),
        ("--model paid --post-upscale --upscale-scale 9", "bad-parameter", "1 to 8"),
        ("--model paid --post-upscale --upscale-backend resampel", "unknown-plugin", "resample"),
        ("--model paid --post-bg-remove --bg-remove-backends clasical", "unknown-plugin", "classi"),
        ("--model paid --post-color --post-color-profile nior", "bad-parameter", "'noir'"),
        ("--model paid --post-color --post-color-profile no.cube", "file-missing", ".cube"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_sent(
    words: str, code: str, near: str, safe: Workplace
) -> None:
    """LAB-8, LAB-9, LAB-10, LAB-11, LAB-14: the message has the near name or the flag to change."""
    base = f"run {_LAB} {_SCENE} --prompt dusk --confirm-spend"
    refused(safe(*f"{base} {words}".split()), code, near)


def test_a_model_that_is_none_is_not_taken_without_a_prompt(safe: Workplace) -> None:
    """LAB-2: the prompt is the flag's or the manifest's."""
    said = safe(*f"run {_LAB} {_SCENE} --model paid --confirm-spend".split())
    refused(said, "bad-parameter", "--prompt", "manifest")


def test_a_cube_file_that_is_none_names_what_is_wrong(safe: Workplace) -> None:
    """LAB-11."""
    (safe.folder / "bad/wrong.cube").write_text("LUT_3D_SIZE two")
    words = f"{_PAID} {_SCENE} --post-color --post-color-profile bad/wrong.cube"
    refused(safe(*words.split()), "bad-parameter", "wrong.cube")


@pytest.mark.parametrize(
    ("words", "code", "near"),
    [
        ("color --profile nior", "bad-parameter", "'noir'"),
        ("upscale --upscale-backend resampel", "unknown-plugin", "resample"),
        ("bgremove --bg-remove-backends clasical", "unknown-plugin", "classical"),
    ],
)
def test_a_step_by_itself_refuses_an_unknown_name(
    words: str, code: str, near: str, safe: Workplace
) -> None:
    """LAB-8."""
    refused(safe(*f"{words} {_LAB} {_SCENE}".split()), code, near)


# --- paths out of the root


@pytest.mark.parametrize("goal", ["../out", "root/../../out", "upscaled/../../out", "/tmp/out"])  # noqa: S108 - never written
@pytest.mark.parametrize("command", ["upscale", "bgremove", "color"])
def test_an_output_outside_the_root_is_refused(command: str, goal: str, safe: Workplace) -> None:
    """LAB-4: nothing is ever written outside the root."""
    said = safe(*f"{command} {_LAB} {_SCENE}".split(), "--output", goal)
    refused(said, "unsafe-path", "--output", "below the root")


@pytest.mark.parametrize(
    "name", ["outputs", "runs", "archive", "archive/replaced", ".maquette", "upscaled"]
)
def test_a_folder_that_links_out_of_the_root_is_refused_before_paying(
    name: str, place: Workplace
) -> None:
    """LAB-4: a link would take every picture outside."""
    outside = place.folder / "outside"
    outside.mkdir()
    link = place.root / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside, target_is_directory=True)
    said = place(*f"{_PAID} {_SCENE}".split())
    refused(said, "unsafe-path", str(link), "replace the link with a folder")
    assert list(outside.iterdir()) == []
    assert place.books.entries() == []


def test_an_output_folder_that_links_out_of_the_root_is_refused(place: Workplace) -> None:
    """LAB-4."""
    outside = place.folder / "outside"
    outside.mkdir()
    place.root.mkdir()
    (place.root / "mine").symlink_to(outside, target_is_directory=True)
    said = place(*f"upscale {_LAB} {_SCENE} --output mine".split())
    refused(said, "unsafe-path", "symbolic link")
    assert list(outside.iterdir()) == []


def test_a_picture_of_someone_else_is_not_moved(safe: Workplace) -> None:
    """LAB-4, LAB-8: `archivebad` moves only the project's own pictures."""
    said = safe(*f"archivebad {_LAB} {_SCENE}".split())
    refused(said, "bad-parameter", "not inside the project's root")


# --- the installation


@pytest.mark.parametrize("command", ["runs --json", f"{_PAID} {_SCENE}", "db migrate --json"])
def test_a_database_of_a_newer_version_is_left_alone(command: str, place: Workplace) -> None:
    """§2: never past its own version."""
    assert place("db", "init").status == 0
    with closing(sqlite3.connect(place.home / "app.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = (place.home / "app.db").read_bytes()
    said = place(*command.replace("db migrate --json", "db status --json").split())
    refused(said, "database-too-new", "9999", "Install the newer version")
    assert (place.home / "app.db").read_bytes() == before
    assert place.books.entries() == []


def test_a_database_that_is_none_is_left_alone(place: Workplace) -> None:
    place.home.mkdir()
    (place.home / "app.db").write_text("This is a letter.")
    said = place(*f"{_PAID} {_SCENE}".split())
    assert said.status == 1
    assert said.error["code"] == "storage-unavailable"
    assert "backup" in said.error["message"]
    assert (place.home / "app.db").read_text() == "This is a letter."


def test_a_home_that_is_a_file_is_refused(place: Workplace) -> None:
    place.home.write_text("mine")
    said = place(*f"{_PAID} {_SCENE}".split())
    refused(said, "bad-parameter", "MAQUETTE_HOME", "is a file", "folder")
    assert place.home.read_text() == "mine"
    assert place.books.entries() == []


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (errno.EROFS, "storage-read-only", "Make it writable"),
        (errno.EACCES, "storage-read-only", "Make it writable"),
        (errno.ENOSPC, "storage-full", "free some space"),
        (errno.EIO, "storage-unavailable", "root"),
    ],
)
def test_a_disk_that_refuses_stops_a_run_before_it_pays(
    number: int, code: str, word: str, worked: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LAB-14: the scene cannot be stored, so nothing is sent; after the cure it is as before."""
    files, paid = _files(worked.root), worked.books.paid_calls

    def refuse(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("maquette.disk.os.fsync", refuse)
        said = worked(*f"{_PAID} --input scenes/dunes.png".split())
    assert said.status == 1
    assert said.error["code"] == code
    assert word in said.error["message"]
    assert worked.books.paid_calls == paid
    assert _files(worked.root) == files
    assert worked(*f"verify {_LAB}".split()).json["flaws"] == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_a_new_root_that_cannot_be_written_stops_a_run_before_it_pays(
    number: int, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, *_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    assert place("db", "init").status == 0
    place.root.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("maquette.disk.Path.mkdir", refuse)
        said = place(*f"{_PAID} {_SCENE}".split())
    assert said.status == 1
    assert said.error["code"] in ("storage-read-only", "storage-full")
    assert list(place.root.iterdir()) == []
    assert place.books.entries() == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_root_that_is_read_only_stops_a_run_before_it_pays(place: Workplace) -> None:
    place.root.mkdir(mode=0o555)
    said = place(*f"{_PAID} {_SCENE}".split())
    assert said.status == 1
    assert said.error["code"] == "storage-read-only"
    assert place.books.entries() == []


def test_a_disk_that_was_full_works_again_when_there_is_room(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("maquette.disk.os.fsync", refuse)
        assert place(*f"run {_LAB} {_SCENE} --model proof".split()).status == 1
    assert place(*f"run {_LAB} {_SCENE} --model proof".split()).status == 0
    assert place(*f"verify {_LAB}".split()).json["flaws"] == []
