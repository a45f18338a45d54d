"""LAB-13, LAB-21, LAB-23: the flags of the S3 mirror, against a real S3 server."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cli.conftest import Said, Workplace
from tests.cli.rows import Doing, Row, Shows, is_json, line, pair, refused

from maquette.core.bucket import Bucket
from maquette.testing.s3_server import KEYS, S3Server

ADDRESS = "s3.url"
"""The file of the place that has the server's address."""

Before = Callable[[Workplace, str], None]


def _server(place: Path) -> S3Server:
    return S3Server((place / ADDRESS).read_text(), place / "s3.log")


def _in_mirrored(words: str, before: Before | None = None) -> Doing:
    """Run a command line in a project of its own, `NAME`, that is mirrored to its own bucket."""

    def work(place: Workplace) -> Said:
        mirrored = place.with_variables(KEYS)
        name = f"mirrored-{len(list(place.folder.glob('*.bucket')))}"
        bucket = _server(place.folder).bucket()
        (place.folder / f"{name}.bucket").write_text(bucket.bucket)
        _ok(mirrored("project", "create", name, "--root", name))
        set_s3 = f"project storage set-s3 {name} --bucket {bucket.bucket}"
        _ok(mirrored(*shlex.split(f"{set_s3} --endpoint {bucket.endpoint}")))
        if before is not None:
            before(mirrored, name)
        return mirrored(*shlex.split(words.replace("NAME", name)))

    return lambda place: place.once(("mirrored", words, before), lambda: work(place))


def _ok(said: Said) -> None:
    assert said.status == 0, said.err


def _keys(said: Said) -> list[str]:
    """Return what lies in the bucket of the project that the command line names."""
    name = next(word for word in said.words if word.startswith("mirrored-"))
    server = _server(said.place)
    where = Bucket(
        bucket=(said.place / f"{name}.bucket").read_text(), prefix=name, endpoint=server.url
    )

    async def listed() -> list[str]:
        return [one.key async for one in server.client(where).walk()]

    return asyncio.run(listed())


def _old_file(place: Workplace, name: str) -> None:
    """Mirror a file that is deleted afterwards."""
    old = place.folder / name / "scenes" / "old.txt"
    old.parent.mkdir()
    old.write_text("old")
    _ok(place("project", "sync-s3", name))
    old.unlink()


def _new_file(place: Workplace, name: str) -> None:
    new = place.folder / name / "scenes" / "new.txt"
    new.parent.mkdir()
    new.write_text("new")


def _lost_picture(place: Workplace, name: str) -> None:
    """Make a picture, mirror it, and lose the name that shows it."""
    run = f"run --json --project {name} --model proof --input scenes/coast.png --storage-sync-s3"
    _ok(place(*shlex.split(run)))
    (place.folder / name / "outputs" / "coast.png").unlink()


def _here(path: str) -> Shows:
    def shows(said: Said) -> bool:
        name = next(word for word in said.words if word.startswith("mirrored-"))
        return (said.place / name / path).exists()

    return shows


def _run_rows() -> Iterator[Row]:
    run = "run --json --project NAME --model proof --input scenes/coast.png"
    yield from pair(
        "run",
        "storage-sync-s3",
        (_in_mirrored(f"{run} --storage-sync-s3"), _in_mirrored(f"{run} --no-storage-sync-s3")),
        lambda said: said.status == 0 and "outputs/coast.png" in _keys(said),
    )
    run += " --storage-sync-s3"
    yield from pair(
        "run",
        "storage-sync-dry-run",
        (
            _in_mirrored(f"{run} --storage-sync-dry-run"),
            _in_mirrored(f"{run} --no-storage-sync-dry-run"),
        ),
        lambda said: "would be uploaded" in " ".join(said.err.split()) and _keys(said) == [],
    )
    yield from pair(
        "run",
        "storage-sync-delete",
        (
            _in_mirrored(f"{run} --storage-sync-delete", _old_file),
            _in_mirrored(f"{run} --no-storage-sync-delete", _old_file),
        ),
        lambda said: said.status == 0 and "scenes/old.txt" not in _keys(said),
    )
    bare = "run --json --project lab --project-root root --model proof --input scenes/coast.png"
    yield from pair(
        "run",
        "storage-sync-required",
        (line(f"{bare} --storage-sync-required"), line(f"{bare} --no-storage-sync-required")),
        refused("bad-parameter", "--storage-sync-required", "Nothing was started"),
    )


def _is(member: str, value: Any) -> Shows:
    return lambda said: said.status == 0 and said.json["mirror"][member] == value


def _set_rows() -> Iterator[Row]:
    command = "project storage set-s3"
    base = f"{command} NAME --json"
    values: dict[str, tuple[str, Any]] = {
        "bucket": ("other-bucket", "other-bucket"),
        "prefix": ("iat-prod/", "iat-prod"),
        "region": ("eu-west-1", "eu-west-1"),
        "endpoint": ("https://s3.example:9000", "https://s3.example:9000"),
    }
    plain = _in_mirrored(base)
    for member, (text, value) in values.items():
        yield Row(
            command,
            f"--{member}",
            _in_mirrored(f"{base} --{member} {text}"),
            plain,
            _is(member, value),
        )
    path, host = _in_mirrored(f"{base} --path-style"), _in_mirrored(f"{base} --host-style")
    yield Row(command, "--path-style", path, host, _is("path_style", True))
    yield Row(command, "--host-style", host, path, _is("path_style", False))
    on, off = _in_mirrored(f"{base} --enabled"), _in_mirrored(f"{base} --disabled")
    yield Row(command, "--enabled", on, off, _is("enabled", True))
    yield Row(command, "--disabled", off, on, _is("enabled", False))
    yield Row(command, "--json", plain, _in_mirrored(f"{command} NAME"), is_json)
    show = "project storage show"
    whole = _in_mirrored(f"{show} NAME --json")
    yield Row(show, "--json", whole, _in_mirrored(f"{show} NAME"), is_json)


def _sync_rows() -> Iterator[Row]:
    command = "project sync-s3"
    base = f"{command} NAME --json"
    plain = _in_mirrored(base, _new_file)
    dry = _in_mirrored(f"{base} --dry-run", _new_file)
    yield Row(command, "--dry-run", dry, plain, lambda said: _keys(said) == [])
    gone = _in_mirrored(f"{base} --delete", _old_file)
    kept = _in_mirrored(base, _old_file)
    yield Row(command, "--delete", gone, kept, lambda said: said.json["deleted"] == 1)
    fresh = _in_mirrored(f"{base} --project-root fresh")
    yield Row(command, "--project-root", fresh, plain, refused("file-missing", "fresh"))
    yield Row(command, "--json", plain, _in_mirrored(f"{command} NAME", _new_file), is_json)


def _pull_rows() -> Iterator[Row]:
    command = "project pull"
    base = f"{command} NAME --json"
    picture = "outputs/coast.png"
    plain = _in_mirrored(base, _lost_picture)
    dry = _in_mirrored(f"{base} --dry-run", _lost_picture)
    yield Row(command, "--dry-run", dry, plain, lambda said: not _here(picture)(said))
    back = _in_mirrored(f"{base} --from-s3", _old_file)
    without = _in_mirrored(base, _old_file)
    yield Row(command, "--from-s3", back, without, _here("scenes/old.txt"))
    fresh = _in_mirrored(f"{base} --project-root fresh")
    yield Row(
        command,
        "--project-root",
        fresh,
        plain,
        lambda said: said.json == [] and (said.place / "fresh/.maquette/owner.json").exists(),
    )
    yield Row(command, "--json", plain, _in_mirrored(f"{command} NAME", _lost_picture), is_json)


ROWS = (*_run_rows(), *_set_rows(), *_sync_rows(), *_pull_rows())
