"""An archive becomes a project again, elsewhere too; a damaged one becomes nothing."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from maquette import bootstrap
from maquette.core.archive import CHECKSUMS, MANIFEST
from maquette.core.errors import (
    AlreadyExists,
    ArchiveDamaged,
    Conflict,
    MaquetteError,
    NotResumable,
    QuotaExceeded,
    RequestTooLarge,
)
from maquette.core.people import Caller, Role
from maquette.core.pipeline import ColourStep, PostChain, UpscaleStep
from maquette.core.requests import digest_of
from maquette.core.runlog import RunLog
from maquette.core.states import AttemptState, InstructionState, JobState
from maquette.db import ledger, portable, runs
from maquette.db import tables as t
from maquette.folders import log_path
from maquette.services import (
    deleting,
    exporting,
    importing,
    keeping,
    people,
    privacy,
    projects,
    running,
    spending,
    starting,
)
from maquette.services.packing import line
from maquette.services.studio import Studio
from maquette.settings import load
from tests.conftest import Opener
from tests.lending import furnish
from tests.services.conftest import Begin, made_in, see

CHAIN = PostChain(upscale=UpscaleStep(), colour=ColourStep())
Members = dict[str, bytes]


@asynccontextmanager
async def another(folder: Path, url: str | None = None) -> AsyncGenerator[Studio]:
    """Open an installation on another machine, as it were."""
    settings = load(home=folder, database_url=url)
    furnish(settings)
    async with bootstrap.open_studio(settings) as studio:
        yield studio


@pytest.fixture
async def made(open_studio: Opener, begin: Begin, root: Path, tmp_path: Path) -> Path:
    """The archive of a project with one run."""
    output = tmp_path / "demo.tar.gz"
    async with open_studio() as studio:
        await see(studio, await begin(studio, candidates=2, post=CHAIN))
        await exporting.export(studio, "demo", root=root, output=output)
    return output


async def rows(studio: Studio, slug: str) -> dict[str, list[dict[str, Any]]]:
    project = await projects.find(studio, slug)
    async with portable.one_view(studio.shop.db) as session:
        return {
            one.name: [row async for row in portable.rows_of(session, one, project.id)]
            for one in portable.CARRIED
        }


async def counts(studio: Studio) -> dict[str, int]:
    async with studio.shop.db.read() as session:
        return {
            one.name: (
                await session.execute(select(func.count()).select_from(one.table))
            ).scalar_one()
            for one in portable.CARRIED
        }


def unpacked(path: Path) -> Members:
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def packed(members: Members, path: Path, *, sums: bool = True) -> Path:
    """Write members as an archive, with checksums that fit."""
    if sums:
        members = {name: data for name, data in members.items() if name != CHECKSUMS}
        members[CHECKSUMS] = "".join(
            f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items()
        ).encode()
    with tarfile.open(path, "w:gz", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    data = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(data[: _end(data)] + bytes(1024)))
    return path


def _end(data: bytes) -> int:
    """Cut tar's padding to whole records away: an archive of ours ends with two blocks."""
    return (len(data.rstrip(b"\0")) + 511) // 512 * 512


async def test_a_project_is_restored_on_another_machine(made: Path, tmp_path: Path) -> None:
    """LAB-22: rows, bytes, names and logs."""
    async with another(tmp_path / "home") as studio:
        before = await rows(studio, "demo")
    async with another(tmp_path / "elsewhere") as studio:
        imported = await importing.import_archive(studio, made, root=tmp_path / "new-root")
        after = await rows(studio, "demo")
        checked, flaws = await keeping.verify(studio, "demo", tmp_path / "new-root")
    assert (imported.project.slug, imported.project.runs, imported.missing) == ("demo", 1, 0)
    for run in before["runs"]:
        run["foreign"] = True
    assert after == before
    assert (flaws, checked > 10) == ([], True)
    run = after["runs"][0]
    log = (tmp_path / "new-root" / log_path(run["id"])).read_bytes()
    assert digest_of(log) == run["log_digest"]


async def test_a_run_that_came_from_elsewhere_is_not_resumed(made: Path, tmp_path: Path) -> None:
    async with another(tmp_path / "elsewhere") as studio:
        await importing.import_archive(studio, made)
        async with studio.shop.db.read() as session:
            run = await runs.by_id(session, "latest")
            assert await ledger.budget(session, "installation") == (0, 0)
        assert run.foreign
        assert run.root == str(tmp_path / "elsewhere" / "projects" / "demo")
        with pytest.raises(NotResumable, match="another installation"):
            await running.resume(studio, run.id, starting.Spending())


async def test_the_person_who_imports_owns_what_came(made: Path, tmp_path: Path) -> None:
    async with another(tmp_path / "elsewhere") as studio:
        caller = await people.local(studio)
        await importing.import_archive(studio, made, by=caller)
        project = await projects.find(studio, "demo")
        assert project.owner_id == caller.user_id
        assert [one.slug for one in await projects.listing(studio, caller)] == ["demo"]
        async with studio.shop.db.read() as session:
            creators = (await session.execute(select(t.Asset.creator_id).distinct())).scalars()
            assert set(creators) == {caller.user_id}


async def test_two_copies_of_one_archive_live_side_by_side(
    made: Path, open_studio: Opener, root: Path
) -> None:
    """LAB-22: `--as` maps every id, also inside documents."""
    async with open_studio() as studio:
        with pytest.raises(AlreadyExists, match="--as NEW_NAME"):
            await importing.import_archive(studio, made)
        for slug in ("copy-a", "copy-b"):
            await importing.import_archive(studio, made, slug=slug)
        found = {slug: await rows(studio, slug) for slug in ("demo", "copy-a", "copy-b")}
        for slug in ("copy-a", "copy-b"):
            place = studio.home / "projects" / slug
            assert (await keeping.verify(studio, slug, place))[1] == []
            run = found[slug]["runs"][0]
            data = (place / log_path(run["id"])).read_bytes()
            assert digest_of(data) == run["log_digest"]
            log = RunLog.model_validate_json(data)
            assert (log.run, log.project) == (run["id"], slug)
    texts = {slug: json.dumps(one) for slug, one in found.items()}
    for one in ("runs", "run_jobs", "attempts", "assets"):
        ids = [{row["id"] for row in found[slug][one]} for slug in found]
        assert len(ids[0] | ids[1] | ids[2]) == 3 * len(ids[0])
        for row in found["demo"][one]:
            # Names of files keep the run's name; nothing else does.
            assert f'"{row["id"]}"' not in texts["copy-a"]
    assert root.exists()


async def test_the_same_copy_always_gets_the_same_ids(made: Path, tmp_path: Path) -> None:
    found: list[Any] = []
    for name in ("one", "two"):
        async with another(tmp_path / name) as studio:
            await importing.import_archive(studio, made, slug="copy")
            found.append(await rows(studio, "copy"))
    for run in (one["runs"][0] for one in found):
        assert run.pop("log_digest")
    assert found[0] == found[1]


async def test_an_import_into_postgres_and_out_of_it_is_the_same(
    made: Path, fresh_postgres: str, tmp_path: Path
) -> None:
    async with another(tmp_path / "home") as studio:
        before = await rows(studio, "demo")
    async with another(tmp_path / "elsewhere", fresh_postgres) as studio:
        place = tmp_path / "new-root"
        await importing.import_archive(studio, made, root=place)
        await importing.import_archive(studio, made, slug="copy")
        again = tmp_path / "again.tar.gz"
        await exporting.export(studio, "demo", root=place, output=again)
        after = await rows(studio, "demo")
    for run in before["runs"]:
        run["foreign"] = True
    assert after == before
    async with another(tmp_path / "third") as studio:
        await importing.import_archive(studio, again)
        assert await rows(studio, "demo") == after


async def test_a_root_of_another_project_is_left_alone(made: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    async with another(tmp_path / "elsewhere") as studio:
        await projects.create(studio, "other", name=None, root=theirs, default_root=False)
        before = sorted(theirs.rglob("*"))
        with pytest.raises(Conflict, match="belongs to the project 'other'"):
            await importing.import_archive(studio, made, root=theirs)
        assert sorted(theirs.rglob("*")) == before
        assert (await counts(studio))["runs"] == 0


async def test_what_stood_under_a_name_is_archived(made: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "outputs").mkdir(parents=True)
    (place / "outputs" / "coast.png").write_bytes(b"a person's")
    async with another(tmp_path / "elsewhere") as studio:
        await importing.import_archive(studio, made, root=place)
        shown = dict(await made_in(studio))
    assert (
        digest_of((place / "outputs/coast.png").read_bytes()) == shown["outputs/coast.png"].digest
    )
    (kept,) = (place / "archive/replaced").iterdir()
    assert kept.read_bytes() == b"a person's"


async def test_other_files_are_put_back(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    output = tmp_path / "demo.tar.gz"
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        (root / "notes").mkdir()
        (root / "notes" / "grün.txt").write_text("mine")
        await exporting.export(studio, "demo", root=root, output=output, all_files=True)
    async with another(tmp_path / "elsewhere") as studio:
        await importing.import_archive(studio, output, root=tmp_path / "place")
    assert (tmp_path / "place" / "notes" / "grün.txt").read_text() == "mine"


async def test_nothing_that_was_open_stays_open(made: Path, tmp_path: Path) -> None:
    """What is on its way in an archive is nobody's work here."""
    members = unpacked(made)

    def opened(table: str, **values: Any) -> None:
        name = f"tables/{table}.jsonl"
        lines = [json.loads(line) | values for line in members[name].splitlines()]
        members[name] = b"".join(line(one) for one in lines)

    opened("runs", state="running")
    opened("run_jobs", state="queued")
    opened("attempts", state="sent", settled_nano=0)
    async with another(tmp_path / "elsewhere") as studio:
        await importing.import_archive(studio, packed(members, tmp_path / "open.tar.gz"))
        found = await rows(studio, "demo")
    assert {one["state"] for one in found["runs"]} == {JobState.CANCELLED}
    assert {one["state"] for one in found["run_jobs"]} == {JobState.CANCELLED}
    assert {one["state"] for one in found["attempts"]} == {AttemptState.UNKNOWN}
    assert InstructionState.CANCELLED.final


# --- archives that are not whole, or not ours


def holds(data: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(data)

    return spoil


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def bomb(path: Path) -> None:
    """A well-formed beginning that unpacks to three hundred megabytes of nothing."""
    with gzip.open(path, "wb") as file:
        info = tarfile.TarInfo(MANIFEST)
        info.size = 300 * 1024 * 1024
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(300):
            file.write(bytes(1024 * 1024))


def foreign(kind: bytes, name: str = "objects/x") -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        members = unpacked(path)
        with tarfile.open(path, "w:gz") as tar:
            for one, data in members.items():
                info = tarfile.TarInfo(one)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "/etc/passwd"
            tar.addfile(info)

    return spoil


def changed(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    """Change a member and make the checksums fit."""

    def spoil(path: Path) -> None:
        members = unpacked(path)
        assert old in members[name]
        members[name] = members[name].replace(old, new)
        packed(members, path)

    return spoil


def altered(table: str, **values: Any) -> Callable[[Path], None]:
    """Change members of a table's first row."""

    def spoil(path: Path) -> None:
        members, name = unpacked(path), f"tables/{table}.jsonl"
        first, *rest = members[name].splitlines(keepends=True)
        members[name] = b"".join([line(json.loads(first) | values), *rest])
        packed(members, path)

    return spoil


def more(name: str, data: bytes = b"x") -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        members = unpacked(path)
        del members[CHECKSUMS]
        packed(members | {name: data}, path)

    return spoil


def without(part: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        members = unpacked(path)
        gone = next(name for name in members if name.startswith(part))
        packed({name: data for name, data in members.items() if name != gone}, path)

    return spoil


def object_swapped(path: Path) -> None:
    members = unpacked(path)
    name = next(one for one in members if one.startswith("objects/"))
    packed(members | {name: bytes(len(members[name]))}, path)


def sums_wrong(path: Path) -> None:
    members = unpacked(path)
    packed(members | {CHECKSUMS: members[CHECKSUMS].replace(b"a", b"b")}, path, sums=False)


def trailing(path: Path) -> None:
    path.write_bytes(path.read_bytes() + gzip.compress(b"more"))


def nested(path: Path) -> None:
    members = unpacked(path)
    name = "tables/runs.jsonl"
    row = json.loads(members[name])
    text = json.dumps(row | {"settings": {"x": 0}}).replace(
        '"x": 0', '"x": ' + "[" * 9000 + "]" * 9000
    )
    packed(members | {name: text.encode() + b"\n"}, path)


SPOILT: dict[str, Callable[[Path], None]] = {
    "cut": cut,
    "a flipped bit": flip,
    "empty": holds(b""),
    "no gzip": holds(b"PK" * 5000),
    "a bomb": bomb,
    "a link": foreign(tarfile.SYMTYPE),
    "a hard link": foreign(tarfile.LNKTYPE),
    "a device": foreign(tarfile.CHRTYPE),
    "a folder": foreign(tarfile.DIRTYPE, "objects/"),
    "an absolute name": more("/etc/cron.d/x"),
    "a name that climbs": more("objects/../../x"),
    "a member of another kind": more("bin/sh"),
    "an extended header": foreign(tarfile.XHDTYPE),
    "a table too many": more("tables/users.jsonl"),
    "a file without a name": more("files/0000001"),
    "a member too few": without("objects/"),
    "no table": without("tables/assets"),
    "other bytes under a digest": object_swapped,
    "wrong checksums": sums_wrong,
    "something behind the end": trailing,
    "a manifest of another version": changed(MANIFEST, b'"version": 1', b'"version": 9'),
    "a manifest of another format": changed(MANIFEST, b"maquette-project", b"maquette-projekt"),
    "a name that leads out": changed("tables/files.jsonl", b'"outputs/coast.png"', b'"../x.png"'),
    "a name in the store": changed(
        "tables/files.jsonl", b'"outputs/coast.png"', b'".Maquette/owner.json"'
    ),
    "an unknown column": changed("tables/runs.jsonl", b'"foreign":', b'"stolen":'),
    "a NUL": changed("tables/assets.jsonl", b'"kind":"source"', b'"kind":"so\\u0000ce"'),
    "half a surrogate": changed("tables/assets.jsonl", b'"kind":"source"', b'"kind":"\\ud800"'),
    "a wrong type": changed("tables/runs.jsonl", b'"foreign":false', b'"foreign":"no"'),
    "a number too large": changed("tables/run_jobs.jsonl", b'"round":0', b'"round":99999999999'),
    "not a number": changed("tables/run_jobs.jsonl", b'"round":0', b'"round":NaN'),
    "an id that is a path": altered("runs", id="/etc"),
    "an asset that is a path": altered("assets", id="../../x"),
    "a number below nothing": altered("blobs", size_bytes=-1),
    "a size that is not the bytes'": altered("blobs", size_bytes=1),
    "a media type that is none": altered("blobs", media_type="a/b\r\nSet-Cookie: x=y"),
    "a time that UTC has not": altered("runs", created_at="0001-01-01T00:00:00+14:00"),
    "a state that is none": changed("tables/runs.jsonl", b'"succeeded"', b'"wonderful"'),
    "no JSON": changed("tables/runs.jsonl", b'"foreign":false', b'"foreign":'),
    "endless nesting": nested,
    "another project": changed(MANIFEST, b'"slug": "demo"', b'"slug": "d mo"'),
}


WHY = {
    "cut": "cut short|does not unpack",
    "a flipped bit": "does not unpack|named after|checksums|read",
    "empty": "cut short|does not unpack",
    "no gzip": "does not unpack",
    "a bomb": "far more|too large",
    "a link": "no plain file",
    "a hard link": "no plain file",
    "a device": "no plain file",
    "a folder": "no plain file",
    "an extended header": "no plain file",
    "an absolute name": "no member",
    "a name that climbs": "no member",
    "a member of another kind": "no member",
    "a table too many": "unknown here",
    "a file without a name": "what 'files/0000001' is called",
    "a member too few": "manifest says",
    "no table": "manifest says",
    "other bytes under a digest": "named after",
    "wrong checksums": "checksums do not fit",
    "something behind the end": "follows its end",
    "a manifest of another version": "newer Maquette",
    "a manifest of another format": "manifest is wrong",
    "a name that leads out": "no plain name",
    "a name in the store": "no plain name",
    "an unknown column": "unknown here",
    "a NUL": "cannot be stored",
    "half a surrogate": "cannot be stored",
    "a wrong type": "'foreign' that cannot be",
    "a number too large": "'round' that cannot be",
    "not a number": "NaN is no number",
    "a state that is none": "'state' that cannot be",
    "an id that is a path": "runs has an id that cannot be",
    "an asset that is a path": "assets has an id that cannot be",
    "a number below nothing": "'size_bytes' that cannot be",
    "a size that is not the bytes'": "not as many as its row says",
    "a media type that is none": "'media_type' that cannot be",
    "a time that UTC has not": "'created_at' that cannot be",
    "no JSON": "no JSON",
    "endless nesting": "no JSON|cannot be stored",
    "another project": "manifest is wrong",
}
"""What the refusal says of each."""


@pytest.mark.parametrize("name", SPOILT)
async def test_a_damaged_archive_is_refused_whole(archive: Path, name: str, tmp_path: Path) -> None:
    """LAB-22."""
    path = tmp_path / "spoilt.tar.gz"
    path.write_bytes(archive.read_bytes())
    await asyncio.to_thread(SPOILT[name], path)
    home = tmp_path / "elsewhere"
    async with another(home) as studio:
        before = sorted(home.rglob("*"))
        with pytest.raises(ArchiveDamaged, match=WHY[name]) as refused:
            await importing.import_archive(studio, path, root=tmp_path / "place")
        assert "Nothing of it was taken in" in str(refused.value)
        assert not any((await counts(studio)).values())
    assert not (tmp_path / "place").exists()
    assert not list((home / "tmp").iterdir())
    new = set(home.rglob("*")) - set(before)
    assert not [path for path in new if "projects" in path.parts]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive") / "demo.tar.gz"


@pytest.fixture
async def archive(kept: Path, request: pytest.FixtureRequest) -> Path:
    """The archive, made once for all tests that spoil a copy."""
    if not kept.exists():
        source: Path = await _made(request)
        kept.write_bytes(source.read_bytes())
    return kept


async def _made(request: pytest.FixtureRequest) -> Path:
    tmp_path: Path = request.getfixturevalue("tmp_path")
    open_studio: Opener = request.getfixturevalue("open_studio")
    begin: Begin = request.getfixturevalue("begin")
    output = tmp_path / "source" / "demo.tar.gz"
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        await exporting.export(studio, "demo", root=request.getfixturevalue("root"), output=output)
    return output


async def test_an_archive_of_too_many_rows_is_refused(made: Path, tmp_path: Path) -> None:
    async with another(tmp_path / "elsewhere") as studio:
        with pytest.raises(RequestTooLarge, match="Import it where the server runs"):
            await importing.import_archive(studio, made, root=tmp_path / "place", most_rows=5)
        assert not any((await counts(studio)).values())
    assert not (tmp_path / "place").exists()


async def test_an_import_fills_the_quota_of_who_imports(made: Path, tmp_path: Path) -> None:
    async with another(tmp_path / "elsewhere") as studio:
        change = people.Change(quota_bytes=(10,))
        await people.create(studio, "ann", Role.CREATOR, change)
        ann = Caller((await privacy.person(studio, "ann")).id, "ann", Role.CREATOR)
        with pytest.raises(QuotaExceeded, match="under your quota: 10 are left"):
            await importing.import_archive(studio, made, root=tmp_path / "place", by=ann)
        assert not any((await counts(studio)).values())
        await people.change(studio, "ann", people.Change(quota_bytes=(10**6,)))
        await importing.import_archive(studio, made, root=tmp_path / "place", by=ann)


async def test_whatever_money_an_archive_tells_of_the_past_stays(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    output, forged = tmp_path / "demo.tar.gz", tmp_path / "forged.tar.gz"
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        await exporting.export(studio, "demo", root=root, output=output)
        members, name = unpacked(output), "tables/attempts.jsonl"
        cheap = [json.loads(one) | {"settled_nano": 0} for one in members[name].splitlines()]
        packed(members | {name: b"".join(line(one) for one in cheap)}, forged)
        cost = (await spending.report(studio))[0].actual
        assert cost > 0
        for archive in (forged, output):
            await deleting.delete(studio, "demo")
            await importing.import_archive(studio, archive, root=root)
            assert sum(one.actual for one in await spending.report(studio)) == cost


async def test_a_run_is_found_by_its_id_before_by_the_end_of_anothers(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio() as studio:
        first = await begin(studio)
        async with studio.shop.db.write() as session:
            row = await session.get_one(t.Run, first)
            session.add(
                t.Run(
                    id=f"x{first}",
                    project_id=row.project_id,
                    kind=row.kind,
                    state="cancelled",
                    root=row.root,
                    settings={},
                    versions={},
                    worst_case_nano=0,
                    confirmed=False,
                    created_at=row.created_at + timedelta(days=1),
                )
            )
        async with studio.shop.db.read() as session:
            assert (await runs.by_id(session, first)).id == first


async def test_errors_of_an_import_are_ours(tmp_path: Path) -> None:
    async with another(tmp_path / "elsewhere") as studio:
        with pytest.raises(MaquetteError, match="There is no archive"):
            await importing.import_archive(studio, tmp_path / "nowhere.tar.gz")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("slug", ["", "copy"])
async def test_an_import_killed_anywhere_leaves_no_half_project(
    archive: Path, slug: str, tmp_path: Path
) -> None:
    """LAB-22: the next import takes over what the first one left."""
    command = [sys.executable, "-m", "tests.services.killing_import", tmp_path, archive, slug]
    repository = Path(__file__).parents[2]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["boundaries"] > 15
    name = slug or "demo"
    async with another(tmp_path / "whole") as studio:
        wanted = await rows(studio, name)
    for fatal, status in told["endings"].items():
        home = tmp_path / f"killed-{fatal}"
        assert status == -9, done.stderr
        async with another(home) as studio:
            found = await counts(studio)
            if not any(found.values()):
                await importing.import_archive(studio, archive, slug=slug or None)
            assert await rows(studio, name) == wanted
            assert (await keeping.verify(studio, name, home / "projects" / name))[1] == []
