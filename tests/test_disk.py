"""Whole files or none, and the system's refusals in words that help."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from maquette import disk
from maquette.core.errors import (
    MaquetteError,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def refusal(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageReadOnly),
        (errno.EACCES, StorageReadOnly),
        (errno.EPERM, StorageReadOnly),
        (errno.EIO, StorageUnavailable),
        (errno.ENOTDIR, StorageUnavailable),
    ],
)
def test_each_refusal_has_its_error_and_names_the_path(
    tmp_path: Path, code: int, error: type[MaquetteError]
) -> None:
    path = tmp_path / "picture.png"
    with pytest.raises(error, match=r"picture\.png") as caught, disk.explained(path):
        raise refusal(code)
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ours"), disk.explained(tmp_path):
        raise ValueError("ours")


def test_a_file_is_written_whole_with_its_folders(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    disk.write_durably(path, b"bytes", scratch=scratch)
    assert path.read_bytes() == b"bytes"
    assert list(scratch.iterdir()) == []


def test_the_mode_is_as_asked(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "file"
    disk.write_durably(path, b"bytes", scratch=scratch, mode=0o400)
    assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("step", ["write", "fsync", "chmod", "replace"])
def test_a_failure_at_any_step_leaves_the_old_file_and_no_rest(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def refuse(*_args: object, **_named: object) -> None:
        raise refusal(errno.ENOSPC)

    if step == "write":
        real = Path.open

        def no_room(self: Path, mode: str = "r") -> object:
            file = real(self, mode)
            monkeypatch.setattr(disk.os, "fsync", refuse)
            return file

        monkeypatch.setattr(Path, "open", no_room)
    elif step == "fsync":
        monkeypatch.setattr(disk.os, "fsync", refuse)
    else:
        monkeypatch.setattr(Path, step, refuse)
    with pytest.raises(StorageFull):
        disk.write_durably(path, b"new", scratch=scratch)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(scratch.iterdir()) == []


def test_an_interruption_leaves_no_rest(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two system calls."""

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(disk.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        disk.write_durably(tmp_path / "file", b"new", scratch=scratch)
    assert not (tmp_path / "file").exists()
    assert [path for path in scratch.iterdir() if path.is_file()] == []


def test_the_bytes_are_synced_before_the_name_appears(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durable on return: the file, then its name, then the folder that has the name."""
    acts: list[str] = []
    folder = tmp_path
    scratch.mkdir()
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), folder.stat())
        acts.append("folder" if is_folder else "file")
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        acts.append("name")
        return real_replace(self, target)

    monkeypatch.setattr(disk.os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    disk.write_durably(folder / "file", b"bytes", scratch=scratch)
    assert acts == ["file", "name", "folder"]


def test_a_file_where_a_folder_should_be_is_said(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match="file"):
        disk.write_durably(tmp_path / "file" / "below", b"x", scratch=scratch)


def test_making_a_folder_twice_is_fine(tmp_path: Path) -> None:
    disk.make_folder(tmp_path / "a" / "b")
    disk.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
