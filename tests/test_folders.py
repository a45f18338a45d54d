"""A project's root: nothing outside is written, nothing inside is lost."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from maquette import disk, folders
from maquette.core.errors import Conflict, StorageFull, StorageReadOnly, UnsafePath
from maquette.folders import LEFTOVER_S, OWNER, SHOWN, TRASH_DAYS, Folders, Show

AT = datetime(2026, 3, 1, 12, 30, 45, tzinfo=UTC)
NAME = "outputs/coast.png"


@pytest.fixture
def place(root: Path) -> Folders:
    made = Folders(root)
    made.prepare()
    return made


@pytest.fixture
def stored(place: Folders) -> Path:
    """A read-only object as the store keeps it."""
    path = place.private / "objects" / "aa" / "object"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"picture")
    path.chmod(0o444)
    return path


def put(place: Folders, data: bytes, name: str = NAME, *, archive: bool = True) -> str | None:
    return place.place(data, name, archive_replaced=archive, at=AT).replaced


def everything(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "place.lock"
    }


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the folders' clock go ahead: no program can set back when a file was made."""
    then = time.time() + seconds
    monkeypatch.setattr(folders.time, "time", lambda: then)


def test_prepare_makes_the_folders_of_a_project(root: Path) -> None:
    """LAB-4."""
    Folders(root).prepare()
    assert all((root / name).is_dir() for name in SHOWN)
    assert set(SHOWN) == {
        "outputs",
        "upscaled",
        "color_corrected",
        "background_removed",
        "runs",
        "archive/bad",
        "archive/replaced",
    }


def test_prepare_clears_what_a_crash_left_and_nothing_else(
    place: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(place, b"picture")
    (place.scratch / "half.tmp").write_bytes(b"half")
    (place.scratch / "other").write_bytes(b"not ours")
    later(monkeypatch, LEFTOVER_S + 60)
    place.prepare()
    assert {path.name for path in place.scratch.iterdir()} == {"other"}
    assert place.inside(NAME).read_bytes() == b"picture"


def test_prepare_leaves_what_another_process_has_just_linked(place: Folders, stored: Path) -> None:
    """A temporary name of an old object is as old as the object by its bytes, yet in use."""
    os.utime(stored, (0, 0))
    (place.scratch / "another-process.tmp").hardlink_to(stored)
    place.prepare()
    assert (place.scratch / "another-process.tmp").exists()


def test_prepare_works_beside_a_writer(
    place: Folders, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer has finished with a temporary file just as it is looked at."""
    (place.scratch / "gone.tmp").write_bytes(b"x")
    real = Path.stat

    def vanishing(self: Path, **named: bool) -> os.stat_result:
        if self.name == "gone.tmp":
            self.unlink(missing_ok=True)
        return real(self, **named)

    monkeypatch.setattr(Path, "stat", vanishing)
    Folders(root).prepare()
    assert list(place.scratch.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../x.png",
        "outputs/../../x.png",
        "outputs/..",
        "..",
        "/etc/x.png",
        "\\x.png",
        "..\\x.png",
        "outputs\\..\\..\\x.png",
        "",
        ".",
        "outputs/x\0.png",
    ],
)
def test_a_name_that_leads_outside_is_refused(place: Folders, name: str) -> None:
    """LAB-4: nothing is ever written outside the root."""
    with pytest.raises(UnsafePath):
        put(place, b"picture", name)
    with pytest.raises(UnsafePath):
        place.write(name, b"log")


@pytest.mark.parametrize("link", ["outputs", "archive", "archive/bad", ".maquette"])
def test_a_symlinked_folder_is_refused(root: Path, tmp_path: Path, link: str) -> None:
    """LAB-4: a link among the parents could lead anywhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(outside, target_is_directory=True)
    place = Folders(root)
    with pytest.raises(UnsafePath, match="symbolic link"):
        place.prepare()
    with pytest.raises(UnsafePath, match="symbolic link"):
        put(place, b"picture", f"{link}/x.png")
    assert list(outside.iterdir()) == []


def test_a_symlinked_scratch_folder_leads_nowhere(root: Path, tmp_path: Path) -> None:
    """LAB-4: half-written files stay inside, and only our own leftovers are cleared."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.tmp").write_bytes(b"someone's")
    (root / ".maquette").mkdir(parents=True)
    (root / ".maquette" / "tmp").symlink_to(outside, target_is_directory=True)
    with pytest.raises(UnsafePath, match="symbolic link"):
        Folders(root).prepare()
    assert (outside / "precious.tmp").exists()


def test_a_symlinked_root_is_the_persons_choice(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    place = Folders(tmp_path / "link")
    place.prepare()
    put(place, b"picture")
    assert (tmp_path / "real" / NAME).read_bytes() == b"picture"


def test_a_symlinked_target_is_replaced_not_followed(place: Folders, tmp_path: Path) -> None:
    """LAB-4, LAB-5: what the link points to stays as it was."""
    elsewhere = tmp_path / "elsewhere.png"
    elsewhere.write_bytes(b"someone's")
    place.inside(NAME).symlink_to(elsewhere)
    replaced = put(place, b"picture")
    assert elsewhere.read_bytes() == b"someone's"
    assert place.inside(NAME).read_bytes() == b"picture"
    assert not place.inside(NAME).is_symlink()
    assert replaced is not None and place.inside(replaced).is_symlink()


def test_a_symlink_to_the_same_bytes_is_replaced_too(place: Folders, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.png"
    elsewhere.write_bytes(b"picture")
    place.inside(NAME).symlink_to(elsewhere)
    put(place, b"picture")
    assert not place.inside(NAME).is_symlink()


def test_a_dangling_symlink_is_moved_away(place: Folders, tmp_path: Path) -> None:
    place.inside(NAME).symlink_to(tmp_path / "nowhere")
    put(place, b"picture")
    assert place.inside(NAME).read_bytes() == b"picture"
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_where_a_picture_should_go_is_refused(place: Folders, root: Path) -> None:
    (root / NAME).mkdir()
    (root / NAME / "inside.txt").write_text("kept")
    with pytest.raises(UnsafePath, match="is a folder"):
        put(place, b"picture")
    assert (root / NAME / "inside.txt").read_text() == "kept"


@pytest.mark.parametrize("name", ["outputs/ü—日本.png", "outputs/a b.png", "outputs/🌊.png"])
def test_names_in_any_script_are_kept(place: Folders, root: Path, name: str) -> None:
    put(place, b"picture", name)
    assert (root / name).read_bytes() == b"picture"


def test_an_old_file_is_archived_first(place: Folders) -> None:
    """LAB-5."""
    assert put(place, b"one") is None
    replaced = put(place, b"two")
    assert replaced == "archive/replaced/coast.20260301-123045.png"
    assert place.inside(replaced).read_bytes() == b"one"
    assert place.inside(NAME).read_bytes() == b"two"


def test_archived_names_never_collide(place: Folders) -> None:
    """LAB-5: three in the same second, from two folders."""
    put(place, b"one")
    put(place, b"four", "upscaled/coast.png")
    names = [put(place, b"two"), put(place, b"three"), put(place, b"five", "upscaled/coast.png")]
    assert names == [
        "archive/replaced/coast.20260301-123045.png",
        "archive/replaced/coast.20260301-123045-2.png",
        "archive/replaced/coast.20260301-123045-3.png",
    ]
    assert [place.inside(str(name)).read_bytes() for name in names] == [b"one", b"two", b"four"]


def test_archiving_can_be_turned_off(place: Folders, root: Path) -> None:
    """LAB-5: --no-archive-replaced."""
    put(place, b"one")
    assert put(place, b"two", archive=False) is None
    assert everything(root) == {NAME: b"two"}


def test_placing_again_changes_nothing(place: Folders, root: Path, stored: Path) -> None:
    """A crash after the rename is repeated: no second copy, nothing archived."""
    first = place.place(stored, NAME, archive_replaced=True, at=AT)
    before = everything(root)
    again = place.place(stored, NAME, archive_replaced=True, at=AT)
    assert again == first
    assert everything(root) == before


@pytest.mark.parametrize("mode", ["auto", "link", "copy"])
def test_every_way_shows_the_same_bytes(root: Path, stored: Path, mode: Show) -> None:
    """D3."""
    place = Folders(root, mode)
    place.place(stored, NAME, archive_replaced=True, at=AT)
    assert (root / NAME).read_bytes() == b"picture"
    assert list(place.scratch.iterdir()) == []


def test_a_link_shares_the_file_and_is_read_only(root: Path, stored: Path) -> None:
    """D3: nobody changes the stored bytes through their human name unawares."""
    Folders(root, "link").place(stored, NAME, archive_replaced=True, at=AT)
    assert (root / NAME).samefile(stored)
    assert not stat.S_IMODE((root / NAME).stat().st_mode) & 0o222


def test_a_copy_is_a_file_of_its_own_and_writable(root: Path, stored: Path) -> None:
    """D3: changing it leaves the store alone."""
    Folders(root, "copy").place(stored, NAME, archive_replaced=True, at=AT)
    assert not (root / NAME).samefile(stored)
    (root / NAME).write_bytes(b"changed")
    assert stored.read_bytes() == b"picture"


def refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)


def refuse_reflinks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no reflinks here")

    monkeypatch.setattr(fcntl, "ioctl", refuse)


def test_where_there_are_no_hard_links_it_is_a_copy(
    root: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    Folders(root, "link").place(stored, NAME, archive_replaced=True, at=AT)
    assert (root / NAME).read_bytes() == b"picture"
    assert not (root / NAME).samefile(stored)


def test_where_there_are_no_reflinks_it_is_a_link(
    root: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D3."""
    refuse_reflinks(monkeypatch)
    Folders(root, "auto").place(stored, NAME, archive_replaced=True, at=AT)
    assert (root / NAME).samefile(stored)


def test_where_there_is_neither_it_is_a_copy(
    root: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D3."""
    refuse_reflinks(monkeypatch)
    refuse_links(monkeypatch)
    Folders(root, "auto").place(stored, NAME, archive_replaced=True, at=AT)
    assert not (root / NAME).samefile(stored)
    assert (root / NAME).read_bytes() == b"picture"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageReadOnly),
        (errno.EACCES, StorageReadOnly),
    ],
)
@pytest.mark.parametrize("mode", ["link", "copy"])
def test_a_disk_that_refuses_leaves_nothing_half_written(
    root: Path,
    stored: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[Exception],
    mode: Show,
) -> None:
    """The new name does not appear, and no rest takes up room."""
    place = Folders(root, mode)

    def refuse(_source: Path, target: Path) -> None:
        Path(target).write_bytes(b"pic")
        raise OSError(code, os.strerror(code))

    refuse_links(monkeypatch)
    monkeypatch.setattr(folders.shutil, "copyfile", refuse)
    with pytest.raises(error, match="maquette resume"):
        place.place(stored, NAME, archive_replaced=True, at=AT)
    assert not (root / NAME).exists()
    assert list(place.scratch.iterdir()) == []


def test_an_old_file_survives_a_full_disk(
    place: Folders, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LAB-5: it keeps its name until the new one is complete; placing again heals it."""
    put(place, b"one")

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "fsync", refuse)
        with pytest.raises(StorageFull):
            put(place, b"two")
    assert everything(root) == {NAME: b"one"}
    put(place, b"two")
    assert place.inside(NAME).read_bytes() == b"two"
    assert b"one" in everything(root).values()


def test_a_rejected_file_moves_to_the_bad_ones(place: Folders) -> None:
    """LAB-8: archivebad; twice the same name is two files."""
    names: list[str] = []
    for data in (b"one", b"two"):
        put(place, data)
        names.append(place.move_to_bad(NAME, AT))
    assert names == [
        "archive/bad/coast.20260301-123045.png",
        "archive/bad/coast.20260301-123045-2.png",
    ]
    assert [place.inside(name).read_bytes() for name in names] == [b"one", b"two"]
    assert not place.inside(NAME).exists()


def test_a_path_below_the_root_has_a_name(place: Folders, root: Path, tmp_path: Path) -> None:
    assert place.relative(root / "outputs" / "x.png") == "outputs/x.png"
    assert place.relative(root / "outputs" / ".." / "runs" / "x.json") == "runs/x.json"
    assert place.relative(tmp_path / "elsewhere.png") is None
    assert place.relative(tmp_path / "rooted.png") is None


def test_free_space_is_told(place: Folders) -> None:
    assert place.free_bytes() > 0


def refuse_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_named: object) -> None:
        raise NotImplementedError("no locks here")

    monkeypatch.setattr(folders.FileLock, "acquire", refuse)


@pytest.mark.parametrize("disk_has", ["links", "no links"])
def test_a_crowd_that_archives_one_name_loses_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, disk_has: str
) -> None:
    """LAB-5: an archived name is taken at once, or not at all, whoever else looks for one."""
    place = Folders(root)
    place.prepare()
    names = [f"outputs/{number}/coast.png" for number in range(32)]
    for name in names:
        put(place, name.encode(), name)
    refuse_locks(monkeypatch)
    if disk_has == "no links":
        refuse_links(monkeypatch)

    def replace(name: str) -> str | None:
        return put(Folders(root), b"new", name)

    with ThreadPoolExecutor(8) as crowd:
        replaced = list(crowd.map(replace, names))
    assert [place.inside(str(one)).read_bytes() for one in replaced] == [n.encode() for n in names]


def test_a_crowd_that_takes_one_name_loses_nothing(root: Path) -> None:
    """LAB-5: as many processes, each with its own picture; all but the last are archived."""
    written = [b"%d" % number for number in range(24)]
    Folders(root).prepare()

    def write(data: bytes) -> str | None:
        return put(Folders(root), data)

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(write, written))
    assert sorted(everything(root).values()) == sorted(written)


def test_a_crowd_that_rejects_files_of_one_name_loses_nothing(root: Path) -> None:
    """LAB-8."""
    place = Folders(root)
    place.prepare()
    names = [f"outputs/{number}/coast.png" for number in range(16)]
    for name in names:
        put(place, name.encode(), name)

    def reject(name: str) -> str:
        return Folders(root).move_to_bad(name, AT)

    with ThreadPoolExecutor(8) as crowd:
        moved = list(crowd.map(reject, names))
    assert [place.inside(name).read_bytes() for name in moved] == [n.encode() for n in names]


def test_only_one_at_a_time_changes_names(place: Folders, root: Path) -> None:
    """Another process that is about to place a file is waited for."""
    placed = threading.Event()

    def other() -> None:
        put(Folders(root), b"theirs")
        placed.set()

    thread = threading.Thread(target=other)
    with FileLock(place.private / "place.lock"):
        thread.start()
        assert not placed.wait(0.3)
    assert placed.wait(30)
    thread.join()


def test_a_symlinked_lock_is_refused(place: Folders, tmp_path: Path) -> None:
    """LAB-4: locking a file empties it."""
    (tmp_path / "precious").write_bytes(b"someone's")
    (place.private / "place.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(UnsafePath, match="symbolic link"):
        put(place, b"picture")
    assert (tmp_path / "precious").read_bytes() == b"someone's"


def test_where_nothing_can_be_locked_names_are_still_claimed(
    place: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network disk without locks."""
    refuse_locks(monkeypatch)
    put(place, b"one")
    assert put(place, b"two") == "archive/replaced/coast.20260301-123045.png"


def test_a_name_that_just_fits_can_be_archived(place: Folders) -> None:
    """LAB-5: the longest name that a disk takes, in characters of three bytes."""
    name = f"outputs/{'海' * 83}.png"
    put(place, b"one", name)
    replaced = put(place, b"two", name)
    assert replaced is not None and place.inside(replaced).read_bytes() == b"one"
    assert place.archived(name) == [replaced]


def test_what_was_archived_is_found_by_the_name_it_had(place: Folders) -> None:
    replaced = {put(place, data) for data in (b"one", b"two", b"three")} - {None}
    put(place, b"four", "outputs/coast.c2.png")
    put(place, b"five", "outputs/coast.c2.png")
    assert set(place.archived(NAME)) == replaced
    assert len(replaced) == 2


def test_a_root_belongs_to_one_project(place: Folders, root: Path) -> None:
    place.claim("id-1", "one")
    before = everything(root)
    with pytest.raises(Conflict, match=r"belongs to the project 'one'.*--project-root.*delete"):
        Folders(root).claim("id-2", "two")
    assert everything(root) == before


def test_a_project_may_claim_its_root_again(place: Folders, root: Path) -> None:
    assert not place.check_owner("id-1", "one")
    place.claim("id-1", "one")
    Folders(root).claim("id-1", "renamed")
    assert place.check_owner("id-1", "one")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"project": "id-1"}'])
def test_an_owner_that_cannot_be_read_is_not_guessed(place: Folders, text: str) -> None:
    place.inside(OWNER).write_text(text)
    with pytest.raises(Conflict, match="cannot be told"):
        place.claim("id-1", "one")


def test_many_claims_at_once_have_one_winner(root: Path) -> None:
    Folders(root).prepare()

    def claim(number: int) -> bool:
        try:
            Folders(root).claim(f"id-{number}", "demo")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as crowd:
        assert sum(crowd.map(claim, range(16))) == 1


def test_what_is_discarded_waits_in_the_trash(place: Folders, stored: Path) -> None:
    os.utime(stored, (0, 0))
    assert place.discard(stored, "objects/aa/object", AT)
    kept = place.private / "trash" / "2026-03-01" / "objects" / "aa" / "object"
    assert kept.read_bytes() == b"picture" and not stored.exists()
    place.empty_trash(AT + timedelta(days=TRASH_DAYS))
    assert kept.exists()
    place.empty_trash(AT + timedelta(days=TRASH_DAYS + 1))
    assert not kept.exists()


def test_what_is_wanted_just_now_is_not_discarded(place: Folders, stored: Path) -> None:
    """Somebody stored it again between the look and the move."""
    assert not place.discard(stored, "objects/aa/object", AT)
    assert stored.read_bytes() == b"picture"
    stored.unlink()
    assert not place.discard(stored, "objects/aa/object", AT)


def test_the_trash_loses_only_its_own_days(place: Folders, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    trash = place.private / "trash"
    (trash / "mine-to-keep").mkdir(parents=True)
    (trash / "2026-99-99").mkdir()
    (trash / "2020-01-01").symlink_to(tmp_path / "outside", target_is_directory=True)
    place.empty_trash(AT)
    assert {path.name for path in trash.iterdir()} == {"mine-to-keep", "2026-99-99", "2020-01-01"}
